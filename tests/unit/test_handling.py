"""Messages in a worker's hands: kept as dead for a fault of theirs alone; handled again after any other."""

import errno
import math
from types import SimpleNamespace
from typing import Any

import amqp
import pytest
from celery.worker import state as celery_state
from django.db import DataError, OperationalError
from furrow.diagnosis import troubles
from furrow.worker.celery.handling import Handling, wrong_limits
from furrow.worker.intake import lines
from kombu.asynchronous.semaphore import LaxBoundedSemaphore


class Worker:
    """Celery's, as far as it is asked."""

    def __init__(self) -> None:
        self.semaphore = LaxBoundedSemaphore(2)
        self._quick_release = self.semaphore.release
        self.hub = self
        self.later: list[tuple[Any, ...]] = []
        self.error: Exception | None = None
        self.ran: list[Any] = []

    def call_later(self, delay: float, function: Any, *arguments: Any) -> None:
        """As the hub's."""
        self.later.append((delay, lambda: function(*arguments)))

    def _process_task(self, request: Any) -> None:
        if self.error:
            raise self.error
        self.ran.append(request)


class Request:
    """One of Celery's."""

    def __init__(self) -> None:
        self.id, self.message = "a", message()
        self.time_limits: tuple[Any, Any] = (None, None)


class Dead:
    """What was kept as dead."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    def keep(self, message: Any, reason: str) -> None:
        """This."""
        self.kept.append((message, reason))


@pytest.fixture(autouse=True)
def _no_troubles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(troubles, "_noted", {})


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def dead() -> Dead:
    return Dead()


@pytest.fixture
def handling(worker: Worker, dead: Dead) -> Handling:
    return Handling(worker, dead, set())  # type: ignore[arg-type]


def message() -> Any:
    return SimpleNamespace(delivery_tag=7, channel=SimpleNamespace(connection=True))


def raising(error: Exception) -> Any:
    """Celery's handler."""

    def handle(message: Any) -> None:
        raise error

    return handle


@pytest.mark.parametrize("error", [ValueError("v"), KeyError("k"), RecursionError(), OverflowError(), DataError("too long")])
def test_a_message_that_can_never_be_used_is_kept(handling: Handling, dead: Dead, worker: Worker, error: Exception) -> None:
    handling.over(raising(error))
    one = message()
    handling(one)
    assert [kept for kept, _ in dead.kept] == [one]
    assert type(error).__name__ in dead.kept[0][1]
    assert not worker.later
    assert not handling._unsettled


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("the database is away"),
        MemoryError(),
        RuntimeError("can't start new thread"),
        OSError(errno.EMFILE, "Too many open files"),
        NotImplementedError("nobody thought of it"),
    ],
)
def test_what_is_not_its_fault_has_a_message_handled_again(
    handling: Handling, dead: Dead, worker: Worker, error: Exception
) -> None:
    one = message()
    handled: list[Any] = []
    for _ in range(3):
        handling.over(raising(error))
        if not worker.later:
            handling(one)
        else:
            worker.later.pop()[1]()
        assert handling._unsettled == {7}  # no acknowledgement of others is one of it
    (delay, again), *_ = worker.later
    assert delay == 2.0
    handling.over(handled.append)
    again()
    assert (handled, dead.kept, handling._unsettled) == ([one], [], set())
    assert "handling of a message" in troubles._noted


def test_a_bug_of_ours_throws_no_message_away(handling: Handling, dead: Dead, worker: Worker) -> None:
    handling.over(lambda message: lines.Lines().try_again("no such id"))  # KeyError, in our code
    handling(message())
    assert not dead.kept
    assert worker.later


def test_what_came_over_a_connection_that_is_gone_is_left_to_rabbitmq(handling: Handling, worker: Worker) -> None:
    handling.over(raising(MemoryError()))
    one = message()
    handling(one)
    one.channel.connection = None
    worker.later.pop()[1]()
    assert not worker.later


def test_a_lost_connection_is_celerys_business(handling: Handling, dead: Dead) -> None:
    handling.over(raising(amqp.ConnectionForced("gone")))
    with pytest.raises(amqp.ConnectionForced):
        handling(message())
    assert not dead.kept


@pytest.mark.parametrize("error", [None, ValueError("v"), MemoryError()])
def test_a_task_that_the_pool_cannot_take_gives_its_place_back(
    handling: Handling, dead: Dead, worker: Worker, error: Exception | None
) -> None:
    request = Request()
    request.time_limits = (None, None) if error else (math.nan, None)
    worker.error = error
    celery_state.requests["a"] = request
    for _ in range(3):
        worker.semaphore.acquire(worker._process_task, request)
    assert worker.semaphore.value == 2
    assert not worker.ran
    assert "a" not in celery_state.requests
    assert bool(dead.kept) == (not isinstance(error, MemoryError))


@pytest.mark.parametrize("limits", [None, [], (None, None), [1, 2.5], [0, None]])
def test_time_limits_that_celery_can_use(limits: Any) -> None:
    assert wrong_limits(limits) == ""


@pytest.mark.parametrize("limits", ["x", [1], [1, 2, 3], [math.nan, 1], [math.inf, 1], [-1, None], [None, 10**400], {"a": 1}])
def test_time_limits_that_are_none(limits: Any) -> None:
    assert "timelimit" in wrong_limits(limits)
