"""The main job's way, on the real parts: submit, dispatch, claim, run, record."""

import datetime as dt
import logging
import uuid
from pathlib import Path

import pytest
from celery.result import AsyncResult
from django.db import connection, transaction
from django.utils import timezone
from furrow import FINAL, ArgumentError, Job, JobFailed, LogLine, Outcome, State, cancel, retry, submit, submit_many

from tests import kinds, services
from tests.stack import Stack, wait_until

pytestmark = pytest.mark.engine


def ended(job: Job, *, seconds: float = 30) -> Job:
    """The job, when it has ended."""
    wait_until(lambda: Job.objects.filter(pk=job.pk, state__in=FINAL).exists(), seconds=seconds, what=f"{job} ended")
    return Job.objects.get(pk=job.pk)


def outcomes(job: Job) -> list[str]:
    """The outcomes of its attempts, in order."""
    return list(job.attempts.order_by("number").values_list("outcome", flat=True))


def test_a_job_succeeds_and_leaves_its_record(stack: Stack) -> None:
    job = ended(submit(kinds.add, {"a": 1, "b": 2}))
    assert (job.state, job.result, job.attempt, job.error) == (State.SUCCEEDED, 3, 1, "")
    assert job.started_at is not None
    assert job.created_at <= job.started_at
    attempt = job.attempts.get()
    assert (attempt.number, attempt.outcome, attempt.worker) == (1, Outcome.SUCCEEDED, job.worker)
    assert attempt.pid in [process.pid for worker in stack.processes for process in worker.children()]
    assert job.started_at == attempt.started_at <= attempt.finished_at <= timezone.now()


def test_typed_arguments_arrive_as_their_types(stack: Stack) -> None:
    moment = timezone.now()
    key = uuid.uuid4()
    given = {"text": "ü 🌱", "day": dt.date(2026, 2, 3), "moment": moment, "key": key, "items": [1, 2]}
    job = ended(submit(kinds.typed, given))
    assert job.state == State.SUCCEEDED, job.error
    assert job.result["text"] == "ü 🌱"
    assert job.result["key"] == str(key)
    assert job.result["day"] == "2026-02-03"
    assert dt.datetime.fromisoformat(job.result["moment"]) == moment


def test_failing_is_retried_with_its_tracebacks_and_ends_failed(stack: Stack) -> None:
    job = ended(submit(kinds.fails, {"message": "no luck"}))
    assert (job.state, job.attempt, job.error) == (State.FAILED, 3, "ValueError: no luck")
    assert outcomes(job) == ["failed"] * 3
    first = job.attempts.order_by("number").first()
    assert first is not None
    assert first.error_type == "ValueError"
    assert "raise ValueError(message)" in first.traceback
    assert "runner.py" not in first.traceback


@pytest.mark.parametrize(
    ("error", "attempts"), [("KeyError", 1), ("OSError", 2), ("Abort", 1), ("Retry", 5), ("SystemExit", 5)]
)
def test_retries_per_exception(stack: Stack, error: str, attempts: int) -> None:
    job = ended(submit(kinds.fails_with, {"error": error}))
    assert (job.state, job.attempt) == (State.FAILED, attempts)
    assert job.error.startswith(error)


def test_a_retry_may_succeed(stack: Stack) -> None:
    job = ended(submit(kinds.succeeds_on, {"attempt": 2}))
    assert (job.state, job.result, outcomes(job)) == (State.SUCCEEDED, 2, ["failed", "succeeded"])


def test_snoozing_does_not_count(stack: Stack) -> None:
    job = ended(submit(kinds.snoozes, {"times": 2}))
    assert (job.state, job.attempt, job.excused, job.counted_attempts) == (State.SUCCEEDED, 3, 2, 1)
    assert outcomes(job) == ["snoozed", "snoozed", "succeeded"]


def test_soft_timeout_cannot_be_swallowed_by_except_exception(stack: Stack) -> None:
    job = ended(submit(kinds.soft_sleeper, {"seconds": 20}))
    assert (job.state, outcomes(job)) == (State.FAILED, ["timed out"])
    assert "SoftTimeout" in job.error
    caught = ended(submit(kinds.soft_sleeper, {"seconds": 20, "swallow": True}))
    assert caught.result == "cleaned up"


