"""The page that repeats a workflow from a node on, with other arguments for that node if wanted."""

import uuid
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from furrow.actions.permissions import may_submit, may_view
from furrow.admin import site
from furrow.admin.forms.arguments import argument_fields
from furrow.admin.forms.fields import OMIT, ArgumentField
from furrow.admin.forms.file_field import FileField
from furrow.admin.forms.row_field import RowField, missing_rows
from furrow.admin.workflows.permitted import find, may_act, person
from furrow.approvals.asking import ASKS
from furrow.diagnosis.wording import shorten
from furrow.errors import SubmitError, UnknownKind, WorkflowError
from furrow.kinds.kind import get_kind
from furrow.models import Edge, Job, Node, Workflow
from furrow.workflows import people


class ForkForm(forms.Form):
    """The arguments of the node's job, as they were. What another node's result gives, what is secret, and files stay;
    so does all of an approval."""

    def __init__(self, node: Node, user: Any, data: Any = None) -> None:
        super().__init__(data)
        self.kept: list[str] = []
        job = Job.objects.filter(node=node.result_of or node.pk).first() if node.sort == Node.Sort.JOB else None
        if job is None or node.kind == ASKS:
            return
        kind = get_kind(node.kind)
        for name, field in argument_fields(kind).items():
            if name in (node.deferred or {}) or name in kind.arguments.secret or isinstance(field, FileField):
                self.kept.append(name)
                continue
            self.fields[name] = field
            if name in job.arguments:
                self.initial[name] = (
                    field.shown(job.arguments[name]) if isinstance(field, ArgumentField) else job.arguments[name]
                )
            if isinstance(field, RowField):
                field.offer(user, self[name].value())

    def changed(self) -> dict[str, Any] | None:
        """The arguments that are others now."""
        found = {name: self.cleaned_data[name] for name in self.changed_data if self.cleaned_data.get(name) is not OMIT}
        return found or None

    def show(self, error: SubmitError) -> None:
        """Why nothing was submitted, at the fields."""
        for name, text in error.fields.items():
            self.add_error(name if name in self.fields else None, ValidationError(f"{name}: {text}"))


@require_http_methods(["GET", "POST"])
def show(request: HttpRequest, workflow_id: uuid.UUID, node_id: uuid.UUID) -> HttpResponse:
    """Asks; posted, it submits the new workflow and leads to its page."""
    workflow = find(request, workflow_id)
    if not (may_act(request, workflow) and may_submit(request.user) and may_view(request.user)):
        raise PermissionDenied
    node = Node.objects.filter(workflow=workflow, pk=node_id).first()
    if node is None:
        raise Http404(f"The workflow has no node {node_id}.")
    problem, form = "", None
    try:
        form = ForkForm(node, request.user, request.POST if request.method == "POST" else None)
        if form.is_valid() and (new := _fork(request, workflow, node, form)):
            messages.success(request, f"This workflow repeats {shorten(workflow.name, 60)} from {shorten(node.name, 60)} on.")
            return HttpResponseRedirect(reverse("admin:furrow_workflow_change", args=[new.pk]))
    except (UnknownKind, WorkflowError) as error:
        problem = str(error)
    wrong = bool(problem or (form is not None and form.errors))
    context = {
        **site.context(request, Workflow),
        "title": f"Run again from {shorten(node.name, 60)}",
        "workflow": workflow,
        "node": node,
        "form": form,
        "problem": problem,
        "following": _following(workflow, node),
        "total": Node.objects.filter(workflow=workflow).count(),
    }
    return TemplateResponse(request, "admin/furrow/workflow/fork.html", context, status=422 if wrong else 200)


def _fork(request: HttpRequest, workflow: Workflow, node: Node, form: ForkForm) -> Workflow | None:
    try:
        return people.fork(workflow.pk, node.pk, person(request), missing=missing_rows, arguments=form.changed())
    except SubmitError as error:
        form.show(error)
        return None


def _following(workflow: Workflow, node: Node) -> int:
    """How many nodes come after this one."""
    children: dict[uuid.UUID, list[uuid.UUID]] = {}
    for parent, child in Edge.objects.filter(workflow=workflow).values_list("parent", "child"):
        children.setdefault(parent, []).append(child)
    found, left = {node.pk}, [node.pk]
    while left:
        new = [child for child in children.get(left.pop(), []) if child not in found]
        found.update(new)
        left += new
    return len(found) - 1
