"""Lines of messages, one a key: who came first goes first, and the next one only when that has left. Pure."""

from collections import Counter, deque
from collections.abc import Collection
from typing import Any, NamedTuple

#: A partition, and a key in it.
Key = tuple[str, str]


class Arrived(NamedTuple):
    """A job's message."""

    channel: Any
    tag: int  #: AMQP's delivery tag
    id: str
    kind: str


class Lines:
    """All lines of a worker."""

    def __init__(self) -> None:
        self._lines: dict[Key, deque[Arrived]] = {}
        self._key_of: dict[str, Key] = {}
        #: Keys whose first one may be claimed.
        self.ready: deque[Key] = deque()
        self._is_ready: set[Key] = set()

    def __contains__(self, id: str) -> bool:
        return id in self._key_of

    def __len__(self) -> int:
        return len(self._key_of)

    def standing(self) -> dict[str, int]:
        """How many stand here, by partition, those that run included; may be asked by any thread."""
        return Counter(part for part, _ in self._key_of.copy().values())

    def add(self, part: str, key: str, arrived: Arrived) -> bool:
        """To the end of its line; ``False`` when this job stands in a line already."""
        if arrived.id in self._key_of:
            return False
        at = part, key
        self._key_of[arrived.id] = at
        line = self._lines.get(at)
        if line is None:
            self._lines[at] = deque([arrived])
            self._make_ready(at)
        else:
            line.append(arrived)
        return True

    def next(self) -> Arrived | None:
        """The first one of a line that is ready, which then is not any more; ``None`` when that line is gone."""
        at = self.ready.popleft()
        self._is_ready.discard(at)
        line = self._lines.get(at)
        return line[0] if line else None

    def leave(self, id: str) -> Arrived | None:
        """This job has ended: it leaves its line, and who is first then is ready. ``None`` when it stands in no line."""
        at = self._key_of.get(id)
        if at is None or self._lines[at][0].id != id:
            return None
        line = self._lines[at]
        del self._key_of[id]
        arrived = line.popleft()
        if line:
            self._make_ready(at)
        else:
            del self._lines[at]
        return arrived

    def try_again(self, id: str) -> None:
        """If this job is the first of its line, that line is ready."""
        at = self._key_of[id]
        if self._lines[at][0].id == id:
            self._make_ready(at)

    def again(self, but: Collection[str]) -> None:
        """All lines are ready, but those whose first one is among these."""
        for at, line in self._lines.items():
            if line[0].id not in but:
                self._make_ready(at)

    def drop(self, part: str) -> None:
        """Forget what came from this partition."""
        for at in [at for at in self._lines if at[0] == part]:
            for arrived in self._lines.pop(at):
                del self._key_of[arrived.id]

    def _make_ready(self, at: Key) -> None:
        if at not in self._is_ready:
            self._is_ready.add(at)
            self.ready.append(at)
