"""News for a worker's event loop: whatever another thread tells it, as one typed union, received in one place."""

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from furrow.statements import Asked, Claimed
from furrow.worker.failing import Watched


class Reply(NamedTuple):
    """The answer to a claim or a question, or the end of what was done off the event loop: ``callback(*answer)``."""

    callback: Callable[..., object]
    answer: tuple[Any, ...] = ()


class StopRequested(NamedTuple):
    """Somebody cancelled these running jobs."""

    ids: list[str]


class Owned(NamedTuple):
    """The jobs that this worker runs, as the database has them; sent with every renewal of the lease."""

    ids: list[str]


class HandedOver(NamedTuple):
    """The jobs that got the keys which ended runs set free."""

    jobs: list[Claimed]


class Requested(NamedTuple):
    """What people ask of this worker."""

    requests: list[Asked]


News = Reply | StopRequested | Owned | HandedOver | Requested


class Mail:
    """Posted from any thread; received in the event loop's, in the order of posting."""

    def __init__(self, hub: Any, receive: Callable[[News], None]) -> None:
        """``hub``: kombu's event loop."""
        self._hub = hub
        self._receive = receive
        self._waiting: deque[News] = deque()

    def post(self, news: News) -> None:
        """From any thread."""
        self._waiting.append(news)
        self._hub.call_soon(self.deliver)

    def deliver(self) -> None:
        """In the event loop's thread: have all that was posted received."""
        while self._waiting:
            Watched(self._receive, "answer to a worker's event loop")(self._waiting.popleft())
