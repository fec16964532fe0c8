"""Locks that jobs hold: find those whose run has ended, and free them."""

import logging
import uuid
from collections.abc import Iterable

from furrow.conf import conf
from furrow.locks import listing, owner
from furrow.locks.errors import LockUnavailable
from furrow.locks.listing import Holder, InUse
from furrow.models import Job
from furrow.states import State

logger = logging.getLogger(__name__)


def without_holder(locks: list[InUse] | None = None) -> list[tuple[InUse, Holder]]:
    """What is held for a run that is not running (any more): each falls free when its lease ends.

    Raises:
        LockUnavailable: Redis is not there.
    """
    held = [
        (lock, holder, run)
        for lock in (listing.in_use() if locks is None else locks)
        for holder in lock.holders
        if (run := owner.job_of(holder.owner)) is not None
    ]
    running = Job.objects.filter(pk__in={job for _, _, (job, _) in held}, state=State.RUNNING)
    runs = set(running.values_list("pk", "attempt"))
    return [(lock, holder) for lock, holder, run in held if run not in runs]


def free(runs: Iterable[tuple[uuid.UUID, int]]) -> None:
    """Give back what these runs hold, which are over: best effort, their leases end anyway. Without Redis they hold none."""
    if not conf().redis_url:
        return
    try:
        listing.free({owner.of_job(job, attempt) for job, attempt in runs})
    except LockUnavailable as error:
        logger.warning("Locks of dead workers fall free when their leases end: %s", error)
