"""Clocks are set by an hour, back and forward, while everything runs: the database server's, and those of our processes."""

import signal
import subprocess
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.utils import timezone
from furrow import Attempt, Job, State, submit
from furrow.models import Drift, Worker

from tests import clocks, kinds
from tests.rows import HOUR, make
from tests.stack import PYTHON, Stack, wait_until

STEP = 3600
#: Leases and patience.
QUICK = {"FURROW_WORKER_LEASE": "4", "FURROW_LEADER_LEASE": "4", "FURROW_RESEND_AFTER": "2"}


@pytest.fixture
def clock() -> Iterator[clocks.Clock]:
    with clocks.clock() as clock:
        yield clock


class Server:
    """A database server with a clock of its own, with our tables; asked and written by SQL alone."""

    def __init__(self, folder: Path, clock: clocks.Clock) -> None:
        self.clock = clock
        self.postgres = clocks.ClockedPostgres(folder, clock)
        self.postgres.start()
        self._link = psycopg.connect(self.postgres.url, autocommit=True)

    def rows(self, query: str, *given: Any) -> list[tuple[Any, ...]]:
        """What this selects."""
        return self._link.execute(query, given).fetchall()

    def submit(self, kind: str = "kinds.add", arguments: str = '{"a": 1}', **columns: Any) -> uuid.UUID:
        """A job, as any program inserts it; columns are SQL."""
        names, values = "".join(f", {name}" for name in columns), "".join(f", {value}" for value in columns.values())
        row = f"INSERT INTO furrow_job (id, kind, arguments{names}) VALUES (gen_random_uuid(), %s, %s{values}) RETURNING id"
        id: uuid.UUID = self.rows(row, kind, arguments)[0][0]
        return id

    def ended(self, *ids: uuid.UUID) -> bool:
        """They succeeded, by their first counted attempt."""
        done = "SELECT count(*) FROM furrow_job WHERE id = ANY(%s) AND state = 'succeeded' AND attempt - excused = 1"
        return self.rows(done, list(ids)) == [(len(ids),)]

    def states(self, *ids: uuid.UUID) -> dict[uuid.UUID, tuple[str, int]]:
        """State and attempt of each."""
        return {
            id: (state, n)
            for id, state, n in self.rows("SELECT id, state, attempt FROM furrow_job WHERE id = ANY(%s)", list(ids))
        }

    def stop(self) -> None:
        """Stop and remove it."""
        self._link.close()
        self.postgres.destroy()


@pytest.fixture
def server(tmp_path: Path, clock: clocks.Clock) -> Iterator[Server]:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has no clock of its own")
    server = Server(tmp_path / "postgres", clock)
    yield server
    server.stop()


@pytest.mark.thorough
def test_the_databases_clock_is_set_back_and_forward(bare: Stack, server: Server, tmp_path: Path) -> None:
    env: dict[str, Any] = {"DATABASE_URL": server.postgres.url, **QUICK}
    subprocess.run([PYTHON, "manage.py", "migrate", "-v0"], env=bare.environ(**env), check=True)
    dispatcher, worker = bare.dispatcher(**env), bare.worker(**env)
    runs = server.submit("kinds.sleeps", f'{{"seconds": 0, "until": "{tmp_path / "enough"}"}}')
    wait_until(lambda: server.states(runs) == {runs: ("running", 1)}, what="a long job runs")
    wait_until(lambda: server.rows("SELECT 1 FROM furrow_drift WHERE name = 'clock_set_back'"), what="the time is marked")

    # Back, with jobs that are due, one that has lost its message, one for later.
    dispatcher.send(signal.SIGSTOP)
    due = [server.submit() for _ in range(20)]
    lost = server.submit(state="'queued'", queued_at="now()")
    later = server.submit(run_at="now() + interval '30 minutes'")
    server.clock.set(-STEP)
    dispatcher.send(signal.SIGCONT)
    wait_until(lambda: server.ended(*due, lost), what="what was due runs, what was lost is sent again")
    new = server.submit()
    wait_until(lambda: server.ended(new), what="a job that is submitted after the step runs")
    assert server.states(runs, later) == {runs: ("running", 1), later: ("pending", 0)}
    ((found, repaired),) = server.rows("SELECT found, repaired FROM furrow_drift WHERE name = 'clock_set_back'")
    assert abs(found - STEP) < 10
    assert repaired >= 20

    # Back again, while dispatcher and worker die.
    for process in (dispatcher, worker):
        process.send(signal.SIGSTOP)
    due = [server.submit() for _ in range(3)]
    server.clock.set(-2 * STEP)
    for process in (dispatcher, worker):
        process.kill()
    dispatcher, worker = bare.dispatcher("dispatcher-2", **env), bare.worker("worker-2", **env)
    wait_until(lambda: server.states(runs) == {runs: ("running", 2)}, what="its job was taken back")
    wait_until(lambda: server.ended(*due), what="what waited runs")

    # Forward: everything goes on.
    server.clock.set(STEP)
    wait_until(
        lambda: server.rows("SELECT 1 FROM furrow_drift WHERE name = 'clock_set_forward' AND found > 0"), what="it is told"
    )
    new = server.submit()
    wait_until(lambda: server.ended(new, later), what="jobs run, also that for later")
    assert server.states(runs) == {runs: ("running", 2)}
    assert server.rows("SELECT node FROM furrow_worker WHERE lost") == [("worker@test",)]
    (tmp_path / "enough").touch()
    wait_until(lambda: server.states(runs) == {runs: ("succeeded", 2)}, what="the long job ends")


@pytest.mark.thorough
def test_the_clocks_of_dispatcher_and_worker_are_set(bare: Stack, clock: clocks.Clock, tmp_path: Path) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite's clock is that of each process")
    began = timezone.now()
    clock.set(-STEP)
    env: dict[str, Any] = {**clock.environ(), **QUICK}
    bare.dispatcher(**env)
    bare.worker(**env)
    runs = submit(kinds.sleeps, {"seconds": 0, "until": str(tmp_path / "enough")})
    later = submit(kinds.add, {"a": 1}, countdown=2 * STEP)
    for ahead in (-STEP, STEP):
        clock.set(ahead)
        lost, again = make(State.QUEUED, arguments={"a": 1}), submit(kinds.succeeds_on, {"attempt": 2})
        jobs = Job.objects.filter(pk__in=[lost.pk, again.pk])
        wait_until(
            partial(lambda jobs: jobs.filter(state=State.SUCCEEDED).count() == 2, jobs), what=f"jobs run at {ahead:+d} s"
        )
        assert jobs.get(pk=again.pk).attempt == 2
    (tmp_path / "enough").touch()
    wait_until(lambda: Job.objects.get(pk=runs.pk).state == State.SUCCEEDED)
    assert Job.objects.get(pk=runs.pk).attempt == 1
    assert Job.objects.get(pk=later.pk).state == State.PENDING
    assert not Attempt.objects.filter(outcome="lost").exists()
    assert not Worker.objects.filter(node="worker@test", lost=True, started_at__gte=began).exists()
    job: Any
    for job in Job.objects.exclude(pk=later.pk):
        assert began - HOUR / 60 < job.started_at <= job.finished_at <= timezone.now()
    assert not Drift.objects.filter(name__startswith="clock_set", found__gt=0).exists()
