"""Workers in other languages: claim, heartbeat, log, progress, finish, leave. docs/other_languages.md is the protocol."""

from collections.abc import Callable, Collection
from typing import Any, TypeVar

from django.http import HttpRequest
from ninja import Router

from furrow.actions import permissions
from furrow.api import waiting
from furrow.api.auth import Caller, caller, needs
from furrow.external import operations
from furrow.external.claims import Assignment, external_kinds
from furrow.external.ends import RowsLocked
from furrow.external.operations import Claiming, RunsOver
from furrow.external.shapes import (
    Claim,
    Claimed,
    Finished,
    Finishes,
    Heartbeat,
    Left,
    Lines,
    Pulse,
    Recorded,
    Steps,
    Worker,
)
from furrow.models.api_token import Scope
from furrow.web.problems import Refused

router = Router(auth=needs(Scope.WORK), tags=["work"])

#: Seconds after which a worker may tell again what ended while its row was locked.
LOCKED = 2.0
Given = TypeVar("Given")


@router.post("/work/claim", response=Claimed, operation_id="claim_work")
def claim_work(request: HttpRequest, given: Claim) -> Any:
    """Take due jobs of external kinds, at most ``limit``; with ``wait``, wait so many seconds for the first. The answer has
    the worker's id, which may be a new one: use it from then on."""
    claiming = Claiming(given, _asked(caller(request), given.kinds))

    def look() -> tuple[list[Assignment], bool]:
        jobs = claiming.look()
        return jobs, bool(jobs)

    try:
        return claiming.answer(waiting.until(look, given.wait))
    except Refused:
        claiming.unheard()
        raise


@router.post("/work/heartbeat", response=Pulse, operation_id="heartbeat")
def heartbeat(request: HttpRequest, given: Heartbeat) -> Any:
    """Keep the lease, and learn which runs to stop. Name every run until its end was answered."""
    return _done(request, operations.keep_alive, given)


@router.post("/work/log", response=Recorded, operation_id="log_work")
def log_work(request: HttpRequest, given: Lines) -> Any:
    """Append log lines to runs."""
    return _done(request, operations.append_lines, given)


@router.post("/work/progress", response=Recorded, operation_id="report_progress")
def report_progress(request: HttpRequest, given: Steps) -> Any:
    """Say how far runs are."""
    return _done(request, operations.note_progress, given)


@router.post("/work/finish", response=Finished, operation_id="finish_work")
def finish_work(request: HttpRequest, given: Finishes) -> Any:
    """End runs. Each is settled once; the same end told again gets the same answer."""
    try:
        return _done(request, operations.end_runs, given)
    except RowsLocked as error:
        fields = {
            f"runs.{number}": operations.LOCKED for number, run in enumerate(given.runs) if (run.id, run.attempt) in error.runs
        }
        raise Refused(503, fields=fields, retry_after=LOCKED) from None


@router.post("/work/leave", response=Left, operation_id="leave_work")
def leave_work(request: HttpRequest, given: Worker) -> Any:
    """Give the lease back at shutdown. Hand back what still runs before, with the outcome ``interrupted``."""
    return _done(request, operations.give_back, given)


# --- Steps ------------------------------------------------------------------------------------------------------------


def _done(request: HttpRequest, operation: Callable[[Given, Collection[str]], dict[str, Any]], given: Given) -> dict[str, Any]:
    """Raises Refused (409) which names each run that is over by its place; all others were recorded."""
    try:
        return operation(given, _permitted(caller(request)))
    except RunsOver as over:
        raise Refused(409, fields=over.entries) from None


def _permitted(who: Caller) -> list[str]:
    """The external kinds that this caller may run: who runs a job sees its arguments and ends it, as who acts on it may."""
    return [kind for kind in external_kinds() if who.has_kind(kind) and permissions.may_act(who.user, kind)]


def _asked(who: Caller, kinds: list[str] | None) -> list[str]:
    """The kinds that it asks for; all that it may run when it names none.

    Raises:
        Refused: 422 for a kind that is not external, 403 for one that it may not run.
    """
    known = external_kinds()
    for number, kind in enumerate(kinds or ()):
        if kind not in known:
            raise Refused(422, fields={f"kinds.{number}": operations.not_external(kind, known)})
        who.must_act(kind)
    if permitted := kinds or _permitted(who):
        return permitted
    raise Refused(403, "There is no external kind that this token and its user may run.")
