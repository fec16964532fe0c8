"""Locks: holders and waiters, and an action that breaks a lock."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from furrow.actions import locks
from furrow.actions.audit import audit
from furrow.actions.permissions import may_view
from furrow.admin import live
from furrow.admin.readonly import PageAdmin
from furrow.admin.site import shows
from furrow.locks import listing, owner
from furrow.locks.conf import times
from furrow.locks.errors import LockUnavailable
from furrow.locks.models import Lock
from furrow.models import Job
from furrow.models.audit_entry import Origin

#: Locks on the page.
SHOWN = 200
_ROWS = "admin/furrow/locks/rows.html"


@shows(Lock)
class LockAdmin(PageAdmin):
    """There is no table of locks: the page asks Redis."""

    def views(self) -> dict[str, Callable[..., HttpResponse]]:
        """All of them, the part that changes, and what can be done."""
        return {"changelist": show, "live": rows, "break": break_lock}


@require_GET
def show(request: HttpRequest) -> HttpResponse:
    """The page."""
    _may(request, "view_lock")
    facts = {**_facts(request), "lease": times().lease}
    address, around = reverse("admin:furrow_lock_live"), "admin/furrow/locks/page.html"
    return live.page(request, _ROWS, facts, title="All locks", address=address, model=Lock, around=around)


@require_GET
def rows(request: HttpRequest) -> HttpResponse:
    """Its part that changes."""
    _may(request, "view_lock")
    return live.answer(request, _ROWS, _facts(request))


@require_POST
def break_lock(request: HttpRequest) -> HttpResponse:
    """Renew a holder's lease no more."""
    _may(request, "view_lock")
    _may(request, "break_lock")
    label, token = request.POST.get("lock", ""), request.POST.get("token", "")
    try:
        broken = token.isdecimal() and len(token) < 20 and listing.break_lock(label, int(token))
    except LockUnavailable as error:
        messages.error(request, f"Nothing was broken: {error}")
        return _back()
    if broken:
        audit("break", by=request.user, origin=Origin.ADMIN, target=label.replace(":", " ", 1), detail=f"token {token}")
        messages.success(
            request, f"The holder of {label} is being stopped; the next waiter gets it within {times().lease:g} s."
        )
    else:
        messages.info(request, f"Nothing was broken: {label} is no longer held under this token.")
    return _back()


# --- Steps ------------------------------------------------------------------------------------------------------------


def _may(request: HttpRequest, permission: str) -> None:
    if not request.user.has_perm(f"furrow.{permission}"):
        raise PermissionDenied


def _facts(request: HttpRequest) -> dict[str, Any]:
    facts = {"may_break": request.user.has_perm("furrow.break_lock"), "shown": SHOWN}
    try:
        found = listing.in_use(SHOWN + 1)
    except LockUnavailable as error:
        return {**facts, "away": str(error)}
    left_alone = {holder.token for _, holder in locks.without_holder(found)}
    kinds = _kinds(request, found)
    return {**facts, "more": len(found) > SHOWN, "locks": [_row(lock, kinds, left_alone) for lock in found[:SHOWN]]}


def _row(lock: listing.InUse, kinds: dict[Any, str], left_alone: set[int]) -> dict[str, Any]:
    holders = [
        {"held": holder, "who": _who(holder.owner, kinds), "left_alone": holder.token in left_alone} for holder in lock.holders
    ]
    return {"lock": lock, "holders": holders, "waiters": [_who(waiter, kinds) for waiter in lock.waiters]}


def _kinds(request: HttpRequest, found: list[listing.InUse]) -> dict[Any, str]:
    """The kinds of the jobs that hold or wait, for who may see jobs."""
    if not may_view(request.user):
        return {}
    owners = {one for lock in found for one in [*lock.waiters, *(holder.owner for holder in lock.holders)]}
    ids = {run[0] for one in owners if (run := owner.job_of(one))}
    return dict(Job.objects.filter(pk__in=ids).values_list("pk", "kind"))


def _who(text: str, kinds: dict[Any, str]) -> dict[str, Any]:
    run = owner.job_of(text)
    if run is None:
        host, *rest = text.rsplit(":", 2)
        return {"text": f"process {rest[0]} on {host}" if len(rest) == 2 else text or "unknown"}
    return {"text": "job", "job": run[0], "kind": kinds.get(run[0]), "attempt": run[1]}


def _back() -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:furrow_lock_changelist"))
