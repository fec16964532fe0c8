"""The channel between a worker and its pool processes: order, size, and each packet to exactly one reader."""

import os
import signal
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from furrow.worker.channel import INLINE, Assignments, Packet, Reports, StopRequests

from tests.stack import wait_until


@pytest.fixture
def assignments() -> Assignments:
    """A fresh channel to the pool processes."""
    return Assignments()


@pytest.fixture
def reports() -> Reports:
    """A fresh channel from them."""
    return Reports()


@pytest.fixture
def children() -> Iterator[list[int]]:
    """Processes of a test; what still lives is killed."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            continue


def received(channel: Assignments | Reports) -> list[Packet]:
    """All that waits."""
    found = []
    while (packet := channel.receive()) is not None:
        found.append(packet)
    return found


def open_descriptors() -> int:
    """Of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_packets_arrive_whole_in_order_as_they_were(reports: Reports) -> None:
    packets: list[Packet] = [(), ("a", 1, 2.5, None, b"\x00", ("ü", -(2**70))), ("next", 1, None, "id", 0.0), (True,)]
    for packet in packets:
        reports.send(packet)
    assert received(reports) == packets


def test_an_empty_channel_has_nothing(assignments: Assignments, reports: Reports) -> None:
    assert assignments.receive() is assignments.take_back() is reports.receive() is None
    reports.send(("a",))
    assert received(reports) == [("a",)]


SIZES = [INLINE - 30, INLINE - 15, INLINE, INLINE + 1, 100_000, 1024 * 1024, 5 * 1024 * 1024]


@pytest.mark.parametrize("size", SIZES)
def test_an_assignment_of_any_size_arrives_whole(assignments: Assignments, size: int) -> None:
    packet = (("id", "x" * size, b"y" * 10),)
    for one in ((("before",),), packet, (("after",),)):
        assert assignments.offer(one)
    assert received(assignments) == [(("before",),), packet, (("after",),)]


@pytest.mark.parametrize("size", SIZES)
def test_reports_of_any_size_arrive_whole_beside_others(reports: Reports, no_descriptors: Any, size: int) -> None:
    sent = [[(thread, number, "x" * size) for number in range(3)] for thread in range(2)]
    told: list[Packet] = []
    with no_descriptors():
        threads = [threading.Thread(target=partial(lambda own: [reports.send(packet) for packet in own], own)) for own in sent]
        for thread in threads:
            thread.start()
        collect(reports, told, 6)
    for thread in threads:
        thread.join()
    assert [[packet for packet in told if packet[0] == number] for number in range(2)] == sent


def test_large_packets_leave_no_open_file(assignments: Assignments) -> None:
    before = open_descriptors()
    for _ in range(20):
        assert assignments.offer((("id", "x" * 1024 * 1024),))
        assert assignments.receive() is not None
        assert assignments.offer((("id", "x" * 1024 * 1024),))
        assert assignments.take_back() == (("id",),)
    assert open_descriptors() == before


def test_a_reader_without_a_descriptor_says_so(assignments: Assignments, no_descriptors: Any) -> None:
    assert assignments.offer((("id", "x" * 100_000),))
    assert assignments.offer((("next",),))
    with no_descriptors(), pytest.raises(OSError, match="no descriptor is left"):
        assignments.receive()
    assert assignments.receive() == (("next",),)


@pytest.mark.parametrize("size", [10, INLINE * 2])
def test_offer_says_when_it_is_full_and_nothing_is_lost(assignments: Assignments, size: int) -> None:
    sent = 0
    while assignments.offer(((sent, "x" * size),)):
        sent += 1
        assert sent < 100_000
    assert sent > 3
    assert not assignments.offer(((sent, "x" * size),))
    assert assignments.receive() == ((0, "x" * size),)
    wait_until(lambda: assignments.offer(((sent, "x" * size),)))
    assert [packet[0][0] for packet in received(assignments)] == list(range(1, sent + 1))


