"""A transactional handler's writes and its settlement are one: exactly once, whatever happens to its process."""

from pathlib import Path

import pytest
from django.contrib.auth.models import Group

from apps.jobs.api import Job, State, submit
from apps.jobs.errors import KindError
from apps.jobs.kinds import Kind
from tests import kinds
from tests.stack import Stack, all_ended, wait_until


def outcomes(job: Job) -> list[str]:
    """Of its attempts, in order."""
    return list(job.attempts.order_by("number").values_list("outcome", flat=True))


@pytest.mark.engine
@pytest.mark.parametrize(
    ("then", "ended"),
    [
        ("returns", ["succeeded"]),
        ("raises", ["failed", "succeeded"]),
        ("dies", ["crashed", "succeeded"]),
        ("dies after the commit", ["succeeded"]),
    ],
)
def test_what_it_writes_is_there_exactly_once(stack: Stack, then: str, ended: list[str]) -> None:
    job = submit(kinds.writes, {"name": then, "then": then})
    all_ended()
    job.refresh_from_db()
    assert job.state == State.SUCCEEDED
    assert outcomes(job) == ended
    assert Group.objects.filter(name=then).count() == 1


@pytest.mark.engine
def test_what_it_writes_before_it_fails_for_good_is_not_there(stack: Stack) -> None:
    job = submit(kinds.writes, {"name": "never", "then": "raises"}, max_attempts=1)
    all_ended()
    job.refresh_from_db()
    assert (job.state, job.error) == (State.FAILED, "ValueError: after it wrote")
    assert not Group.objects.filter(name="never").exists()


# On SQLite nobody else can write while the handler's transaction is open, so no run can become stale in it.
def test_a_run_that_lost_its_job_writes_nothing(stack: Stack, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    job = submit(kinds.writes, {"name": "once", "then": "waits", "mark": str(mark)})
    wait_until(mark.exists)
    assert Job.objects.filter(pk=job.pk, state=State.RUNNING).update(state=State.PENDING, worker=None, queued_at=None) == 1
    wait_until(lambda: Job.objects.get(pk=job.pk).state == State.SUCCEEDED)
    assert len(mark.read_text().splitlines()) == 2
    assert Group.objects.filter(name="once").count() == 1
    assert (Job.objects.get(pk=job.pk).attempt, outcomes(job)) == (2, ["succeeded"])


async def asynchronous() -> None:
    """Cannot be transactional."""


def test_an_async_handler_cannot_be_transactional() -> None:
    with pytest.raises(KindError, match="plain function"):
        Kind(asynchronous, transactional=True)
    with pytest.raises(KindError, match="True or False"):
        Kind(asynchronous, transactional="yes")  # type: ignore[arg-type]
