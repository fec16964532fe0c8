"""How much to claim ahead: by the measured run time of each kind, in seconds of work. No knob.

Every process that will be free soon may have ``AHEAD`` seconds of work claimed for it. Of a short kind that is hundreds of
jobs, which makes the group commit worth it; a long one, or one never measured, counts as ``AHEAD``, so that exactly one is
claimed for a free process, and none for a busy one: another worker may be free.
"""

from collections.abc import Iterable

#: Seconds of work claimed ahead for each process.
AHEAD = 0.05
#: What a job costs at least, in seconds: the engine's own overhead.
OVERHEAD = 0.00015
#: For each process a worker holds messages of so many seconds of work; at most so many; and so many before it has measured any.
HOLD, MOST_HELD, HELD_AT_FIRST = 1.0, 500, 100
#: Weight of the newest run in a kind's moving average (exponentially weighted).
WEIGHT = 0.1


class Prefetch:
    """Average run times of the kinds seen by this worker."""

    def __init__(self) -> None:
        self._average: dict[str, float] = {}
        self._of_all: float | None = None

    def ran(self, kind: str, seconds: float) -> None:
        """A run of this kind took so long."""
        known = self._average.get(kind)
        self._average[kind] = seconds if known is None else known + WEIGHT * (seconds - known)
        self._of_all = seconds if self._of_all is None else self._of_all + WEIGHT * (seconds - self._of_all)

    def count(self, processes: int) -> int:
        """How many messages to hold for so many processes."""
        of_each = HELD_AT_FIRST if self._of_all is None else int(HOLD / max(self._of_all, OVERHEAD))
        return processes * min(max(of_each, 1), MOST_HELD)

    def cost(self, kind: str) -> float:
        """What a job of this kind counts for, in seconds, between ``OVERHEAD`` and ``AHEAD``."""
        return min(max(self._average.get(kind, AHEAD), OVERHEAD), AHEAD)

    def blocked(self, busy: Iterable[tuple[str, float]]) -> int:
        """How many of the busy processes will not be free soon: by what they run (a kind, seconds by now)."""
        return sum(1 for kind, seconds in busy if seconds > AHEAD or self._average.get(kind, AHEAD) >= AHEAD)

    def room(self, processes: int, busy: Iterable[tuple[str, float]], claimed: Iterable[str]) -> float:
        """Seconds of work to claim now.

        Args:
            processes: how many there are.
            busy: for each busy one the kind it runs and for how many seconds by now.
            claimed: the kinds of the jobs claimed and not begun.
        """
        return (processes - self.blocked(busy)) * AHEAD - sum(map(self.cost, claimed))
