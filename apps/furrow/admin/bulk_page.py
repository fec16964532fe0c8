"""Bulk actions: a page that shows how many jobs an action would change and asks for confirmation.

Jobs chosen one by one (a page of the list at most) are changed at once; everything that matches a filter is changed by a job of
its own (:mod:`furrow.actions.bulk`), whose page shows the progress.
"""

import uuid
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import router, transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from furrow.actions import bulk
from furrow.actions.audit import audit
from furrow.actions.permissions import forbidden_kinds, may_act
from furrow.actions.selection import CRITERIA, select
from furrow.admin import keyset, site
from furrow.errors import InputError
from furrow.kinds.kind import queues_in_use
from furrow.models import Job
from furrow.models.audit_entry import Origin
from furrow.models.job import new_id
from furrow.plural import counted
from furrow.statements import clock
from furrow.web.parameters import WrongParameter, one_of

#: Jobs that can be chosen one by one; of more, only the filter says which.
CHOSEN = 1_000


def confirm(model_admin: Any, request: HttpRequest, queryset: QuerySet[Job]) -> HttpResponse:
    """The action of the list: the jobs chosen in it, or all that match its filters."""
    action = request.POST.get("action", "")
    if request.POST.get("select_across") == "1":
        return _ask(request, action, [], _criteria(request.GET))
    return _ask(request, action, _ids(request.POST.getlist("_selected_action")), {})


@require_http_methods(["GET", "POST"])
def show(request: HttpRequest) -> HttpResponse:
    """Asked for by a link with the list's filters; posted, it is done."""
    if not may_act(request.user):
        raise PermissionDenied
    if request.method == "GET":
        return _ask(request, one_of(request, "action", bulk.ACTIONS), [], _criteria(request.GET))
    action, ids = request.POST.get("action", ""), _ids(request.POST.getlist("ids"))
    criteria = _criteria(QueryDict(request.POST.get("filter", "")))
    try:
        options = bulk.check(action, {name: request.POST.get(name, "") for name in ("priority", "queue", "until")})
        if ids:
            return _do_chosen(request, action, ids, options)
        return _start(request, action, criteria, options)
    except InputError as error:
        messages.error(request, f"Nothing was changed: {error}.")
        return _ask(request, action, ids, criteria, status=422)


def _do_chosen(request: HttpRequest, action: str, ids: list[uuid.UUID], options: dict[str, Any]) -> HttpResponse:
    rows = _permitted(request, Job.objects.filter(pk__in=ids))
    with transaction.atomic(using=router.db_for_write(Job)):
        changed, locked = bulk.perform(action, rows, options)
        if changed:
            detail = ", ".join(f"{name} {value}" for name, value in options.items())
            target = f"{len(ids):,} chosen jobs" if len(ids) > 1 else f"job {ids[0]}"
            job = ids[0] if len(ids) == 1 else None
            audit(
                action, by=request.user, origin=Origin.ADMIN, target=target, job=job, ids=ids, count=changed, detail=detail
            )  # fmt: skip
    if changed:
        messages.success(request, f"{counted(changed, 'job')}: {bulk.ACTIONS[action].future}.")
    if locked:
        messages.warning(
            request,
            f"{counted(len(locked), 'job')} left: another transaction has the row locked; try again. Job {locked[0]} is "
            "one; its page says who that is.",
        )
    if left := len(ids) - changed - len(locked):
        messages.warning(
            request, f"{counted(left, 'job')} left alone: not in a state for this ({action}), or not yours to act on."
        )
    return HttpResponseRedirect(reverse("admin:furrow_job_changelist") + _query(request.POST.get("back", "")))


def _start(request: HttpRequest, action: str, criteria: dict[str, str], options: dict[str, Any]) -> HttpResponse:
    try:
        id = uuid.UUID(request.POST.get("id", ""))
    except ValueError:
        id = new_id()
    job = bulk.start(action, criteria, by=request.user, origin=Origin.ADMIN, options=options, id=id)
    messages.success(
        request, f"This job performs the action ({action}). Cancelling it stops it; what it has changed stays changed."
    )
    return HttpResponseRedirect(reverse("admin:furrow_job_change", args=[job.pk]))


# --- The question -----------------------------------------------------------------------------------------------------


def _ask(request: HttpRequest, action: str, ids: list[uuid.UUID], criteria: dict[str, str], status: int = 200) -> HttpResponse:
    if not may_act(request.user):
        raise PermissionDenied
    try:
        rows = Job.objects.filter(pk__in=ids) if ids else select(criteria)
    except InputError as error:
        raise WrongParameter(*next(iter(error.fields.items()))) from None
    matching = _count(_permitted(request, rows))
    known = bulk.ACTIONS.get(action)
    query = QueryDict(mutable=True)
    query.update(criteria)
    context = {
        **site.context(request, Job),
        "title": f"{action.capitalize()}: which jobs" if known else "Act on all that match",
        "action": action,
        "known": known,
        "actions": list(bulk.ACTIONS),
        "ids": ids,
        "criteria": criteria,
        "filter": query.urlencode(),
        "matching": matching,
        "changing": _changing(request, rows, known, criteria, matching) if known else None,
        "states": sorted(known.states) if known else [],
        "queues": queues_in_use(),
        "priorities": range(10),
        "id": new_id(),
        "back": query.urlencode() or request.GET.urlencode(),
        "now": clock.now(),
    }
    return TemplateResponse(request, "admin/furrow/job/bulk.html", context, status=status)


def _changing(
    request: HttpRequest, rows: QuerySet[Job], known: bulk.Action, criteria: dict[str, str], matching: dict[str, Any]
) -> dict[str, Any]:
    """How many of them it will change; the same number where the filter leaves only such states, also when it is a guess."""
    if criteria.get("state") in known.states:
        return matching
    return _count(_permitted(request, rows).filter(state__in=known.states))


def _count(rows: QuerySet[Job]) -> dict[str, Any]:
    number, exact = keyset.count(rows)
    return {"number": number, "exact": exact, "more": not exact and number == keyset.COUNTED + 1}


def _permitted(request: HttpRequest, rows: QuerySet[Job]) -> QuerySet[Job]:
    return rows.exclude(kind__in=forbidden_kinds(request.user)).exclude(kind=bulk.bulk_action.name)


def _criteria(given: QueryDict) -> dict[str, str]:
    return {name: text for name, text in given.items() if name in CRITERIA and isinstance(text, str) and text}


def _ids(texts: list[str]) -> list[uuid.UUID]:
    found = []
    for text in texts[:CHOSEN]:
        try:
            found.append(uuid.UUID(text))
        except ValueError:
            continue
    return found


def _query(text: str) -> str:
    criteria = QueryDict(mutable=True)
    criteria.update(_criteria(QueryDict(text)))
    return f"?{criteria.urlencode()}" if criteria else ""
