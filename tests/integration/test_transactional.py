"""A transactional handler's writes and its settlement are one: exactly once, whatever happens to its process."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from furrow import Job, State, submit
from furrow.errors import KindError
from furrow.kinds.kind import Kind

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


@pytest.mark.engine
@pytest.mark.parametrize("how", ["close_old_connections", "close"])
def test_closing_connections_does_not_harm_its_transaction(stack: Stack, how: str) -> None:
    job = submit(kinds.meddles_with_its_transaction, {"name": how, "how": how})
    all_ended()
    job.refresh_from_db()
    assert (job.state, job.error) == (State.SUCCEEDED, "")
    assert Group.objects.filter(name__in=[how, f"{how} after"]).count() == 2


@pytest.mark.engine
@pytest.mark.parametrize(
    "how", ["ROLLBACK", "COMMIT", "ROLLBACK; BEGIN", "driver's rollback", "driver's commit", "set_rollback"]
)
def test_a_handler_that_ends_its_transaction_does_not_succeed(stack: Stack, how: str) -> None:
    job = submit(kinds.meddles_with_its_transaction, {"name": how, "how": how})
    all_ended()
    job.refresh_from_db()
    assert job.state == State.FAILED
    assert job.error.startswith("TransactionEnded: ")
    assert Group.objects.filter(name=how).exists() is ("ommit" in how.lower())


# On SQLite nobody else can write while the handler's transaction is open, so no run can become stale in it.
def test_a_run_that_lost_its_job_writes_nothing(stack: Stack, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    job = submit(kinds.writes, {"name": "once", "then": "waits", "mark": str(mark)})
    wait_until(mark.exists)
    assert Job.objects.filter(pk=job.pk, state=State.RUNNING).update(state=State.PENDING, worker=None, queued_at=None) == 1
    wait_until(lambda: Job.objects.get(pk=job.pk).state == State.SUCCEEDED)
    assert len(mark.read_text().splitlines()) == 2
    assert Group.objects.filter(name="once").count() == 1
    job.refresh_from_db()  # a busy worker may have handed it back before it began
    assert (job.counted_attempts, [one for one in outcomes(job) if one != "interrupted"]) == (2, ["succeeded"])


async def asynchronous() -> None:
    """Cannot be transactional."""


async def asynchronous_generator() -> AsyncIterator[int]:
    """Nor can this."""
    yield 1


@pytest.mark.parametrize("handler", [asynchronous, asynchronous_generator])
def test_an_async_handler_cannot_be_transactional(handler: Any) -> None:
    with pytest.raises(KindError, match="plain function"):
        Kind(handler, submit, transactional=True)
    with pytest.raises(KindError, match="True or False"):
        Kind(asynchronous, submit, transactional="yes")  # type: ignore[arg-type]
