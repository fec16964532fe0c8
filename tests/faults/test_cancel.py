"""Cancelling a running job: it is asked, then interrupted, then killed."""

from pathlib import Path

import pytest
from furrow import FINAL, Job, State, cancel, submit

from tests import kinds
from tests.stack import Stack, wait_until
from tests.thorough import first_of

pytestmark = pytest.mark.engine


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("checks", "Cancelled: somebody cancelled the job"),
        ("sleeps", "Cancelled: somebody cancelled the job"),
        ("deaf", "did not stop when asked, and its process was killed"),
    ],
)
def test_a_running_job_stops(stack: Stack, tmp_path: Path, how: str, error: str) -> None:
    mark = tmp_path / "mark"
    job = submit(kinds.stubborn, {"seconds": 100, "how": how, "mark": str(mark)})
    wait_until(lambda: mark.exists() and Job.objects.get(pk=job.pk).state == State.RUNNING)
    assert cancel(job.pk)
    wait_until(lambda: Job.objects.get(pk=job.pk).state in FINAL)
    ended = Job.objects.get(pk=job.pk)
    assert (ended.state, ended.attempts.get().outcome) == (State.CANCELLED, "cancelled")
    assert error in ended.error
    # The process, or the one that took its place, goes on with other jobs.
    others = [submit(kinds.add, {"a": n}) for n in range(10)]
    wait_until(lambda: Job.objects.filter(pk__in=[o.pk for o in others], state=State.SUCCEEDED).count() == 10)


def test_a_cancelled_run_that_ends_first_keeps_its_result(stack: Stack, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    job = submit(kinds.sleeps, {"seconds": 0, "mark": str(mark), "until": str(goes_on := tmp_path / "goes on")})
    wait_until(mark.exists)
    assert cancel(job.pk)
    goes_on.touch()
    wait_until(lambda: Job.objects.get(pk=job.pk).state in FINAL)
    assert Job.objects.get(pk=job.pk).result == "slept"


def test_a_cancelled_job_is_not_tried_again(stack: Stack) -> None:
    job = submit(kinds.cancels_itself_and_fails)
    wait_until(lambda: Job.objects.get(pk=job.pk).state in FINAL)
    ended = Job.objects.get(pk=job.pk)
    assert (ended.state, ended.attempt) == (State.CANCELLED, 1)


@pytest.mark.parametrize("end", first_of(["killed", "stopped"]))
def test_a_cancellation_survives_its_worker(bare: Stack, tmp_path: Path, end: str) -> None:
    mark = tmp_path / "mark"
    bare.dispatcher()
    worker = bare.worker("first", processes=1, FURROW_SHUTDOWN_GRACE="0.5")
    job = submit(kinds.stubborn, {"seconds": 100, "how": "deaf", "mark": str(mark)})
    wait_until(lambda: mark.exists() and Job.objects.get(pk=job.pk).state == State.RUNNING)
    if end == "killed":
        worker.kill()  # so that it cannot hear of the cancellation; the job is its own until its lease is over
        assert cancel(job.pk)
        bare.expire(worker)
    else:
        assert cancel(job.pk)
        assert worker.stop() == 0
    bare.worker("second")
    wait_until(lambda: Job.objects.get(pk=job.pk).state in FINAL)
    assert Job.objects.get(pk=job.pk).state == State.CANCELLED
    assert submit_and_wait() == 2
    assert len(mark.read_text().splitlines()) == 1, "it began again"


def submit_and_wait() -> object:
    """The second worker works."""
    job = submit(kinds.add, {"a": 1})
    wait_until(lambda: Job.objects.get(pk=job.pk).state == State.SUCCEEDED)
    return Job.objects.get(pk=job.pk).result


def test_flowers_terminate_cancels_the_job(stack: Stack, tmp_path: Path) -> None:
    from config.celery import app

    mark = tmp_path / "mark"
    job = submit(kinds.stubborn, {"seconds": 100, "how": "checks", "mark": str(mark)})
    wait_until(lambda: mark.exists() and Job.objects.get(pk=job.pk).state == State.RUNNING)
    app.control.revoke(str(job.pk), terminate=True)
    wait_until(lambda: Job.objects.get(pk=job.pk).state == State.CANCELLED)
