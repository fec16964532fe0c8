"""What people do to workflows from the admin: the buttons of a page, and the actions of the list, which ask first."""

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_POST

from furrow.admin import keyset, site
from furrow.admin.workflows.permitted import changeable, find, person
from furrow.models import Workflow
from furrow.plural import counted
from furrow.workflows import people

#: Workflows that one press changes; of more, another press changes the next.
AT_ONCE = 1_000
_DONE = {
    "cancel": "cancelled: what has not begun ends, running jobs are asked to stop",
    "pause": "paused: what runs goes on, nothing more is let go",
    "resume": "resumed",
    "restart": "restarted: what failed or was cancelled runs again",
}


@require_POST
def act(request: HttpRequest, workflow_id: uuid.UUID, action: str) -> HttpResponse:
    """One of :data:`furrow.workflows.people.ACTIONS` on one workflow."""
    workflow = find(request, workflow_id)
    done = people.perform(action, [workflow.pk], person(request))
    if done.forbidden:
        raise PermissionDenied
    if done.changed:
        messages.success(request, f"The workflow is {_DONE[action]}.")
    elif done.locked:
        messages.warning(request, f"Nothing was changed: {people.LOCKED}")
    else:
        messages.warning(request, f"Nothing was changed: the workflow {people.ACTIONS[action].otherwise}.")
    return HttpResponseRedirect(reverse("admin:furrow_workflow_change", args=[workflow.pk]))


def confirm(model_admin: Any, request: HttpRequest, queryset: QuerySet[Workflow]) -> HttpResponse | None:
    """An action of the list: asks first, with how many it would change; posted again from there, it is done."""
    who, action = person(request), request.POST.get("action", "")
    if not who.may_act() or action not in people.ACTIONS:
        raise PermissionDenied
    rows = changeable(action, queryset)
    if request.POST.get("confirmed"):
        _do(request, action, rows, who)
        return None
    number, exact = keyset.count(rows)
    context = {
        **site.context(request, Workflow),
        "title": f"{action.capitalize()}: which workflows",
        "action": action,
        "text": people.ACTIONS[action].text,
        "changing": {"number": number, "exact": exact, "more": not exact and number == keyset.COUNTED + 1},
        "chosen": request.POST.getlist(ACTION_CHECKBOX_NAME)[:AT_ONCE],
        "across": request.POST.get("select_across") == "1",
        "at_once": AT_ONCE,
        "checkbox": ACTION_CHECKBOX_NAME,
        "back": request.GET.urlencode(),
    }
    return TemplateResponse(request, "admin/furrow/workflow/bulk.html", context)


def _do(request: HttpRequest, action: str, rows: QuerySet[Workflow], who: people.Person) -> None:
    ids = list(rows.order_by("pk").values_list("pk", flat=True)[: AT_ONCE + 1])
    done = people.perform(action, ids[:AT_ONCE], who)
    if done.changed:
        messages.success(request, f"{counted(done.changed, 'workflow')}: {_DONE[action]}.")
    if done.forbidden:
        messages.warning(request, f"{counted(len(done.forbidden), 'workflow')} left: not yours to act on.")
    if done.locked:
        messages.warning(request, f"{counted(len(done.locked), 'workflow')} left: locked by another transaction. Try again.")
    if not done.changed and not done.forbidden and not done.locked:
        messages.warning(request, f"Nothing was changed: none of them is in a state for this ({action}).")
    if len(ids) > AT_ONCE:
        messages.info(request, f"More match: at most {AT_ONCE:,} are changed at once. Do it again for the next.")
