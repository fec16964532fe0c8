"""Claims: give due jobs of external kinds to a worker."""

import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

from furrow import signals, statements
from furrow.conf import conf
from furrow.errors import ArgumentError
from furrow.fingerprint import fingerprint
from furrow.kinds.external import ExternalKind
from furrow.kinds.kind import all_kinds, get_kind
from furrow.kinds.meta import from_json
from furrow.models import Job
from furrow.models.database import atomic, connection
from furrow.sanitize import clean, cut
from furrow.statements import Claimed, Settlement
from furrow.states import Outcome, State

#: So many times as many jobs are looked at as are wanted: several workers ask at once, and each skips what others have locked.
#: When all of those are locked, more are looked at.
SPARE = (4, 64, 1024)


class Assignment(NamedTuple):
    """A job that a worker now owns, with what it needs to run it."""

    id: uuid.UUID
    kind: str
    attempt: int
    max_attempts: int
    arguments: dict[str, Any]
    meta: dict[str, Any]
    timeout: float | None  #: seconds from now; then the run is over


def external_kinds() -> list[str]:
    """The names of all external kinds."""
    return [kind.name for kind in all_kinds() if kind.external]


def claim(worker: uuid.UUID, kinds: Sequence[str], limit: int) -> list[Assignment]:
    """Give at most ``limit`` due jobs of these kinds to this worker, the best priority and the longest due first.

    A job whose arguments do not fit its kind fails here: no worker gets it."""
    given, unfit = [], []
    for job in _claimed(worker, kinds, limit):
        try:
            given.append(_assignment(job))
        except ArgumentError as error:
            unfit.append(_unfit(job, error))
    if unfit:
        statements.on(connection).settle(connection, unfit)
        signals.runs_settled((end.id, end.attempt) for end in unfit)
    return given


def _claimed(worker: uuid.UUID, kinds: Sequence[str], limit: int) -> list[Claimed]:
    """In the order in which they were offered."""
    sql = statements.on(connection)
    for spare in SPARE:
        ids: list[str] = sql.offered(connection, conf().external_queues, kinds, limit * spare)
        if not ids:
            break
        with atomic():
            rows = Job.objects.filter(pk__in=ids).order_by("priority", "run_at", "id").select_for_update(skip_locked=True)
            mine = list(map(str, rows.values_list("pk", flat=True)[:limit]))
            claimed: list[Claimed] = sql.claim(connection, worker, mine) if mine else []
        if mine:
            return sorted(claimed, key=lambda job: mine.index(job.id))
        if len(ids) < limit * spare:
            break
    return []


def _assignment(job: Claimed) -> Assignment:
    kind = get_kind(job.kind)
    assert isinstance(kind, ExternalKind)
    arguments, id = kind.given(job.arguments), uuid.UUID(job.id)
    return Assignment(id, job.kind, job.attempt, job.max_attempts, arguments, from_json(job.meta), kind.timeout)


def _unfit(job: Claimed, error: ArgumentError) -> Settlement:
    text = cut(clean(" ".join(f"ArgumentError: {error}".split())), 2_000)
    end = Settlement(job.id, job.attempt, State.FAILED, Outcome.FAILED, error=text, error_type="ArgumentError")
    return end._replace(fingerprint=fingerprint("ArgumentError", text))
