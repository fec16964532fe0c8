"""Who may decide an approval, which are open, and the decision."""

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet

from furrow.actions.audit import audit
from furrow.actions.permissions import may_see
from furrow.approvals.asking import signal_of
from furrow.approvals.form import load
from furrow.approvals.telling import tell_of
from furrow.errors import InputError, did_you_mean
from furrow.kinds.returned import json_text
from furrow.models import Approval, Job, Step
from furrow.models.audit_entry import Origin
from furrow.models.database import atomic
from furrow.sanitize import clean
from furrow.statements import clock
from furrow.states import FINAL
from furrow.steps.sending import give

#: Characters of a note.
LONGEST_NOTE = 2_000


def may_decide(user: Any, approval: Approval) -> bool:
    """This user has the permission, and is not the one who asked where that must be another."""
    return bool(user.has_perm(approval.permission)) and not _asked(user, approval)


def _asked(user: Any, approval: Approval) -> bool:
    return bool(approval.second_person and approval.asked_by_id is not None and approval.asked_by_id == user.pk)


def why_not(user: Any, approval: Approval) -> str:
    """Why this user may not decide; empty: may."""
    if not user.has_perm(approval.permission):
        return f"it needs the permission {approval.permission}"
    return "it needs a second person: you submitted it yourself" if _asked(user, approval) else ""


def may_see_approvals(user: Any) -> bool:
    """May see all of them, or decides some."""
    return may_see(user, "approval") or any(user.has_perm(name) for name in _permissions(Approval.objects.all()))


def seen_by(user: Any, approvals: QuerySet[Approval]) -> QuerySet[Approval]:
    """Of these those that this user may see: all, or what the user has the permission for."""
    if may_see(user, "approval"):
        return approvals
    return approvals.filter(permission__in=[name for name in _permissions(approvals) if user.has_perm(name)])


def open_approvals(now: dt.datetime | None = None) -> QuerySet[Approval]:
    """Those that can be decided: their jobs have not ended, nor their time."""
    in_time = Q(timeout_at=None) | Q(timeout_at__gt=now or clock.now())
    return Approval.objects.filter(in_time, decided_at=None).exclude(job__state__in=FINAL)


#: Open approvals that are looked at for a count on each page.
COUNTED = 500


def for_user(user: Any, approvals: QuerySet[Approval]) -> QuerySet[Approval]:
    """Of these those that this user may decide."""
    held = [name for name in _permissions(approvals) if user.has_perm(name)]
    theirs = Q(second_person=True, asked_by=user.pk) if user.pk is not None else Q(pk__in=[])
    return approvals.filter(permission__in=held).exclude(theirs & Q(asked_by__isnull=False))


#: Which approvals there are to choose from, in the words of pages.
SHOWN = {"mine": "for me", "open": "open", "decided": "decided", "closed": "closed undecided", "all": "all"}


def select(show: str, user: Any, approvals: QuerySet[Approval]) -> QuerySet[Approval]:
    """Of these the open ones that this user may decide (``mine``), the ``open``, the ``decided``, those that were ``closed``
    undecided, or ``all``. ``None`` is a user who may decide all.

    Raises:
        InputError: another word.
    """
    if show not in SHOWN:
        raise InputError({"show": f"{show[:80]!r} is unknown; {did_you_mean(show, SHOWN)}"})
    if show == "all":
        return approvals
    if show == "decided":
        return approvals.filter(decided_at__isnull=False)
    undecided = open_approvals()
    if show == "closed":
        return approvals.filter(decided_at=None).exclude(pk__in=undecided.values("pk"))
    mine = show == "mine" and user is not None
    return approvals.filter(pk__in=(for_user(user, undecided) if mine else undecided).values("pk"))


def _permissions(approvals: QuerySet[Approval]) -> Iterable[str]:
    return approvals.order_by().values_list("permission", flat=True).distinct()


def count_for(user: Any) -> int:
    """How many open ones this user may decide, of the first so many, by one query."""
    if not user.is_authenticated:
        return 0
    rows = open_approvals().order_by().values_list("permission", "second_person", "asked_by")[:COUNTED]
    return sum(user.has_perm(permission) for permission, second, by in rows if not (second and by == user.pk))


