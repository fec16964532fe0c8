"""What the faults of ``prove`` do to the machine, done for real where that is possible."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from deploy import packages
from furrow.prove import evidence
from furrow.prove.evidence import AttemptRow, Move
from furrow.prove.faults.base import left_out, possible
from furrow.prove.means import LACKING, clock, disk, pids
from furrow.prove.means.disk import Disk

#: Starts a process for each line that it reads, and says whether it could.
STARTS = """
import os, sys
for line in sys.stdin:
    try:
        child = os.fork()
    except BlockingIOError:
        print("refused", flush=True)
        continue
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    print("started", flush=True)
"""


def test_a_fault_that_the_machine_does_not_allow_is_left_out_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LACKING:
        monkeypatch.setitem(LACKING, name, lambda: "this machine has none")
    assert left_out("postgresql")["step_clock"] == "this machine has none"
    assert {"step_clock", "fill_disk_of_worker", "use_up_processes_of_worker"}.isdisjoint(possible("postgresql"))
    assert "kill_postgres" in possible("postgresql")
    assert left_out("sqlite")["kill_postgres"] == "sqlite has no server"


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Disk]:
    if reason := disk.lacking():
        pytest.skip(reason)
    room = Disk(tmp_path / "image", tmp_path / "disk")
    room.mount()
    yield room
    room.unmount()


def test_a_disk_is_full_until_it_is_emptied(room: Disk) -> None:
    file = room.folder / "file"
    file.write_bytes(b"before")
    room.fill()
    with pytest.raises(OSError, match="No space left"):
        (room.folder / "more").write_bytes(b"x" * 1_000_000)
    assert file.read_bytes() == b"before"
    room.empty()
    file.write_bytes(b"x" * 1_000_000)
    room.unmount()
    assert not room.mounted
    assert not file.exists()
    room.mount()
    assert file.stat().st_size == 1_000_000, "what was written is kept"


def test_a_process_that_may_start_no_other_may_again() -> None:
    if reason := pids.lacking():
        pytest.skip(reason)
    command = [sys.executable, "-c", STARTS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as child:
        assert child.stdin
        assert child.stdout

        def said() -> str:
            assert child.stdin
            assert child.stdout
            child.stdin.write("\n")
            return child.stdout.readline().strip()

        assert said() == "started"
        with pids.used_up(child.pid):
            assert said() == "refused"
        assert said() == "started"


#: Waits do not follow the clock.
TELLS = """
import time
for _ in iter(input, "end"):
    began = time.monotonic()
    time.sleep(0.01)
    print(time.time(), time.monotonic() - began, flush=True)
"""


def test_a_clock_is_set_for_who_reads_its_file(tmp_path: Path) -> None:
    packages.install(packages.missing([clock.PACKAGE]))
    file = tmp_path / "clock"
    clock.put(file, 0)
    told = os.environ | clock.environ(file)
    says = [sys.executable, "-c", TELLS]
    with subprocess.Popen(says, env=told, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as child:
        assert child.stdin
        assert child.stdout
        for ahead in (0, 3600, -60, -9_999_999, 0):
            clock.put(file, ahead)
            child.stdin.write("\n")
            now, waited = map(float, child.stdout.readline().split())
            assert abs(now - time.time() - ahead) < 600
            assert 0 < waited < 600
        child.stdin.write("end\n")
    assert child.returncode == 0


def test_attempts_have_the_machines_times_also_while_the_clock_was_set() -> None:
    row = AttemptRow(1, "succeeded", "w", 7, started=1060.0, finished=1060.0)

    def moves(ahead: float) -> list[Move]:
        return [Move(1000.0, "queued", "running", 0, 1, "w", ahead), Move(1002.0, "running", "succeeded", 1, 1, "w", 0.0)]

    assert evidence._true(row, moves(60.0)) == row._replace(started=1000.0, finished=1002.0)
    assert evidence._true(row, moves(0.0)) == row
