"""Claimed jobs on their way to the pool processes."""

import time
from types import SimpleNamespace
from typing import Any

import pytest
from furrow.statements import Claimed
from furrow.worker import channel
from furrow.worker.pool.assignments import Assignments


class Pool:
    """Takes orders, and tells nobody how they went until it is asked to."""

    num_processes = 2

    def __init__(self) -> None:
        self.orders: list[dict[str, Any]] = []

    def apply_async(self, function: Any, **callbacks: Any) -> None:
        """One more order."""
        self.orders.append(callbacks)


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Pool:
    for name in ("assignments", "reports", "stop_requests"):
        monkeypatch.setattr(channel, name, None, raising=False)
    channel.open_channels()
    return Pool()


def assignments(pool: Pool, unsendable: list[Any] | None = None, failed: list[Any] | None = None) -> Assignments:
    """As of a supervisor that notes what it is told."""
    refused, broken = [] if unsendable is None else unsendable, [] if failed is None else failed
    return Assignments(
        SimpleNamespace(pool=pool),
        lambda line, error: refused.append((line, error)),
        lambda pid, error: broken.append((pid, error)),
    )


def job(number: int, arguments: str = "{}") -> Claimed:
    """A claimed job."""
    return Claimed(f"00000000-0000-0000-0000-{number:012}", "kinds.noop", arguments, 1, 0, 5)


def test_as_many_processes_drain_as_there_are_jobs_for(pool: Pool) -> None:
    assigned = assignments(pool)
    assigned.add([[job(1)]])
    assert len(pool.orders) == 1
    assigned.add([[job(2)], [job(3)], [job(4)]])
    assert len(pool.orders) == 2


def test_a_drain_that_the_pool_forgot_is_ordered_again(pool: Pool) -> None:
    """As when the broker's connection is lost between the order and its acceptance."""
    assigned = assignments(pool)
    assigned.add([job(n)] for n in range(4))
    pool.orders[0]["accept_callback"](4711, 0.0)
    assigned.pool_forgot()
    assert assigned.draining == {4711}
    assigned.hand_out()
    assert len(pool.orders) == 3


def test_what_is_in_hand_is_neither_in_the_channel_nor_begun(pool: Pool) -> None:
    assigned = assignments(pool)
    assigned.add([job(n)] for n in range(4))
    taken = [channel.assignments.receive() for _ in range(2)]  # by pool processes
    assert taken[0] is not None
    assigned.begun(taken[0][0][0], 4711)
    untaken = assigned.take_back()
    assert untaken == [(job(2),), (job(3),)]
    assert assigned.in_hand() == {job(1)}
    assigned.add(untaken)
    assert assigned.give_up([job(1)]) == [job(1)]
    assert set(assigned) == {job(2), job(3)}


def test_a_line_goes_to_one_process_whole_and_comes_back_whole(pool: Pool) -> None:
    assigned = assignments(pool)
    assigned.add([[job(n) for n in range(3)], [job(3)]])
    assert len(assigned) == 4
    assert set(assigned) == {job(n) for n in range(4)}
    assert assigned.take_back() == [(job(0), job(1), job(2)), (job(3),)]
    assert not assigned


def test_the_rest_of_a_line_is_its_process_s(pool: Pool) -> None:
    assigned = assignments(pool)
    assigned.add([[job(n) for n in range(4)]])
    channel.assignments.receive()
    assert assigned.in_hand() == {job(n) for n in range(4)}  # nobody has said that it begins
    assigned.begun(job(0).id, 4711)
    assert assigned.in_hand() == set()
    assigned.begun(job(1).id, 4711)
    assert assigned.rest(4711) == [job(2), job(3)]
    assert assigned.left(job(3).id) == job(3)
    assert assigned.process_gone(4712) == []
    assert assigned.process_gone(4711) == [job(2)]
    assert not assigned


def test_what_no_descriptor_is_left_for_goes_back_and_the_rest_is_handed_out(pool: Pool, no_descriptors: Any) -> None:
    unsendable: list[Any] = []
    assigned = assignments(pool, unsendable)
    large = job(1, "x" * 100_000)
    with no_descriptors():
        assigned.add([[job(0)], [large], [job(2)]])
        assert assigned.take_back() == [(job(0),), (job(2),)]
    assert [line for line, _ in unsendable] == [(large,)]
    assert "Too many open files" in str(unsendable[0][1])


def test_a_large_line_is_taken_back_without_a_descriptor(pool: Pool, no_descriptors: Any) -> None:
    assigned = assignments(pool)
    large = [job(n, "x" * 50_000) for n in range(3)]
    assigned.add([large])
    with no_descriptors():
        assert assigned.take_back() == [tuple(large)]


def test_a_process_that_cannot_end_its_turn_is_told_of_and_drains_no_longer(pool: Pool) -> None:
    failed: list[Any] = []
    assigned = assignments(pool, failed=failed)
    assigned.add([[job(0)]])
    pool.orders[0]["accept_callback"](4711, 0.0)
    error = MemoryError()
    pool.orders[0]["error_callback"](SimpleNamespace(exception=error))
    assert failed == [(4711, error)]
    assert not assigned.draining


def test_what_must_not_begin_yet_is_handed_out_when_it_may(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    assigned, calls = assignments(pool), []
    assigned._worker.hub = SimpleNamespace(call_later=lambda *call: calls.append(call))
    early = job(1)._replace(wait=0.25)
    assigned.add([[early], [job(2)]])
    assert calls == [(0.25, assigned.hand_out)]
    assert set(assigned) == {early, job(2)}
    assert list(assigned.due()) == [job(2)]
    assert channel.assignments.receive() == (tuple(job(2)),)
    assert channel.assignments.receive() is None
    now = time.monotonic() + 0.25
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assigned.hand_out()
    assert channel.assignments.receive() == (tuple(early),)


def test_what_must_not_begin_yet_is_taken_back(pool: Pool) -> None:
    assigned = assignments(pool)
    assigned._worker.hub = SimpleNamespace(call_later=lambda *call: None)
    early = job(1)._replace(wait=0.25)
    assigned.add([[early]])
    assert len(assigned) == 1
    assert assigned.take_back() == [(early,)]
    assert not assigned
