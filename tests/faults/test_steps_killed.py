"""Jobs with steps in real processes, which are killed: what was recorded is not done again, what was not is."""

from pathlib import Path

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from furrow import Job, State, send_signal, submit
from furrow.models import Step
from furrow.states import FINAL

from tests import kinds
from tests.stack import Stack, all_ended, wait_until

pytestmark = pytest.mark.engine


def done(path: Path) -> list[str]:
    """What the functions of its steps did, in order."""
    return [line.split()[2] for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    ("die", "did", "charged"),
    [
        ("in charge", ["charge", "charge", "ship"], 2),  # its effect is outside: nobody can know
        ("after charge", ["charge", "ship"], 1),
        ("in ship", ["charge", "ship", "ship"], 1),
    ],
)
def test_a_killed_process_repeats_only_the_step_that_was_not_recorded(
    stack: Stack, tmp_path: Path, die: str, did: list[str], charged: int
) -> None:
    path = tmp_path / "done"
    job = submit(kinds.orders, {"path": str(path), "die": die})
    all_ended()
    job.refresh_from_db()
    assert job.state == State.SUCCEEDED
    assert done(path) == did
    assert job.result["charged"] == f"charge by attempt {charged}"
    outcomes = list(job.attempts.order_by("number").values_list("outcome", flat=True))
    assert sorted(outcomes) == ["crashed", "snoozed", "succeeded"]


def test_a_signal_wakes_a_job_in_a_worker(stack: Stack, tmp_path: Path) -> None:
    job = submit(kinds.orders, {"path": str(tmp_path / "done"), "wait": True})
    waits = Step.objects.filter(job=job.pk, awaits="paid", finished_at=None)
    wait_until(waits.exists, what="it waits for the signal")
    send_signal(job, "paid", {"euros": 7})
    wait_until(lambda: Job.objects.get(pk=job.pk).state in FINAL, what="the signal woke it")
    job.refresh_from_db()
    assert (job.state, job.result["paid"]) == (State.SUCCEEDED, {"euros": 7})
    assert job.counted_attempts == 1


def test_what_a_transactional_step_writes_is_there_once_though_its_process_is_killed(stack: Stack, tmp_path: Path) -> None:
    path = tmp_path / "runs"
    job = submit(kinds.charges_in_one_transaction, {"name": "charged", "path": str(path)})
    all_ended()
    job.refresh_from_db()
    assert job.state == State.SUCCEEDED
    assert len(path.read_text().splitlines()) == 2
    assert Group.objects.filter(name="charged").count() == 1


def test_a_zombies_step_is_refused_and_it_is_stopped(stack: Stack, tmp_path: Path) -> None:
    path = tmp_path / "zombie"
    job = submit(kinds.outlives_its_run, {"path": str(path)})
    wait_until(path.exists, what="the first run is in its step")
    with connection.cursor() as cursor:  # as a rescue does that took its worker for dead
        cursor.execute("UPDATE furrow_job SET state = 'pending', worker = NULL, queued_at = NULL, run_at = created_at")
    all_ended()
    job.refresh_from_db()
    assert (job.state, job.result) == (State.SUCCEEDED, "step of attempt 2")
    wait_until(lambda: "refused" in path.read_text(), what="the zombie went on")
    assert [line.split(maxsplit=2)[2] for line in path.read_text().splitlines()] == ["in the step", "in the step", "refused"]
    assert Step.objects.get(job=job.pk).attempt == 2


def test_jobs_that_call_others_go_on_though_they_are_killed(stack: Stack) -> None:
    callers = [submit(kinds.calls, {"numbers": [n, n]}) for n in range(12)]
    all_ended()
    for n, job in enumerate(callers):
        job.refresh_from_db()
        assert (job.state, job.result) == (State.SUCCEEDED, 2 * n + 2), job.error
    assert Job.objects.filter(kind="kinds.add").count() == 12 * 3  # each was submitted once
