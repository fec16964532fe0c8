"""What a worker tells of itself, and what it can be asked to do."""

import uuid
from pathlib import Path

import psutil
import pytest
from django.db.models import F
from furrow import Job, State, submit, submit_many
from furrow.actions.workers import Action, ask, ask_for_stack
from furrow.models import Worker, WorkerRequest

from tests import kinds, services
from tests.stack import Stack, all_ended, wait_until

pytestmark = pytest.mark.engine


def living(node: str = "worker@test") -> Worker:
    """The worker of this name."""
    return Worker.objects.filter(node=node, stopped_at__isnull=True).latest("started_at")


def answered(request: WorkerRequest | None) -> WorkerRequest:
    """The request, once the worker has said something."""
    assert request is not None
    wait_until(lambda: WorkerRequest.objects.get(pk=request.pk).answered_at, what=f"{request} is answered")
    return WorkerRequest.objects.get(pk=request.pk)


def sleeping(mark: Path, seconds: float = 60) -> Job:
    """A job that sleeps by now. Its row says that it runs as soon as it is claimed; this file, when its handler has begun."""
    job = submit(kinds.sleeps, {"seconds": seconds, "mark": str(mark)})
    wait_until(lambda: mark.exists() and str(job.pk) in mark.read_text(), what="it runs")
    return job


def test_a_worker_tells_of_its_processes_their_memory_and_what_they_run(stack: Stack, tmp_path: Path) -> None:
    worker = living()
    assert (worker.host, worker.pid) == (psutil.Process().environ().get("HOSTNAME", worker.host), worker.pid)
    assert "Celery 5." in worker.version
    before = worker.ended
    submit_many(kinds.add, [{"a": 1}] * 5)
    submit(kinds.fails_with, {"error": "Abort"})
    job = sleeping(tmp_path / "mark")

    def told() -> bool:  # an earlier test may just have killed a process: soon it is buried, and there is another one
        _, *pool = living().stats.get("processes", [{}])
        children = {process.pid for process in psutil.Process(worker.pid).children()}
        return {process["pid"] for process in pool} == children and any(p.get("job") == str(job.pk) for p in pool)

    wait_until(told, what=f"it tells; the last was {living().stats}")
    main, *pool = living().stats["processes"]
    assert main["pid"] == worker.pid
    # How much the system leaves in memory of a process that idles is its business, and the two are not of the same moment.
    assert all(process["rss"] > 0 and process["pss"] is not None for process in pool)
    assert main["rss"] > 1_000_000
    (process,) = [process for process in pool if "job" in process]
    assert process["kind"] == "kinds.sleeps"
    wait_until(lambda: living().ended >= before + 6, what="it counts what ended")
    assert living().failed >= 1


def test_where_a_running_job_is(stack: Stack, tmp_path: Path) -> None:
    job = sleeping(tmp_path / "mark")
    answer = answered(ask_for_stack(job.pk, by="ann"))
    assert answer.succeeded, answer.answer
    assert answer.answer.startswith("The job's thread (most recent call last):")
    assert "in sleeps" in answer.answer
    assert "time.sleep(" in answer.answer
    assert "runner.py" not in answer.answer
    assert answer.asked_by == "ann"


def test_a_job_that_does_not_run_has_no_stack(stack: Stack) -> None:
    assert ask_for_stack(uuid.uuid4()) is None
    assert ask_for_stack(submit(kinds.add, {"a": 1}, countdown=3600).pk) is None
    answer = answered(ask(living().pk, Action.STACK, subject=str(uuid.uuid4())))
    assert (answer.succeeded, answer.answer) == (False, "The job does not run on this worker any more.")


@pytest.mark.thorough
def test_a_queue_is_paused_for_one_worker(bare: Stack) -> None:
    bare.dispatcher()
    bare.worker()
    paused = living()
    assert answered(ask(paused.pk, Action.PAUSE, subject="default")).succeeded
    wait_until(lambda: living().paused == ["default"], what="it says so")
    held = submit(kinds.add, {"a": 1})
    other = submit(kinds.add, {"a": 1}, queue="other")
    wait_until(lambda: Job.objects.get(pk=other.pk).state == State.SUCCEEDED, what="it consumes the other queue")
    assert Job.objects.get(pk=held.pk).attempt == 0
    bare.worker("worker-2")
    wait_until(lambda: Job.objects.get(pk=held.pk).state == State.SUCCEEDED, what="another worker takes it")
    assert Job.objects.get(pk=held.pk).worker == living("worker-2@test").pk
    assert answered(ask(paused.pk, Action.RESUME, subject="default")).succeeded
    bare.processes.pop().stop()
    again = submit(kinds.add, {"a": 1})
    wait_until(lambda: Job.objects.get(pk=again.pk).state == State.SUCCEEDED, what="it consumes it again")
    assert not answered(ask(paused.pk, Action.PAUSE, subject="none")).succeeded


