"""Permissions: who may see, submit and act on jobs. The one place that decides.

Django's permissions: ``furrow.view_job``, ``furrow.submit_job``, ``furrow.act_on_job``. A kind may ask for one more of its own,
``@job(permission="billing.refund")``: without it a person neither submits jobs of that kind nor acts on them. Code that calls
:func:`furrow.submit` or :mod:`furrow.actions.jobs` itself is trusted; every page, command and bulk action asks here.

A user is Django's (``request.user``); ``None`` is nobody and may nothing.
"""

from typing import Any

from furrow.errors import UnknownKind
from furrow.kinds.kind import BUILT_IN, Kind, all_kinds, get_kind

VIEW, SUBMIT, ACT = "furrow.view_job", "furrow.submit_job", "furrow.act_on_job"
VIEW_WORKFLOW, ACT_ON_WORKFLOW = "furrow.view_workflow", "furrow.act_on_workflow"


def may_view(user: Any) -> bool:
    """May see jobs, with their arguments, results and logs."""
    return _has(user, VIEW)


def may_submit(user: Any, kind: Kind | str | None = None) -> bool:
    """May submit jobs of this kind; without a kind: of those that ask for no permission of their own. Nobody submits jobs of
    the engine's own kinds, whose arguments the engine trusts."""
    name = kind.name if isinstance(kind, Kind) else kind or ""
    return _has(user, SUBMIT) and _has_own(user, kind) and not name.startswith(BUILT_IN)


def needed_to_submit(kind: Kind) -> str:
    """What somebody lacks who may not submit jobs of this kind."""
    if kind.name.startswith(BUILT_IN):
        return "a kind of the project's: Furrow submits jobs of its own kinds by itself"
    return SUBMIT + (f" and {kind.permission}" if kind.permission else "")


def may_act(user: Any, kind: Kind | str | None = None) -> bool:
    """May act on jobs of this kind (cancel, retry, run now, change, delete); without a kind: on any that asks for nothing
    more. Who may act on jobs must be allowed to see them."""
    return _has(user, VIEW) and _has(user, ACT) and _has_own(user, kind)


def may_see(user: Any, what: str) -> bool:
    """May see the queues (``"queue"``), the workers (``"worker"``), …: the engine's rows of this name."""
    return _has(user, f"furrow.view_{what}")


def may_act_on_workflows(user: Any) -> bool:
    """May act on workflows (cancel, pause, resume, restart, fork) whose jobs' kinds ask for nothing more."""
    return _has(user, VIEW_WORKFLOW) and _has(user, ACT_ON_WORKFLOW)


def may_act_on_queues(user: Any) -> bool:
    """May pause and resume queues."""
    return may_see(user, "queue") and may_act(user)


def may_act_on_schedule(user: Any, kind: Kind | str) -> bool:
    """May pause and resume schedules of this kind."""
    return may_see(user, "schedule") and may_act(user, kind)


def may_run_schedule(user: Any, kind: Kind | str) -> bool:
    """May run schedules of this kind now, and backfill them: that submits jobs."""
    return may_see(user, "schedule") and may_submit(user, kind)


def may_change_schedules(user: Any, verb: str, kind: Kind | str | None = None) -> bool:
    """May ``add`` or ``change`` schedules of this kind; without a kind: of those that ask for no permission of their own."""
    return _has(user, f"furrow.{verb}_schedule") and may_submit(user, kind)


def may_delete_schedules(user: Any, kind: Kind | str | None = None) -> bool:
    """May delete schedules of this kind."""
    return _has(user, "furrow.delete_schedule") and _has_own(user, kind)


def may_act_on_backfill(user: Any, kind: Kind | str) -> bool:
    """May pause, resume and cancel backfills of this kind, and retry what failed."""
    return may_see(user, "backfill") and may_act(user, kind)


def may_start_backfill(user: Any, kind: Kind | str) -> bool:
    """May start backfills of this kind: that submits jobs."""
    return may_see(user, "backfill") and may_submit(user, kind)


def may_change_canaries(user: Any, kind: Kind | str) -> bool:
    """May begin, widen and take back the canary of this kind."""
    return may_see(user, "canary") and _has(user, "furrow.change_canary") and may_act(user, kind)


def may_make_tokens(user: Any) -> bool:
    """May make tokens of the HTTP API that act for this user; a superuser may for anybody."""
    return _has(user, "furrow.add_apitoken")


def may_revoke(user: Any, owner: Any) -> bool:
    """May revoke a token of the user with this id: one's own, or any."""
    return _has(user, "furrow.revoke_apitoken") or (may_make_tokens(user) and owner == user.pk)


def forbidden_kinds(user: Any) -> list[str]:
    """The kinds whose own permission this user lacks, by name: a statement over many jobs leaves these out::

    Job.objects.filter(…).exclude(kind__in=forbidden_kinds(user))
    """
    return [kind.name for kind in all_kinds() if not _has_own(user, kind)]


def _has(user: Any, name: str) -> bool:
    return user is not None and bool(user.has_perm(name))


def _has_own(user: Any, kind: Kind | str | None) -> bool:
    """A kind that is not registered here any more asks for nothing of its own: nobody knows what it was."""
    if isinstance(kind, str):
        try:
            kind = get_kind(kind)
        except UnknownKind:
            return True
    return kind is None or not kind.permission or _has(user, kind.permission)
