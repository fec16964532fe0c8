"""The only door for other code::

    from apps.locks.api import leader, lock, rate_limit, semaphore

    with lock("order:7") as held:                    # one at a time; waits
        Order.objects.fenced(held).filter(pk=7).update(state="paid")

    with lock("order:7", timeout=0): ...             # or not at all: raises NotAcquired
    with semaphore("gpu", 4) as held: ...            # four at a time; held.slot is 0 to 3
    with rate_limit("mail", "100/m", burst=10): ...  # waits until the rate allows it

    @lock("account:{account_id}")                    # around a function: names are filled in with its arguments
    def settle(account_id: int) -> None: ...

    with leader("billing") as held:                  # one process of all leads; the others wait
        while held.is_held(): ...

What each promises, and what not, is in docs/consistency.md.
"""

from apps.locks.errors import LockError, LockLost, LockUnavailable, NotAcquired, RateLimited, StaleFence
from apps.locks.fenced import FencedModel
from apps.locks.guards import leader, lock, semaphore
from apps.locks.held import Held
from apps.locks.rate import rate_limit

__all__ = [
    "FencedModel",
    "Held",
    "LockError",
    "LockLost",
    "LockUnavailable",
    "NotAcquired",
    "RateLimited",
    "StaleFence",
    "leader",
    "lock",
    "rate_limit",
    "semaphore",
]
