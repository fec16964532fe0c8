"""What came of a drain."""

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from furrow.states import EXCUSED, Outcome, State
from furrow.testing.engine import Ended


@dataclass(frozen=True)
class Drained:
    """How many runs ended how, and which jobs ran, in their order. A job that was tried three times is three runs."""

    succeeded: int = 0
    failed: int = 0  #: for good: no attempt is left, or it may not be tried again
    retried: int = 0  #: failed, and pending again
    snoozed: int = 0
    interrupted: int = 0  #: could not begin (a kind that is not registered, say), and pending again
    cancelled: int = 0
    jobs: Sequence[uuid.UUID] = field(default=(), repr=False)

    @property
    def runs(self) -> int:
        """All of them."""
        return len(self.jobs)

    @classmethod
    def of(cls, ended: Sequence[Ended]) -> "Drained":
        """The counts of these runs."""
        return cls(jobs=tuple(run.job for run in ended), **Counter(map(_name, ended)))


def _name(run: Ended) -> str:
    if run.settlement.outcome in EXCUSED:
        return "snoozed" if run.settlement.outcome == Outcome.SNOOZED else "interrupted"
    return "retried" if run.settlement.state == State.PENDING else str(run.settlement.state)