def test_pool_processes_are_replaced_when_their_job_has_ended(bare: Stack, tmp_path: Path) -> None:
    bare.dispatcher()
    worker = bare.worker()
    submit_many(kinds.add, [{"a": 1}] * 50)
    all_ended()
    old = {process.pid for process in worker.children()}
    job = sleeping(tmp_path / "mark", 3)
    assert answered(ask(living().pk, Action.RESTART)).succeeded
    wait_until(lambda: len({process.pid for process in worker.children()} - old) == 2, what="two new processes")
    wait_until(lambda: not {process.pid for process in worker.children()} & old, what="and none of the old")
    all_ended()
    job.refresh_from_db()
    assert (job.state, job.attempt) == (State.SUCCEEDED, 1)
    submit_many(kinds.add, [{"a": 1}] * 50)
    all_ended()
    assert set(Job.objects.values_list("state", "attempt")) == {(State.SUCCEEDED, 1)}
    assert "WorkerLostError" not in worker.text


def test_a_worker_has_as_many_processes_as_there_is_work_for(bare: Stack, tmp_path: Path) -> None:
    bare.dispatcher()
    worker = bare.worker(processes="4,1", AUTOSCALE_KEEPALIVE="1")
    row = Worker.objects.filter(node="worker@test", stopped_at=None)
    assert len(worker.children()) == 1
    goes_on = tmp_path / "goes on"
    first = submit(kinds.sleeps, {"seconds": 0, "until": str(goes_on)})
    wait_until(lambda: len(worker.children()) == 2, what="one is free, to hear of more")
    ids = [first.pk, *submit_many(kinds.sleeps, [{"seconds": 0, "until": str(goes_on)} for _ in range(9)])]
    wait_until(lambda: Job.objects.filter(state=State.RUNNING).count() == 4, what="as many as it may have run")
    wait_until(lambda: row.get().processes == 4, what="the admin is told")
    goes_on.touch()
    wait_until(lambda: len(worker.children()) == 1, what="the idle ones went")
    ids += submit_many(kinds.add, [{"a": n} for n in range(300)])
    all_ended()
    assert Job.objects.filter(pk__in=ids, state=State.SUCCEEDED, attempt=F("excused") + 1).count() == 310


@pytest.mark.thorough
def test_a_worker_is_shut_down_while_the_broker_is_away(bare: Stack, tmp_path: Path) -> None:
    bare.dispatcher()
    worker = bare.worker()
    job = sleeping(tmp_path / "mark")
    try:
        services.broker.kill()
        stack = answered(ask_for_stack(job.pk))
        assert "in sleeps" in stack.answer
        request = ask(living().pk, Action.SHUTDOWN, by="ann")
        assert worker.wait(40) == 0
    finally:
        services.broker.start()
    assert answered(request).succeeded
    job.refresh_from_db()
    assert (job.state, job.excused) == (State.PENDING, 1)
    assert ask(Worker.objects.latest("started_at").pk, Action.SHUTDOWN) is None


def test_frozen_processes_are_named_and_the_worker_goes_on(bare: Stack, tmp_path: Path) -> None:
    bare.dispatcher()
    worker = bare.worker()
    job = sleeping(tmp_path / "mark")
    pool = worker.children()
    for process in pool:
        process.suspend()
    answer = answered(ask_for_stack(job.pk))
    assert not answer.succeeded
    assert "said nothing within 3 s" in answer.answer
    claimed = submit(kinds.add, {"a": 1})
    wait_until(lambda: Job.objects.get(pk=claimed.pk).state == State.RUNNING, what="it is claimed")
    answer = answered(ask_for_stack(claimed.pk))
    assert not answer.succeeded
    assert answer.answer.startswith("The job is claimed and has not begun: no process has taken it.")
    assert [process.pid for process in pool if str(process.pid) in answer.answer], answer.answer
    for process in pool:
        process.resume()
    assert "in sleeps" in answered(ask_for_stack(job.pk)).answer
    wait_until(lambda: Job.objects.get(pk=claimed.pk).state == State.SUCCEEDED, what="it runs after all")
