"""The list of workflows, and the addresses of their pages."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from furrow.admin import filters
from furrow.admin.readonly import KeysetChangeList, ReadOnlyAdmin
from furrow.admin.site import shows
from furrow.admin.theme import ChangeList, display
from furrow.admin.workflows import acting, fork_page, page
from furrow.admin.workflows.nodes import Progress, progress
from furrow.admin.workflows.permitted import person
from furrow.diagnosis import wording
from furrow.models import Workflow
from furrow.models.users import add_submitters
from furrow.plural import counted
from furrow.statements import clock
from furrow.states import WorkflowState
from furrow.workflows import people


class WorkflowChangeList(KeysetChangeList):
    """A page of the list, with how far each of its workflows is."""

    def get_results(self, request: HttpRequest) -> None:
        """The rows, their nodes counted by one statement."""
        super().get_results(request)
        add_submitters(self.result_list)
        counts = progress(row.pk for row in self.result_list)
        for row in self.result_list:
            row.progress = counts.get(row.pk)


@shows(Workflow)
class WorkflowAdmin(ReadOnlyAdmin):
    """Workflows, newest first."""

    empty_title = "No workflows yet"
    empty_text = "Jobs that wait for each other are submitted together, as a workflow. This one has two, in your transaction:"
    empty_example = """from furrow import workflow

with workflow("order 7") as w:
    paid = w.add(charge, {"order": 7})
    w.add(ship, {"order": 7, "receipt": paid.result}, after=[paid])"""
    list_display = ("workflow", "condition", "how_far", "created", "took", "person")
    list_display_links = None
    list_filter = (filters.WorkflowStateFilter, filters.PausedFilter, filters.SubmitterFilter, filters.HappenedFilter)
    list_before_template = "admin/furrow/workflow/above.html"
    search_texts = ("name",)
    search_help_text = "Id, or text in the name"

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        return WorkflowChangeList

    def has_act_permission(self, request: HttpRequest) -> bool:
        """May cancel, pause, resume and restart."""
        return person(request).may_act()

    def get_actions(self, request: HttpRequest, action_location: Any = None) -> dict[str, tuple[Callable[..., Any], str, str]]:
        """What may be done to the chosen ones, or to all that match: each asks for a confirmation."""
        if getattr(action_location, "name", "CHANGE_LIST") != "CHANGE_LIST" or not self.has_act_permission(request):
            return {}
        return {name: (acting.confirm, name, name.capitalize()) for name in people.ACTIONS}

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """The page of one workflow."""
        return page.show(request, object_id)

    def get_urls(self) -> list[URLPattern]:
        """The pages beside Django's own."""
        wrap = self.admin_site.admin_view
        own = [
            path("<uuid:workflow_id>/live/", wrap(page.rows), name="furrow_workflow_live"),
            path("<uuid:workflow_id>/fork/<uuid:node_id>/", wrap(fork_page.show), name="furrow_workflow_fork"),
            *(
                path(f"<uuid:workflow_id>/{action}/", wrap(acting.act), {"action": action}, f"furrow_workflow_{action}")
                for action in people.ACTIONS
            ),
        ]
        urls: list[URLPattern] = super().get_urls()
        return own + urls

    # --- Columns ----------------------------------------------------------------------------------------------------

    @display(description="workflow")
    def workflow(self, workflow: Workflow) -> SafeString:
        """Name and id, leading to the page."""
        link = reverse("admin:furrow_workflow_change", args=[workflow.pk])
        return format_html(
            '<a class="fw-job" href="{}"><b class="fw-short">{}</b><code>{}</code></a>',
            link,
            wording.plain(workflow.name),
            workflow.pk,
        )

    @display(description="state")
    def condition(self, workflow: Workflow) -> SafeString:
        paused = workflow.paused_at is not None and workflow.state == WorkflowState.RUNNING
        below = format_html(
            '<span class="fw-below">{}</span>', "paused" if paused else "a part of another" if workflow.parent else ""
        )
        return format_html('<span class="fw-stack">{}{}</span>', wording.label(workflow.state), below)

    @display(description="progress")
    def how_far(self, workflow: Any) -> SafeString:
        """Of its jobs, and how many nodes and jobs have ended."""
        far: Progress | None = workflow.progress
        if far is None:
            return format_html('<span class="fw-none">{}</span>', wording.NOTHING)
        nodes = f"{far.nodes_done:,} of {counted(far.nodes, 'node')}"
        jobs = f", {far.jobs_done:,} of {counted(far.jobs, 'job')}" if far.jobs else ""
        return format_html(
            '<span class="fw-stack">{}<span class="fw-below">{}{}</span></span>',
            wording.progress_bar(far.fraction),
            nodes,
            jobs,
        )

    @display(description="created")
    def created(self, workflow: Workflow) -> str:
        return wording.moment(workflow.created_at)

    @display(description="duration")
    def took(self, workflow: Workflow) -> str:
        """From when it was submitted to its end, or so far."""
        return wording.span(((workflow.finished_at or clock.now()) - workflow.created_at).total_seconds())

    @display(description="by")
    def person(self, workflow: Workflow) -> str:
        user = workflow.submitted_by
        return (
            wording.shorten(user.get_username(), 40)
            if user
            else format_html('<span class="fw-none">{}</span>', wording.NOTHING)
        )
