"""Drift: disagreements between rows, messages and processes that the dispatcher found, recorded for people.

Whoever looks (reconcile, rescue, …) calls :func:`note` with what it found and what it repaired.
"""

from django.db.models import F
from django.db.models.functions import Now

from furrow.models import Drift

#: What is found is for these by how many seconds.
CLOCK_SET_BACK, CLOCK_SET_FORWARD = "clock_set_back", "clock_set_forward"
#: By name. A row of a name that is not here is shown by its name.
MEANINGS = {
    "queued_without_message": "Queued jobs without a message in RabbitMQ: sent again",
    "running_without_worker": "Running jobs whose worker is gone: rescued",
    "limits_without_job": "Slots of limits held by jobs that do not run: freed",
    "rows_locked": "Due jobs whose rows another transaction has locked for seconds: sent when it ends",
    CLOCK_SET_BACK: "Seconds by which the database's clock was set back: due times, messages and slots were shifted",
    CLOCK_SET_FORWARD: "Seconds by which the database's clock was set forward: scheduled jobs ran early",
    "locks_without_holder": "Locks held by jobs that do not run: freed when their leases end",
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
