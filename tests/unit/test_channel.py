"""The channel between a worker and its pool processes: order, size, and each packet to exactly one reader."""

import os
import signal
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.jobs.worker.channel import INLINE, Channel, Packet, StopRequests
from tests.stack import wait_until


@pytest.fixture
def channel() -> Channel:
    """A fresh one."""
    return Channel()


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


def received(channel: Channel) -> list[Packet]:
    """All that waits."""
    found = []
    while (packet := channel.receive()) is not None:
        found.append(packet)
    return found


def open_descriptors() -> int:
    """Of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_packets_arrive_whole_in_order_as_they_were(channel: Channel) -> None:
    packets: list[Packet] = [(), ("a", 1, 2.5, None, b"\x00", ("ü", -(2**70))), ("next", 1, None, "id", 0.0), (True,)]
    for packet in packets:
        channel.send(packet)
    assert received(channel) == packets


def test_an_empty_channel_has_nothing(channel: Channel) -> None:
    assert channel.receive() is None
    channel.send(("a",))
    assert channel.receive() == ("a",)
    assert channel.receive() is None


@pytest.mark.parametrize("size", [INLINE - 20, INLINE - 5, INLINE, INLINE + 1, 1024 * 1024, 5 * 1024 * 1024])
def test_a_packet_of_any_size_arrives_whole(channel: Channel, size: int) -> None:
    packet = ("x" * size, b"y" * 10)
    channel.send(("before",))
    channel.send(packet)
    channel.send(("after",))
    assert received(channel) == [("before",), packet, ("after",)]


def test_large_packets_leave_no_open_file(channel: Channel) -> None:
    before = open_descriptors()
    for _ in range(20):
        channel.send(("x" * 1024 * 1024,))
        assert channel.receive() is not None
    assert open_descriptors() == before


@pytest.mark.parametrize("size", [10, INLINE * 2])
def test_offer_says_when_it_is_full_and_nothing_is_lost(channel: Channel, size: int) -> None:
    sent = 0
    while channel.offer((sent, "x" * size)):
        sent += 1
        assert sent < 100_000
    assert sent > 3
    assert not channel.offer((sent, "x" * size))
    assert channel.receive() == (0, "x" * size)
    wait_until(lambda: channel.offer((sent, "x" * size)))
    assert [packet[0] for packet in received(channel)] == list(range(1, sent + 1))


def test_send_waits_for_room(channel: Channel) -> None:
    sent = 0
    while channel.offer((sent,)):
        sent += 1
    waiting = threading.Thread(target=channel.send, args=((sent,),))
    waiting.start()
    assert waiting.is_alive()
    numbers = [packet[0] for packet in received(channel)]
    waiting.join(5)
    assert not waiting.is_alive()
    assert numbers + [packet[0] for packet in received(channel)] == list(range(sent + 1))


# --- across processes -------------------------------------------------------------------------------------------------------


def fork_reader(assignments: Channel, reports: Channel) -> int:
    """A process that takes packets for ever and says which."""
    pid = os.fork()
    if pid:
        return pid
    try:
        import select

        while True:
            select.select([assignments], [], [], 5)
            if (packet := assignments.receive()) is not None:
                reports.send((os.getpid(), packet[0], len(packet[1])))
    finally:
        os._exit(1)


def collect(reports: Channel, into: list[Packet], count: int) -> None:
    """Read reports until there are so many."""

    def enough() -> bool:
        into.extend(received(reports))
        return len(into) >= count

    wait_until(enough, what=f"{count} reports, have {len(into)}")


def test_of_several_processes_exactly_one_gets_each_packet(channel: Channel, children: list[int]) -> None:
    reports = Channel()
    children += [fork_reader(channel, reports) for _ in range(4)]
    told: list[Packet] = []
    for number in range(2000):
        size = INLINE * 3 if number % 100 == 0 else 20
        wait_until(lambda number=number, size=size: channel.offer((number, "x" * size)) or collect(reports, told, 0))  # type: ignore[misc]
        told.extend(received(reports))
    collect(reports, told, 2000)
    assert sorted(number for _, number, _ in told) == list(range(2000))
    assert {size for _, number, size in told if number % 100 == 0} == {INLINE * 3}
    assert {pid for pid, _, _ in told} <= set(children)


def test_a_killed_process_takes_at_most_what_was_in_its_hand(channel: Channel, children: list[int]) -> None:
    reports = Channel()
    children += [fork_reader(channel, reports) for _ in range(3)]
    told: list[Packet] = []
    sent = 0
    for victim in children[:2]:
        for _ in range(500):
            if channel.offer((sent, "x" * 50)):
                sent += 1
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
    wait_until(lambda: told.extend(received(reports)) or len({number for _, number, _ in told}) >= sent - 2)
    counts = Counter(number for _, number, _ in told)
    assert set(counts.values()) == {1}
    assert sent - 2 <= len(counts) <= sent


def test_what_a_process_sent_survives_its_death(channel: Channel, children: list[int]) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            for number in range(100):
                channel.send((number, "x" * (INLINE * 2 if number % 10 == 0 else 10)))
            os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    children.append(pid)
    told: list[Packet] = []
    collect(channel, told, 100)
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    assert [packet[0] for packet in told] == list(range(100))


def test_a_request_to_stop_is_seen_by_the_process_it_is_for(children: list[int]) -> None:
    requests, reports = StopRequests(), Channel()
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