def condition(approval: Approval, state: str, now: dt.datetime) -> str:
    """In a word: open, approved, rejected, ended (its job has), timed out. ``state``: of its job."""
    if approval.decided_at is not None:
        return "approved" if approval.approved else "rejected"
    if not closed_because(approval, state, now):
        return "open"
    return "ended" if state in FINAL else "timed out"


def closed_because(approval: Approval, state: str, now: dt.datetime) -> str:
    """Why it cannot be decided (any more); empty: it can. ``state``: of its job."""
    if approval.decided_at is not None:
        became = "approved" if approval.approved else "rejected"
        return f"it was {became} by {approval.decider or 'somebody'} at {approval.decided_at:%Y-%m-%d %H:%M:%S %Z}"
    if state in FINAL:
        return f"its job has ended: {state}"
    if approval.timeout_at is not None and approval.timeout_at <= now:
        return f"its time was over at {approval.timeout_at:%Y-%m-%d %H:%M:%S %Z}"
    return ""


def decide(
    approval: Approval | uuid.UUID | str,
    *,
    by: Any,
    approved: bool,
    note: str = "",
    answers: Mapping[str, Any] | None = None,
    origin: Origin | None = None,
    token: str = "",
) -> Approval:
    """Decide, and tell the job, in one transaction: of two people who decide at once one does.

    Args:
        approval: one, or its id.
        by: the user, who must be allowed to; or a name, of a program that is trusted.
        approved: or rejected.
        note: why, for people and for the job.
        answers: to the form, by field; a rejection may have none.
        origin, token: of an entry in the audit log; without the former there is none.

    Raises:
        InputError: it was decided, or closed; the answers do not fit the form. Nothing was written.
        PermissionDenied: this user may not decide.
    """
    is_user = hasattr(by, "has_perm")
    with atomic():
        row = _found(approval)
        state = (
            Job.objects.select_for_update(no_key=True).filter(pk=row.job_id).order_by().values_list("state", flat=True).first()
        )
        row.refresh_from_db()
        if is_user and (reason := why_not(by, row)):
            raise PermissionDenied(f"{by} may not decide this approval: {reason}.")
        now = clock.now()
        if reason := closed_because(row, state or "deleted", now):
            raise InputError({"approval": reason})
        if Step.objects.filter(job=row.job_id, awaits=signal_of(row.pk), finished_at__isnull=False).exists():
            raise InputError({"approval": "its time was over, and its job has gone on"})
        row.answers = _checked(row, approved, answers)
        row.approved, row.decided_at = approved, now
        row.decided_by_id, row.decider = (by.pk if is_user else None), clean(str(by.get_username() if is_user else by))[:200]
        row.note = clean(note.strip())[:LONGEST_NOTE]
        names = ("approved", "decided_at", "decided_by_id", "decider", "note", "answers")
        undecided = Approval.objects.filter(pk=row.pk, decided_at=None)
        if not undecided.update(**{name: getattr(row, name) for name in names}):
            row.refresh_from_db()
            raise InputError({"approval": closed_because(row, state or "deleted", now)})
        decision = {"approved": approved, "by": row.decider, "note": row.note, "answers": row.answers}
        tell_of(row, "approved" if approved else "rejected")
        give(row.job_id, signal_of(row.pk), json_text("the decision", decision), row.decider)
        if origin is not None:
            action = "approve" if approved else "reject"
            audit(action, by=by, origin=origin, token=token, target=f"approval {row.title}", job=row.job_id, detail=row.note)
    return row


def _found(approval: Approval | uuid.UUID | str) -> Approval:
    try:
        id = approval.pk if isinstance(approval, Approval) else uuid.UUID(str(approval))
    except ValueError:
        raise InputError({"approval": f"{str(approval)[:80]!r} is no id: pass the approval, or its UUID"}) from None
    row = Approval.objects.filter(pk=id).first()
    if row is None:
        raise InputError({"approval": f"there is none with the id {id}; they are deleted with their jobs"})
    return row


def _checked(row: Approval, approved: bool, answers: Mapping[str, Any] | None) -> Any:
    if not row.form:
        if answers:
            raise InputError({"answers": "this approval has no form: leave them out"})
        return None
    if not approved and not answers:
        return None
    return load(row.form).check(answers or {})
