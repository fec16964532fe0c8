"""In a pool process: what of its own goes wrong in a turn is told, and ends it; no job is lost with it."""

import contextlib
import os
import signal
import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from billiard.pool import EX_RECYCLE
from furrow.states import Outcome, State
from furrow.worker import channel, stacks
from furrow.worker.child import interruptions, runner
from furrow.worker.child.current import Run

from tests import kinds
from tests.stack import wait_until

ID = "01a22000-0000-7000-8000-{:012}"
LARGE = '{"text": "' + "x" * 100_000 + '"}'


@pytest.fixture
def packets(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The channels are open; in here is what the process reported."""
    for name in ("assignments", "reports", "stop_requests", "held_locks", "restarts"):
        monkeypatch.setattr(channel, name, None, raising=False)
    channel.open_channels()
    stacks.open_file()
    return []


def exit_code_of(child: Callable[[], object], packets: list[Any]) -> int:
    """In a forked process; its reports are read meanwhile."""
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            child()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            os._exit(code)

    def ended() -> tuple[int, int]:
        while (packet := channel.reports.receive()) is not None:
            packets.append(packet)
        return os.waitpid(pid, os.WNOHANG)

    status: list[int] = []
    try:
        wait_until(lambda: (found := ended())[0] and not status.append(found[1]))
    finally:
        if not status:
            os.kill(pid, signal.SIGKILL)
    ended_packets = iter(lambda: channel.reports.receive(), None)
    packets.extend(ended_packets)
    return os.waitstatus_to_exitcode(status[0])


def test_a_process_that_cannot_unpack_a_job_ends_to_be_replaced(packets: list[Any], no_descriptors: Any) -> None:
    assert channel.assignments.offer(((ID.format(1), "kinds.keeps", LARGE, 1, 0, 3),))
    assert channel.assignments.offer(((ID.format(2), "kinds.noop", "{}", 1, 0, 3),))

    def drain() -> None:
        runner._prepare_process()
        stack = contextlib.ExitStack()
        stack.enter_context(no_descriptors())
        runner.drain()

    assert exit_code_of(drain, packets) == EX_RECYCLE
    ((what, name, text, _),) = packets
    assert (what, name) == ("trouble", "turn of a pool process")
    assert "no descriptor is left to take a job's arguments by" in text
    assert channel.assignments.take_back() == ((ID.format(2), "kinds.noop", "{}", 1, 0, 3),)


def test_a_shortage_before_its_handler_is_called_costs_a_job_no_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    def from_json(text: str) -> None:
        raise MemoryError

    monkeypatch.setattr(runner, "_worn_out", "")
    monkeypatch.setattr(kinds.noop.arguments, "from_json", from_json)
    _, _, state, outcome, _, _, _, delay, _, error, *_ = runner.run(ID.format(1), "kinds.noop", "{}", 4, 2, 3)
    assert (state, outcome, delay) == (State.PENDING, Outcome.INTERRUPTED, 0.8)
    assert error == "its pool process could not begin it: MemoryError"
    assert runner._worn_out == "it could not begin a job (MemoryError)"


def test_what_comes_between_two_jobs_gives_back_the_one_in_hand(packets: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """An alarm, say, that an earlier handler left behind."""
    told: list[Any] = []

    def report(pid: int, ended: Any, begun: str | None) -> None:
        told.append((ended and ended[0], begun))
        if len(told) == 2:
            raise ValueError("from an alarm")

    monkeypatch.setattr(runner, "_report", report)
    monkeypatch.setattr(runner, "run", lambda id, *_: (id,))
    lines = [(ID.format(n), "kinds.noop", "{}", 1, 0, 3) for n in range(3)]
    assert channel.assignments.offer(tuple(lines))

    def drain() -> None:
        try:
            runner.drain()
        finally:
            channel.reports.send(tuple(told))

    assert exit_code_of(drain, packets) == EX_RECYCLE
    trouble, left, reports = packets
    assert trouble[2] == "The turn of a pool process fails: ValueError: from an alarm"
    assert left == ("left", "its pool process could not take it: ValueError", ID.format(1), ID.format(2))
    assert reports == ((None, ID.format(0)), (ID.format(0), ID.format(1)), (ID.format(0), None))


class _Slow(ValueError):
    """One that takes its time to say what it is."""

    def __str__(self) -> str:
        threading.Event().wait(60)
        return "never"


class _Stubborn(_Slow):
    """And that is not to be interrupted."""

    def __str__(self) -> str:
        while True:
            with contextlib.suppress(BaseException):
                super().__str__()


def _wide() -> BaseException:
    return ExceptionGroup("wide", [ValueError(n) for n in range(200_000)])


def _deep() -> BaseException:
    error: Exception = ValueError("innermost")
    for _ in range(100_000):
        error = ExceptionGroup("deep", [error])
    return error


@pytest.mark.parametrize(("make", "text"), [(_Slow, "_Slow"), (_wide, "ExceptionGroup"), (_deep, "ExceptionGroup")])
def test_what_an_exception_is_asked_has_an_end(
    packets: list[Any], monkeypatch: pytest.MonkeyPatch, make: Callable[[], BaseException], text: str
) -> None:
    monkeypatch.setattr(interruptions, "TELLING", 0.3)

    def run() -> None:
        runner._prepare_process()
        end = runner._end_by(Run(str(uuid.uuid4()), "kinds.fails", 1, 0, 3), make())
        channel.reports.send((str(end[0]), str(end[1]), *end[2:]))
        os._exit(0)  # without freeing what is nested so deep

    assert exit_code_of(run, packets) == 0
    ((state, outcome, delay, _, error, name, *_),) = packets
    assert (state, outcome, delay, name) == (State.PENDING, Outcome.FAILED, 0.05, text)
    assert error.startswith(text)


def test_an_exception_that_cannot_be_stopped_ends_its_process(packets: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruptions, "TELLING", 0.1)

    def run() -> None:
        runner._prepare_process()
        runner._end_by(Run(str(uuid.uuid4()), "kinds.fails", 1, 0, 3), _Stubborn())

    assert exit_code_of(run, packets) == EX_RECYCLE
    assert packets == []
