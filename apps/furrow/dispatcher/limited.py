"""Due jobs with limits: a lane beside the others, in the same order.

Nothing is kept of them between rounds (no cursor): one that was held becomes due again long after its time.
"""

import contextlib
import json
import logging
import uuid
from functools import partial

from furrow import statements
from furrow.actions.jobs import end_unstarted
from furrow.conf import conf
from furrow.dispatcher.admission import Admission
from furrow.dispatcher.turns import Turns
from furrow.errors import UnknownKind
from furrow.kinds.kind import all_kinds, get_kind
from furrow.limits.limit import QUEUE, Limit, row, to_json
from furrow.limits.stored import UnreadableLimits, read
from furrow.models import Job
from furrow.models.database import atomic, connection
from furrow.statements import Candidate, Place, RuleColumns, Sendable
from furrow.states import State

logger = logging.getLogger(__name__)

#: Jobs that one round looks at, at most.
BATCH = 1_000


def queue_limit(queue: str) -> list[Limit]:
    """The queue's own, if it has one."""
    slots = conf().queue_limits.get(queue)
    return [] if slots is None else [Limit(QUEUE + queue, slots)]


def current(stored: list[Limit], kind: str, queue: str) -> list[Limit]:
    """The limits of a job that waits, by today's declaration of its kind and today's limit of its queue; it may have come from
    another."""
    limits = [limit for limit in stored if not limit.key.startswith(QUEUE)]
    if any(limit.declared for limit in limits):
        with contextlib.suppress(UnknownKind):  # its run will say so
            rules = get_kind(kind).rules
            limits = [limit for one in limits if (limit := rules.as_declared(one))]
    return limits + queue_limit(queue)


class Limited:
    """Of one queue."""

    def __init__(self, queue: str, admission: Admission) -> None:
        self.queue = queue
        self._admission = admission
        self._turns = Turns(queue)
        self._own = queue_limit(queue)
        self._ruled = {kind.name for kind in all_kinds() if kind.rules.any}

    def due(self, limit: int, more_from: Place | None, term: int) -> list[Sendable]:
        """At most ``limit`` due jobs, with all their slots taken; none that come behind ``more_from`` in the order of the day:
        up to there the queue's other jobs are known."""
        sql = statements.on(connection)
        found: list[Candidate] = sql.candidates(connection, self.queue, min(limit, BATCH))
        if len(found) < limit and self._turns.take(limit - len(found), term):
            found = sql.candidates(connection, self.queue, min(limit, BATCH))
        if more_from is not None:
            found = [candidate for candidate in found if candidate.place <= more_from]
        stored = self._stored(found)
        legible = [candidate for candidate in found if candidate.id in stored]
        return self._admission.admit(legible, partial(self._limits_of, stored), term) if legible else []

    def _stored(self, candidates: list[Candidate]) -> dict[uuid.UUID, list[Limit]]:
        """The limits that their rows have. A job of another program whose limits cannot be read fails, and no other with it."""
        found: dict[uuid.UUID, list[Limit]] = {}
        for candidate in candidates:
            try:
                found[candidate.id] = read(candidate.limits)
            except UnreadableLimits as error:
                logger.warning("Job %s fails: %s.", candidate.id, error)
                with atomic():
                    pending = Job.objects.filter(pk=candidate.id, state=State.PENDING)
                    end_unstarted(pending, f"UnreadableLimits: {error}; only Furrow writes this column", State.FAILED)
        return found

    def seconds_until_due(self) -> float | None:
        """Until the next of them that is not held is due; ``None`` when there is none."""
        return statements.on(connection).seconds_until_candidate(connection, self.queue)

    def _limits_of(self, found: dict[uuid.UUID, list[Limit]], candidate: Candidate) -> list[Limit]:
        """As the row says, with the numbers of today, which are written to it."""
        stored = found[candidate.id]
        limits = current(stored, candidate.kind, self.queue)
        if limits != stored:
            Job.objects.filter(pk=candidate.id).update(limits=json.loads(to_json(limits)))
        return limits

    def sort_out(self, jobs: list[Sendable]) -> list[Sendable]:
        """Those that may be sent as they are. To a job of another program, whose kind or queue has limits, they are written,
        and it waits for the next round."""
        if jobs and (self._own or (self._ruled and any(job.kind in self._ruled for job in jobs))):
            ruled = [job.id for job in jobs if self._own or job.kind in self._ruled]
            with atomic():
                # What is locked waits as it is.
                rows = [self._rules(job) for job in Job.objects.filter(pk__in=ruled).select_for_update(skip_locked=True)]
                if rows:
                    statements.on(connection).set_rules(connection, rows)
            without = {*ruled}
            return [job for job in jobs if job.id not in without]
        return jobs

    def _rules(self, job: Job) -> RuleColumns:
        try:
            kind = get_kind(job.kind)
            arguments = json.loads(kind.arguments.to_json(job.arguments))
            limits, fair_key = kind.rules.limits(arguments), kind.rules.fair_key(arguments)
        except Exception:  # its run will say so: an unknown kind, arguments that do not fit, a validator that fails
            limits, fair_key = [], None
        columns = row([*limits, *self._own], fair_key)
        return RuleColumns(job.pk, columns["limits"], columns["order_key"], columns["fair_key"], columns["held"])
