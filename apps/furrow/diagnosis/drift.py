"""Drift: what the dispatcher finds where rows, messages and processes disagree, written down for people.

Whoever looks (reconcile, rescue, …) calls :func:`note` with what it found and what it repaired.
"""

from django.db.models import F
from django.db.models.functions import Now

from furrow.models import Drift

#: What is found is for these by how many seconds.
CLOCK_SET_BACK, CLOCK_SET_FORWARD = "clock_set_back", "clock_set_forward"
#: By name. A row of a name that is not here is shown by its name.
MEANINGS = {
    "queued_without_message": "Jobs that are queued, and RabbitMQ holds no message of theirs: sent again",
    "running_without_worker": "Jobs that run by the database, and their worker is gone: taken back",
    "limits_without_job": "Places of limits held by jobs that do not run: freed",
    "rows_locked": "Due jobs whose rows another transaction has locked for seconds: sent when it ends",
    CLOCK_SET_BACK: "Seconds by which the database's clock was set back: what was due, sent or held counts from then",
    CLOCK_SET_FORWARD: "Seconds by which the database's clock was set forward: what was due later came early",
    "locks_without_holder": "Locks held by jobs that do not run: freed at their lease's end",
}


def note(name: str, found: int, repaired: int = 0) -> None:
    """Write down the outcome of a look: how many disagree now, how many of them were repaired by it."""
    known = Drift.objects.filter(name=name)
    again = known.update(
        found=found,
        repaired=F("repaired") + repaired,
        looked_at=Now(),
        found_at=Now() if found else F("found_at"),
        repaired_at=Now() if repaired else F("repaired_at"),
    )
    if not again:
        Drift.objects.bulk_create(
            [
                Drift(
                    name=name,
                    found=found,
                    repaired=repaired,
                    looked_at=Now(),
                    found_at=Now() if found else None,
                    repaired_at=Now() if repaired else None,
                )
            ],
            ignore_conflicts=True,
        )
