"""Of the jobs that a worker has claimed and not settled: those with limits, and how many of each line are left."""

from collections import Counter
from collections.abc import Iterable, Sequence

from furrow.statements import Claimed, Settlement


class Limited:
    """Used by the ledger's thread."""

    def __init__(self) -> None:
        self._jobs: dict[str, Claimed] = {}
        self._left: dict[str, int] = {}  # of a line, by its key

    def __bool__(self) -> bool:
        return bool(self._jobs)

    def forget(self) -> None:
        """The lease was lost: none of them is this worker's."""
        self._jobs, self._left = {}, {}

    def claimed(self, jobs: Iterable[Claimed]) -> None:
        """These are this worker's now. A line is one at a time."""
        mine = [job for job in jobs if job.limited]
        self._jobs |= {job.id: job for job in mine}
        self._left |= Counter(job.line for job in mine if job.line)

    def ending(self, settlements: Sequence[Settlement]) -> tuple[list[str], list[str]]:
        """Of these runs those with limits; and of those the ones that free no key: more of their line are to come."""
        ids = [end.id for end in settlements if end.id in self._jobs]
        ending = Counter(self._jobs[id].line for id in ids)
        return ids, [id for id in ids if (line := self._jobs[id].line) and ending[line] < self._left.get(line, 0)]

    def kinds(self, ids: Iterable[str]) -> list[str]:
        """Their kinds."""
        return [self._jobs[id].kind for id in ids]

    def settled(self, ids: Iterable[str]) -> None:
        """Their runs are settled, or somebody else's business."""
        for id in ids:
            if (job := self._jobs.pop(id, None)) and job.line:
                left = self._left.pop(job.line, 0) - 1
                if left > 0:
                    self._left[job.line] = left
