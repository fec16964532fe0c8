"""Retry policies: whether a failed attempt is followed by another, and when. Pure: the random numbers are an argument."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from furrow.errors import Abort, ArgumentError, KindError, ResultError, Retry, StepError

#: The longest wait that a policy may ask for, in seconds (a week).
MAX_DELAY = 7 * 24 * 3600.0
#: Another attempt cannot mend these.
FINAL_ERRORS = (Abort, ArgumentError, ResultError, StepError)


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """When a failed attempt is followed by another: exponential backoff with jitter.

    The wait before attempt ``n + 1`` is drawn from ``[d * (1 - jitter), d]`` with ``d = min(cap, base * factor ** (n - 1))``
    seconds (why: M. Brooker, "Exponential Backoff And Jitter", AWS, 2015).
    """

    #: Attempts that count, the first included; 1 means no retry.
    max_attempts: int = 5
    #: Seconds before the second attempt.
    base: float = 2.0
    #: By how much each wait is longer than the one before.
    factor: float = 2.0
    #: The longest wait, in seconds.
    cap: float = 3600.0
    #: The share of a wait that is random: 0 is none, 1 is from zero to the full wait.
    jitter: float = 0.5
    #: Other policies for some exception classes and their subclasses; the nearest class wins. ``None``: fail at once.
    exceptions: Mapping[type[BaseException], "RetryPolicy | None"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, types, least, most, remedy in (
            ("max_attempts", (int,), 1, 1000, "a whole number from 1 (no retry) to 1000"),
            ("base", (int, float), 0, MAX_DELAY, f"seconds, from 0 to {MAX_DELAY:.0f} (a week)"),
            ("factor", (int, float), 1, 100, "a number from 1 (constant) to 100"),
            ("cap", (int, float), 0, MAX_DELAY, f"seconds, from 0 to {MAX_DELAY:.0f} (a week)"),
            ("jitter", (int, float), 0, 1, "a number from 0 (none) to 1 (from zero to the full wait)"),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, types) or not least <= value <= most:
                raise KindError(f"RetryPolicy({name}={value!r}): {name} must be {remedy}.")
        self._check_exceptions()

    def _check_exceptions(self) -> None:
        if not isinstance(self.exceptions, Mapping):
            raise KindError(f"RetryPolicy(exceptions={self.exceptions!r}): exceptions must map classes to policies.")
        for error, policy in self.exceptions.items():
            if not (isinstance(error, type) and issubclass(error, BaseException)):
                raise KindError(f"RetryPolicy(exceptions=…): {error!r} is no exception class; write the class itself.")
            if policy is not None and not isinstance(policy, RetryPolicy):
                name = error.__name__
                raise KindError(f"RetryPolicy(exceptions={{{name}: {policy!r}}}): use a RetryPolicy, or None if it is final.")

    def delay(self, failures: int, dice: Callable[[], float] = random.random) -> float:
        """Seconds to wait after the ``failures``-th failed attempt (1, 2, …)."""
        try:
            full = min(self.cap, self.base * float(self.factor) ** (failures - 1))
        except OverflowError:
            full = self.cap if self.base else 0.0
        return full * (1 - self.jitter * dice())

    def for_error(self, error: type[BaseException]) -> "RetryPolicy | None":
        """The policy for this exception class; ``None``: such an error is final."""
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
