"""Locks that jobs hold: renewed by their worker's main process, given back when one dies, and lost with a bang."""

import os
import signal
import time
from pathlib import Path

import psutil
import pytest
from django.db import connection
from furrow import Job, NotAcquired, State, lock, submit
from furrow.locks import client
from furrow.locks.conf import times
from furrow.locks.keys import key

from tests import kinds
from tests.lock_rows import Row
from tests.stack import Process, Stack, all_ended, wait_until


def tokens(mark: Path) -> list[int]:
    """The tokens that jobs held, in order."""
    lines = [line.split() for line in mark.read_text().splitlines()] if mark.exists() else []
    return [int(line[3]) for line in lines if line[2] == "holds"]


def holder(worker: Process) -> psutil.Process:
    """The pool process of a worker with one."""
    (process,) = worker.children()
    return process


def begun(name: str, mark: Path, how: str = "works") -> Job:
    """A job that holds this lock by now."""
    client.client().delete(key("state", f"lock:{name}"), key("line", f"lock:{name}"))
    job = submit(kinds.holds, {"name": name, "mark": str(mark), "how": how})
    wait_until(lambda: tokens(mark), what="the lock is held")
    return job


@pytest.mark.engine
def test_what_becomes_of_the_locks_of_jobs(bare: Stack, tmp_path: Path) -> None:
    bare.dispatcher()
    worker = bare.worker(processes=1)

    # Held longer than the lease: the main process renews. Then the process is killed: free at once.
    mark = tmp_path / "killed"
    job = begun("killed", mark)
    at = time.monotonic()
    wait_until(lambda: time.monotonic() > at + times().lease, what="a lease is over")
    with pytest.raises(NotAcquired):
        lock("killed", timeout=0).acquire()
    holder(worker).kill()
    with lock("killed", timeout=60) as held:
        assert [held.token] > tokens(mark)
    all_ended()
    assert list(job.attempts.order_by("number").values_list("outcome", flat=True)) == ["crashed", "succeeded"]

    # Broken: the holder is stopped, in code that swallows every Exception, and the next attempt holds it under a new token.
    mark = tmp_path / "broken"
    job = begun("broken", mark)
    assert client.run("break", [key("state", "lock:broken")], [tokens(mark)[0]])
    all_ended()
    outcomes = list(job.attempts.order_by("number").values_list("outcome", "error_type"))
    assert outcomes == [("failed", "LockLost"), ("succeeded", "")], list(job.attempts.values())
    assert "it was broken" in job.attempts.get(number=1).error
    assert "swallowed" not in mark.read_text()
    assert sorted(set(tokens(mark))) == tokens(mark)

    # Deaf: its process is killed when the lease ends.
    mark = tmp_path / "deaf"
    job = begun("deaf", mark, "deaf")
    client.run("break", [key("state", "lock:deaf")], [tokens(mark)[0]])
    all_ended()
    assert job.attempts.order_by("number").values_list("outcome", "error_type")[0] == ("crashed", "LockOverstayed")

    # Forgotten: a job that has ended holds nothing.
    begun("forgotten", tmp_path / "forgotten", "forgets")
    all_ended()
    with lock("forgotten", timeout=60):
        assert Job.objects.filter(state=State.SUCCEEDED).count() == 4


@pytest.mark.engine
def test_the_locks_of_a_worker_that_dies(bare: Stack, tmp_path: Path) -> None:
    bare.dispatcher()
    # The main process is killed alone: its child goes on, and stops by itself when its lease is not renewed.
    mark = tmp_path / "orphan"
    worker = bare.worker("first", processes=1)
    begun("orphan", mark)
    worker.send(signal.SIGKILL)
    with lock("orphan", timeout=60) as held:
        assert held.token > tokens(mark)[0]
    worker.kill()
    bare.worker("second", processes=1)
    all_ended()
    assert len(tokens(mark)) == 2


def test_a_frozen_worker_writes_nothing_when_it_wakes(bare: Stack, tmp_path: Path) -> None:
    """On PostgreSQL only: whoever is frozen with SQLite's write lock in its hand stops everybody."""
    with connection.schema_editor() as editor:
        editor.create_model(Row)
    try:
        Row.objects.create(name="frozen")
        bare.dispatcher()
        worker = bare.worker(processes=1)
        mark = tmp_path / "frozen"
        submit(kinds.counts_under_a_lock, {"name": "frozen", "mark": str(mark)})
        wait_until(lambda: Row.objects.get().value > 3)
        os.killpg(worker.popen.pid, signal.SIGSTOP)
        with lock("frozen", timeout=60) as held:
            assert [held.token] > tokens(mark)
            rows = Row.objects.fenced(held)
            rows.update(value=-1000)
            os.killpg(worker.popen.pid, signal.SIGCONT)
            line = key("line", "lock:frozen")
            wait_until(
                lambda: client.client().zcard(line), what="its only process is done with it, and begins the next attempt"
            )
            assert rows.values_list("value", "fence").get() == (-1000, held.token)
        all_ended()
        assert Row.objects.get().value == -999
        assert Job.objects.get().attempt > 1
    finally:
        worker.kill()
        with connection.schema_editor() as editor:
            editor.delete_model(Row)