def test_hard_timeout_kills_the_process_and_the_others_go_on(stack: Stack) -> None:
    late = submit(kinds.hard_sleeper, {"seconds": 60})
    others = [submit(kinds.add, {"a": n}) for n in range(20)]
    job = ended(late)
    assert (job.state, outcomes(job)) == (State.FAILED, ["timed out"])
    assert "longer than 1 s" in job.error
    assert all(ended(other).state == State.SUCCEEDED for other in others)


def test_a_killed_process_is_blamed_on_its_job_alone(stack: Stack) -> None:
    poison = submit(kinds.kills_itself, {})
    others = [submit(kinds.add, {"a": n}) for n in range(50)]
    job = ended(poison)
    assert (job.state, outcomes(job)) == (State.FAILED, ["crashed"] * 3)
    assert "SIGKILL" in job.error
    assert all(outcomes(ended(other)) == ["succeeded"] for other in others)


def test_logs_and_progress(stack: Stack) -> None:
    job = ended(submit(kinds.talks, {"lines": 3}))
    assert (job.progress, job.progress_note) == (1.0, "step 4")
    lines = list(LogLine.objects.filter(job=job).order_by("id").values_list("attempt", "level", "message"))
    assert lines == [
        *((1, logging.INFO, f"line {n}") for n in range(3)),
        (1, logging.WARNING, "through logging"),
    ]


@pytest.mark.parametrize(("what", "error"), [("unserializable", "no JSON form"), ("nan", "NaN"), ("nul", "U+0000")])
def test_a_result_that_cannot_be_kept_fails_the_job_at_once(stack: Stack, what: str, error: str) -> None:
    job = ended(submit(kinds.returns, {"what": what}))
    assert (job.state, job.attempt) == (State.FAILED, 1)
    assert error in job.error


def test_a_large_result_is_kept_whole(stack: Stack) -> None:
    assert ended(submit(kinds.returns, {"what": "large"})).result == "x" * 300_000


def test_large_arguments_arrive_whole(stack: Stack) -> None:
    job = ended(submit(kinds.typed, {"text": "y" * 900_000}))
    assert job.result["text"] == "y" * 900_000


def test_async_handlers_run(stack: Stack) -> None:
    assert ended(submit(kinds.asynchronous)).result == "awaited"


def test_run_at_is_kept_and_cancelled_jobs_never_run(stack: Stack, tmp_path: Path) -> None:
    mark = str(tmp_path / "mark")
    soon = submit(kinds.add, {"a": 1}, countdown=0.4)
    later = submit(kinds.sleeps, {"seconds": 0, "mark": mark}, run_at=timezone.now() + dt.timedelta(hours=1))
    done = ended(soon)
    assert done.started_at is not None
    assert done.started_at >= done.run_at
    assert cancel(later.pk, reason="not needed")
    assert not cancel(later.pk)
    assert ended(later).error == "not needed"
    assert not Path(mark).exists()


def test_a_job_that_expires_before_it_begins_is_cancelled(stack: Stack, tmp_path: Path) -> None:
    goes_on = tmp_path / "goes on"
    blockers = [submit(kinds.sleeps, {"seconds": 0, "until": str(goes_on)}) for _ in range(2)]
    late = submit(kinds.add, {"a": 1}, expires=0.3, priority=9)
    wait_until(lambda: Job.objects.filter(pk=late.pk, expires_at__lt=timezone.now()).exists())
    goes_on.touch()
    job = ended(late)
    assert (job.state, job.attempt) == (State.CANCELLED, 0)
    assert "expired" in job.error
    assert all(ended(blocker).state == State.SUCCEEDED for blocker in blockers)


def test_retry_by_hand_runs_it_again(stack: Stack) -> None:
    job = ended(submit(kinds.fails_with, {"error": "KeyError"}))
    assert retry(job.pk)
    wait_until(lambda: job.attempts.count() == 2)
    again = ended(job)
    assert (again.state, again.attempt) == (State.FAILED, 2)


def test_rolled_back_submit_leaves_no_job(stack: Stack) -> None:
    with transaction.atomic():
        submit(kinds.add, {"a": 1})
        submit_many(kinds.add, ({"a": n} for n in range(50)))
        transaction.set_rollback(True)
    assert Job.objects.count() == 0


