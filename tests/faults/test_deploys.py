"""Deploys: everything is restarted, one after the other, under load; old code and new code run side by side."""

import itertools
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from furrow import Attempt, Job, State, submit, submit_many
from furrow.models import Worker
from furrow.worker.pool.shutdown import LINGER

from tests import kinds, services
from tests.stack import Stack, all_ended, wait_until
from tests.thorough import first_of

pytestmark = pytest.mark.engine

SHORT, LONG = 600, 12


@pytest.mark.thorough
@pytest.mark.timeout(400)
def test_a_rolling_restart_under_load_fails_loses_and_counts_nothing(bare: Stack, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    environ: dict[str, Any] = {"FURROW_SHUTDOWN_GRACE": "1", "FURROW_WORKER_LEASE": "30"}  # nobody dies here
    dispatchers = [bare.dispatcher("dispatcher-1"), bare.dispatcher("dispatcher-2")]
    workers = {name: bare.worker(name, **environ) for name in ("one", "two")}
    ids = submit_many(kinds.sleeps, [{"seconds": 0.02, "mark": str(mark)} for _ in range(SHORT)])
    ids += submit_many(kinds.sleeps, [{"seconds": 2.5, "mark": str(mark)} for _ in range(LONG)])  # longer than the grace

    def some_more(of: int = 20) -> None:
        """Something ended since, so that the next restart meets jobs on their way."""
        ids.extend(submit_many(kinds.sleeps, [{"seconds": 0.02, "mark": str(mark)} for _ in range(100)]))
        done = Job.objects.filter(state=State.SUCCEEDED)
        before = done.count()
        wait_until(lambda: done.count() >= before + of, what="jobs end between two restarts")

    some_more()
    for name, number in itertools.product(workers, ("a", "b")):
        assert workers[name].stop() == 0
        workers[name] = bare.worker(f"{name}-{number}", **environ)
        some_more()
    for position, dispatcher in enumerate(dispatchers):
        assert dispatcher.stop() == 0
        bare.dispatcher(f"dispatcher-next-{position}")
        some_more()
    all_ended()

    assert Counter(Job.objects.values_list("state", flat=True)) == {"succeeded": len(ids)}
    outcomes = Counter(Attempt.objects.values_list("outcome", flat=True))
    assert set(outcomes) <= {"succeeded", "interrupted"}
    assert outcomes["interrupted"], "no restart met a running job: this test shows nothing"
    assert all(job.counted_attempts == 1 for job in Job.objects.only("attempt", "excused"))
    # Each worker left in order, and what began more than once was handed back in between.
    assert not Worker.objects.filter(lost=True, started_at__gt=Job.objects.earliest("created_at").created_at).exists()
    began = Counter(line.split()[0] for line in mark.read_text().splitlines() if line.endswith("began"))
    handed_back = Counter(map(str, Attempt.objects.filter(outcome="interrupted").values_list("job", flat=True)))
    assert all(times <= 1 + handed_back[id] for id, times in began.items())


@pytest.mark.parametrize("where", first_of(["start", "end"]))
def test_a_worker_whose_processes_are_stuck_ends(bare: Stack, where: str) -> None:
    bare.dispatcher()
    worker = bare.worker(FURROW_MODULES="tasks,tests.kinds,tests.stuck", FURROW_TEST_STUCK=where, FURROW_SHUTDOWN_GRACE="1")
    ids = submit_many(kinds.add, [{"a": n} for n in range(40)])
    if where == "end":
        all_ended()
    assert worker.stop() == 0
    assert "runs nothing and does not end: it is killed" in worker.text
    bare.worker("next")
    all_ended()
    assert Job.objects.filter(pk__in=ids, state=State.SUCCEEDED).count() == len(ids)
    assert all(job.counted_attempts == 1 for job in Job.objects.only("attempt", "excused"))


@pytest.mark.parametrize(
    "asked", first_of([[signal.SIGQUIT], [signal.SIGTERM, signal.SIGQUIT], [signal.SIGINT, signal.SIGINT]])
)
def test_a_cold_shutdown_hands_back_at_once(bare: Stack, tmp_path: Path, asked: list[signal.Signals]) -> None:
    """Also what has begun: it does not wait for the grace."""
    mark, goes_on = tmp_path / "mark", tmp_path / "goes on"
    bare.dispatcher()
    worker = bare.worker(FURROW_SHUTDOWN_GRACE="600")
    long = submit(kinds.sleeps, {"seconds": 0, "mark": str(mark), "until": str(goes_on)})
    wait_until(mark.exists)
    ids = [long.pk, *submit_many(kinds.sleeps, [{"seconds": 0.02} for _ in range(400)])]
    wait_until(Job.objects.filter(state=State.SUCCEEDED).exists)
    for number in asked:
        worker.send(number)
        wait_until(lambda: "shutdown (MainProcess)" in worker.text)
    worker.wait()
    assert "Unrecoverable error" not in worker.text
    long.refresh_from_db()
    assert (long.excused, long.attempts.get().outcome) == (1, "interrupted")
    assert not Job.objects.filter(state=State.RUNNING).exists()
    goes_on.touch()
    bare.worker("next")
    all_ended()
    assert Job.objects.filter(pk__in=ids, state=State.SUCCEEDED).count() == len(ids)
    assert all(job.counted_attempts == 1 for job in Job.objects.only("attempt", "excused"))


@pytest.mark.thorough
def test_a_cold_shutdown_whose_handler_fails_hands_back_all_the_same(bare: Stack, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    bare.dispatcher()
    worker = bare.worker(FURROW_SHUTDOWN_GRACE="600", FURROW_MODULES="tasks,tests.kinds,tests.cold")
    job = submit(kinds.sleeps, {"seconds": 0, "mark": str(mark), "until": str(tmp_path / "never")})
    wait_until(mark.exists)
    worker.send(signal.SIGTERM)
    wait_until(lambda: "Warm shutdown" in worker.text)
    worker.send(signal.SIGQUIT)
    worker.wait()
    job.refresh_from_db()
    assert (job.excused, job.attempts.get().outcome) == (1, "interrupted")
    assert job.state in (State.PENDING, State.QUEUED)


@pytest.mark.thorough
def test_a_worker_that_leaves_waits_for_celerys_own_tasks(bare: Stack, tmp_path: Path) -> None:
    """As Celery does, and longer than for processes that run nothing."""
    worker = bare.worker()
    result = kinds.ordinary.delay(4, seconds=LINGER + 3, mark=str(mark := tmp_path / "mark"))
    wait_until(mark.exists)
    assert worker.stop() == 0
    assert result.get(timeout=60) == 8


@pytest.mark.skipif(services.ON_SQLITE, reason="a database server is frozen")
@pytest.mark.parametrize(
    ("asked", "why"),
    first_of(
        [([signal.SIGTERM], "did not shut down within 10 s"), ([signal.SIGTERM, signal.SIGINT], "was told to stop again")]
    ),
)
def test_a_dispatcher_ends_while_the_database_hangs(bare: Stack, asked: list[signal.Signals], why: str) -> None:
    dispatcher = bare.dispatcher()
    wait_until(lambda: "This dispatcher leads" in dispatcher.text)
    connection.close()
    services.postgres.freeze()
    try:
        for number in asked:
            dispatcher.send(number)
        assert dispatcher.wait(60) == 0
    finally:
        services.postgres.thaw()
    assert why in dispatcher.text


@pytest.mark.thorough
def test_old_and_new_workers_run_side_by_side(bare: Stack) -> None:
    """The old one does not know a kind: it hands those jobs back with the reason, uncounted, and the new one runs them."""
    bare.dispatcher()
    old = bare.worker("old", FURROW_MODULES="tasks")
    first = submit(kinds.add, {"a": 1})
    wait_until(lambda: first.attempts.exists(), what="the old one had it")
    refused = Job.objects.get(pk=first.pk)
    assert refused.state == State.PENDING
    assert refused.error.startswith("UnknownKind: There is no kind 'kinds.add'")
    assert (refused.counted_attempts, refused.attempts.get().outcome) == (0, "interrupted")
    bare.worker("new")
    ids = [first.pk, *submit_many(kinds.add, [{"a": n} for n in range(60)])]

    def hasten() -> bool:
        """Those that the old one handed back wait longer each time."""
        Job.objects.filter(state=State.PENDING, excused__gt=0).update(run_at=first.created_at)
        return Job.objects.filter(pk__in=ids, state=State.SUCCEEDED).count() == len(ids)

    wait_until(hasten)
    assert old.popen.poll() is None
    assert set(Attempt.objects.values_list("outcome", "error_type")) == {("succeeded", ""), ("interrupted", "UnknownKind")}
    assert all(job.counted_attempts == 1 for job in Job.objects.only("attempt", "excused"))
