"""When a failed attempt is followed by another, and after how long. Pure: the clock and the dice are arguments."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from apps.jobs.errors import Abort, ArgumentError, KindError, ResultError, Retry

#: The longest wait that a policy may ask for, in seconds (a week).
MAX_DELAY = 7 * 24 * 3600.0
#: Another attempt cannot mend these.
FINAL_ERRORS = (Abort, ArgumentError, ResultError)


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How a kind is tried again.

    The wait before attempt ``n + 1`` is drawn from ``[d * (1 - jitter), d]`` with ``d = min(cap, base * factor ** (n - 1))``
    seconds: exponential backoff with jitter (the reasons: M. Brooker, "Exponential Backoff And Jitter", AWS, 2015).
    ``exceptions`` overrides the policy for an exception class and its subclasses, the nearest class winning; ``None`` there
    means that such an error is final.
    """

    max_attempts: int = 5
    base: float = 2.0
    factor: float = 2.0
    cap: float = 3600.0
    jitter: float = 0.5
    exceptions: Mapping[type[BaseException], "RetryPolicy | None"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, legal, remedy in (
            ("max_attempts", 1 <= self.max_attempts <= 1000, "between 1 (no retry) and 1000"),
            ("base", 0 <= self.base <= MAX_DELAY, f"seconds, from 0 to {MAX_DELAY:g}"),
            ("factor", 1 <= self.factor <= 100, "between 1 (constant) and 100"),
            ("cap", 0 <= self.cap <= MAX_DELAY, f"seconds, from 0 to {MAX_DELAY:g}"),
            ("jitter", 0 <= self.jitter <= 1, "between 0 (none) and 1 (from zero to the full wait)"),
        ):
            if not legal:
                raise KindError(f"RetryPolicy({name}={getattr(self, name)!r}): {name} must be {remedy}.")

    def delay(self, failures: int, dice: Callable[[], float] = random.random) -> float:
        """Seconds to wait after the ``failures``-th failed attempt (1, 2, …)."""
        full = min(self.cap, self.base * self.factor ** min(failures - 1, 200))
        return full * (1 - self.jitter * dice())

    def for_error(self, error: type[BaseException]) -> "RetryPolicy | None":
        """The policy for this class of error; ``None`` when it is final."""
        for ancestor in error.__mro__:
            if ancestor in self.exceptions:
                return self.exceptions[ancestor]
        return self


def next_delay(
    policy: RetryPolicy, failures: int, max_attempts: int, error: BaseException | type[BaseException]
) -> float | None:
    """Seconds until the next attempt, or ``None`` when the job has failed for good.

    ``failures`` counts the attempts that ended badly, this one included; ``max_attempts`` is the job's own limit.
    """
    error_class = error if isinstance(error, type) else type(error)
    if issubclass(error_class, FINAL_ERRORS):
        return None
    chosen = policy.for_error(error_class)
    # A policy of an exception has a limit of its own, and never more than the job's.
    limit = max_attempts if chosen is policy else min(max_attempts, chosen.max_attempts if chosen else 0)
    if chosen is None or failures >= limit:
        return None
    if isinstance(error, Retry) and error.seconds is not None:
        return min(error.seconds, MAX_DELAY)
    return chosen.delay(failures)