def test_submit_many_runs_them_all_once(stack: Stack) -> None:
    ids = submit_many(kinds.add, ({"a": n, "b": 0} for n in range(1000)), batch=uuid.uuid4())
    wait_until(lambda: Job.objects.filter(state=State.SUCCEEDED).count() == 1000)
    results = dict(Job.objects.values_list("pk", "result"))
    assert [results[id] for id in ids] == list(range(1000))
    assert set(Job.objects.values_list("attempt", flat=True)) == {1}


def test_any_program_that_can_insert_a_row_can_submit(stack: Stack) -> None:
    id = uuid.uuid4()
    text = id.hex if connection.vendor == "sqlite" else str(id)
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO furrow_job (id, kind, arguments) VALUES (%s, 'kinds.add', %s)", [text, '{"a": 40, "b": 2}'])
    assert ended(Job(pk=id)).result == 42


def test_a_row_that_does_not_fit_the_signature_fails_with_the_field(stack: Stack) -> None:
    id = uuid.uuid4()
    text = id.hex if connection.vendor == "sqlite" else str(id)
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO furrow_job (id, kind, arguments) VALUES (%s, 'kinds.add', %s)", [text, '{"a": "many"}'])
    job = ended(Job(pk=id))
    assert (job.state, job.attempt) == (State.FAILED, 1)
    assert "kinds.add cannot run: a: input should be a valid integer" in job.error


def test_a_kind_that_the_worker_does_not_know_goes_back_with_the_reason(stack: Stack) -> None:
    id = uuid.uuid4()
    text = id.hex if connection.vendor == "sqlite" else str(id)
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO furrow_job (id, kind) VALUES (%s, 'kinds.of_tomorrow')", [text])
    wait_until(lambda: Job.objects.filter(pk=id, attempt=1, state=State.PENDING).exists())
    job = Job.objects.get(pk=id)
    assert "kinds.of_tomorrow" in job.error
    assert job.counted_attempts == 0


def test_celery_spelling_and_result_backend(stack: Stack) -> None:
    result = kinds.add.delay(3, b=4)
    assert result.get(timeout=60) == 7
    assert (result.state, result.successful()) == ("SUCCESS", True)
    failed = kinds.fails_with.apply_async(kwargs={"error": "KeyError"}, countdown=0.1, priority=0)
    with pytest.raises(JobFailed, match="KeyError"):
        failed.get(timeout=60)
    assert failed.state == "FAILURE"
    assert "KeyError" in failed.traceback
    assert Job.objects.get(pk=failed.id).priority == 0


def test_sending_a_task_by_name_submits_a_job(stack: Stack) -> None:
    from config.celery import app

    result = app.send_task("kinds.add", kwargs={"a": 20}, countdown=0.1)
    assert result.get(timeout=60) == 21
    assert Job.objects.get(pk=result.id).state == State.SUCCEEDED
    with pytest.raises(ArgumentError, match="a: input should be a valid integer"):
        app.send_task("kinds.add", ["many"])


def test_a_task_that_another_celery_client_sends_under_a_kinds_name_becomes_a_job(stack: Stack) -> None:
    from celery import Celery

    with Celery("elsewhere", broker=services.broker.url, set_as_current=False) as client:
        good = client.send_task("kinds.add", kwargs={"a": 30})
        bad = client.send_task("kinds.add", kwargs={"a": "many"})
    wait_until(lambda: Job.objects.filter(pk=good.id, state=State.SUCCEEDED).exists())
    assert Job.objects.get(pk=good.id).result == 31
    wait_until(lambda: AsyncResult(bad.id).state == "FAILURE")
    assert "a: input should be a valid integer" in str(AsyncResult(bad.id).result)
    assert Job.objects.get(pk=bad.id).arguments == {"a": "many"}


def test_ordinary_celery_tasks_run_beside_jobs_and_keep_their_results(stack: Stack) -> None:
    from django_celery_results.models import TaskResult

    jobs = [submit(kinds.add, {"a": n}) for n in range(10)]
    results = [kinds.ordinary.delay(n) for n in range(10)]
    assert [result.get(timeout=60) for result in results] == [n * 2 for n in range(10)]
    assert TaskResult.objects.get(task_id=results[0].id).status == "SUCCESS"
    assert all(ended(job).state == State.SUCCEEDED for job in jobs)