def test_send_waits_for_room(reports: Reports) -> None:
    sending = threading.Thread(target=lambda: [reports.send((number,)) for number in range(20_000)])
    sending.start()
    told: list[Packet] = []
    assert sending.is_alive()
    collect(reports, told, 20_000)
    sending.join(5)
    assert [packet[0] for packet in told] == list(range(20_000))


def test_what_was_interrupted_in_a_large_report_is_not_mixed_with_the_next(reports: Reports) -> None:
    class Full(Exception):
        pass

    left = iter(range(3))

    class Socket:
        def send(self, content: bytes) -> None:
            if next(left, None) is None:
                raise Full
            inner.send(content)

    inner, reports._in = reports._in, Socket()  # type: ignore[assignment]
    with pytest.raises(Full):
        reports.send(("cut", "x" * 200_000))
    reports._in = inner
    assert received(reports) == []
    reports.send(("whole", "y" * 50_000))
    assert received(reports) == [("whole", "y" * 50_000)]
    assert not reports._pieces


# --- across processes -------------------------------------------------------------------------------------------------------


def fork_reader(assignments: Assignments, reports: Reports) -> int:
    """A process that takes packets for ever and says which."""
    pid = os.fork()
    if pid:
        return pid
    try:
        import select

        while True:
            select.select([assignments], [], [], 5)
            if (packet := assignments.receive()) is not None:
                reports.send((os.getpid(), packet[0][0], len(packet[0][1])))
    finally:
        os._exit(1)


def collect(reports: Reports, into: list[Packet], count: int) -> None:
    """Read reports until there are so many."""

    def enough() -> bool:
        into.extend(received(reports))
        return len(into) >= count

    wait_until(enough, what=f"{count} reports, have {len(into)}")


def test_of_several_processes_exactly_one_gets_each_packet(
    assignments: Assignments, reports: Reports, children: list[int]
) -> None:
    children += [fork_reader(assignments, reports) for _ in range(4)]
    told: list[Packet] = []
    for number in range(2000):
        size = INLINE * 3 if number % 100 == 0 else 20
        wait_until(lambda number=number, size=size: assignments.offer(((number, "x" * size),)) or collect(reports, told, 0))  # type: ignore[misc]
        told.extend(received(reports))
    collect(reports, told, 2000)
    assert sorted(number for _, number, _ in told) == list(range(2000))
    assert {size for _, number, size in told if number % 100 == 0} == {INLINE * 3}
    assert {pid for pid, _, _ in told} <= set(children)


def test_a_killed_process_takes_at_most_what_was_in_its_hand(
    assignments: Assignments, reports: Reports, children: list[int]
) -> None:
    children += [fork_reader(assignments, reports) for _ in range(3)]
    told: list[Packet] = []
    sent = 0
    for victim in children[:2]:
        for _ in range(500):
            if assignments.offer(((sent, "x" * 50),)):
                sent += 1
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
    wait_until(lambda: told.extend(received(reports)) or len({number for _, number, _ in told}) >= sent - 2)
    counts = Counter(number for _, number, _ in told)
    assert set(counts.values()) == {1}
    assert sent - 2 <= len(counts) <= sent


def test_what_a_process_sent_survives_its_death(reports: Reports, children: list[int]) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            for number in range(100):
                reports.send((number, "x" * (INLINE * 2 if number % 10 == 0 else 10)))
            os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    children.append(pid)
    told: list[Packet] = []
    collect(reports, told, 100)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    assert [packet[0] for packet in told] == list(range(100))


def test_a_request_to_stop_is_seen_by_the_process_it_is_for(children: list[int]) -> None:
    requests, reports = StopRequests(), Reports()
    job, other = uuid.uuid4(), uuid.uuid4()
    pid = os.fork()
    if pid == 0:
        try:
            wait_until(lambda: requests.asked(1) == (job.bytes, 2))
            reports.send((requests.asked(0) == (other.bytes, 1), requests.asked(2)[0]))
        finally:
            os._exit(0)
    children.append(pid)
    requests.ask(0, other, 1)
    requests.ask(1, job, 2)
    told: list[Packet] = []
    collect(reports, told, 1)
    assert told == [(True, bytes(16))]
