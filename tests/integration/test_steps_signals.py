"""Steps that wait: for signals, and for the jobs that they call."""

import datetime as dt
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from furrow import InputError, Job, JobFailed, SignalTimeout, State, current_job, send_signal, submit
from furrow.diagnosis.explain import situation, why
from furrow.models import Signal, Step, Workflow
from furrow.testing import advance, drain

from tests import kinds
from tests.kinds import stepped
from tests.steps import HOUR, Deploys, again, deploy, outcomes, run

pytestmark = [pytest.mark.django_db, pytest.mark.engine]
assert deploy  # fixtures


# --- Signals ------------------------------------------------------------------------------------------------------------------


def test_a_signal_wakes_the_job_that_waits_for_it(deploy: Deploys) -> None:
    deploy(lambda: current_job.wait_signal("paid"))
    job = submit(kinds.scripted)
    drain()
    assert again(job).state == State.PENDING
    assert job.run_at > timezone.now() + dt.timedelta(days=300)
    assert send_signal(job, "shipped") is False
    assert drain().runs == 0
    assert send_signal(job, "paid", {"euros": 7}, by="ann") is True
    assert drain().succeeded == 1
    assert again(job).result == {"euros": 7}
    assert list(Signal.objects.filter(consumed_at=None).values_list("name", "step", "sent_by")) == [("shipped", "", "")]
    assert list(Signal.objects.exclude(consumed_at=None).values_list("name", "step", "sent_by")) == [("paid", "paid", "ann")]


def test_signals_that_come_early_are_kept_in_their_order_and_each_is_taken_once(deploy: Deploys) -> None:
    def handler() -> list[Any]:
        found = [current_job.wait_signal("message") for _ in range(2)]
        if current_job.attempt == 1:
            raise ValueError("once")
        return [*found, current_job.wait_signal("message", timeout=HOUR, default="no more")]

    deploy(handler)
    id = uuid.uuid4()
    assert send_signal(id, "message", 1) is False  # before there is such a job
    job = submit(kinds.scripted, id=id)
    send_signal(str(id), "message", [2])
    run()
    assert again(job).result == [1, [2], "no more"]
    assert list(Step.objects.values_list("name", "result")) == [("message", "1"), ("message 2", "[2]"), ("message 3", None)]


def test_a_wait_that_is_over_is_told_again_to_every_later_run(deploy: Deploys) -> None:
    deploy(lambda: current_job.wait_signal("paid", timeout=60))
    job = submit(kinds.scripted, max_attempts=2)
    drain()
    advance(61)
    drain(raise_on_failure=False)
    send_signal(job, "paid")  # too late
    with pytest.raises(SignalTimeout, match="The signal 'paid' did not come in time"):
        drain(with_scheduled=True)
    assert (again(job).state, outcomes(job)) == (State.FAILED, ["snoozed", "failed", "failed"])


def test_a_signal_that_is_rolled_back_was_never_sent(deploy: Deploys) -> None:
    deploy(lambda: current_job.wait_signal("paid"))
    job = submit(kinds.scripted)
    drain()
    with transaction.atomic():
        send_signal(job, "paid")
        transaction.set_rollback(True)
    assert (drain().runs, Signal.objects.count()) == (0, 0)


@pytest.mark.parametrize(
    ("target", "name", "payload", "field"),
    [("nobody", "paid", None, "target"), (uuid.uuid4(), "", None, "name"), (uuid.uuid4(), "paid", object(), "payload")],
)
def test_a_signal_that_cannot_be_is_refused(target: Any, name: str, payload: Any, field: str) -> None:
    with pytest.raises(InputError) as refused:
        send_signal(target, name, payload)
    assert list(refused.value.fields) == [field]
    assert not Signal.objects.exists()


# --- Calls --------------------------------------------------------------------------------------------------------------------


def test_a_job_calls_others_and_goes_on_with_their_results(deploy: Deploys) -> None:
    def handler() -> Any:
        sums = current_job.call_many(kinds.add, [{"a": n} for n in range(3)], priority=3)
        one = current_job.call("kinds.add", {"a": sums[2], "b": 10})
        if current_job.attempt == 3:
            raise ValueError("once")
        return [sums, one, current_job.call_many(kinds.add, [], step="none")]

    deploy(handler)
    job = submit(kinds.scripted)
    run()
    assert (again(job).result, again(job).counted_attempts) == ([[1, 2, 3], 13, []], 2)
    assert outcomes(job)[:3] == ["snoozed", "snoozed", "failed"]
    called = Job.objects.filter(kind="kinds.add")
    assert sorted(called.values_list("priority", flat=True)) == [3, 3, 3, 5]
    assert list(Step.objects.values_list("name", "sort")) == [("kinds.add", "call"), ("kinds.add 2", "call"), ("none", "call")]


def test_the_failure_of_a_called_job_is_raised_in_every_later_run(deploy: Deploys) -> None:
    seen: list[str] = []

    def handler() -> Any:
        try:
            current_job.call(kinds.fails, {"message": "no"}, max_attempts=1)
        except JobFailed as error:
            seen.append(str(error))
            if current_job.attempt == 2:
                raise ValueError("once") from None

    deploy(handler)
    job = submit(kinds.scripted)
    run()
    assert again(job).state == State.SUCCEEDED
    assert len(seen) == 2
    assert len(set(seen)) == 1
    assert "1 of 1 job did not succeed" in seen[0]
    assert "ValueError: no" in seen[0]


def test_a_call_that_cannot_be_submitted_submits_nothing(deploy: Deploys) -> None:
    deploy(lambda: current_job.call_many(kinds.add, [{"a": 1}, {"a": "x"}]))
    job = submit(kinds.scripted)
    run()
    assert again(job).state == State.FAILED
    assert "row 1: a" in job.error
    assert (Step.objects.count(), Job.objects.count()) == (0, 1)


def test_a_job_that_waits_for_others_says_for_how_many(deploy: Deploys) -> None:
    deploy(lambda: current_job.call_many(kinds.add, [{"a": n} for n in range(3)], countdown=HOUR))
    job = submit(kinds.scripted)
    drain()
    reason = why(again(job), situation(job, timezone.now()), timezone.now())
    assert reason is not None
    assert reason.text == "Waits in its step “kinds.add” for 3 of 3 jobs to end"
    run()
    assert again(job).result == [1, 2, 3]


def test_what_a_job_calls_is_submitted_by_whom_the_job_was(deploy: Deploys) -> None:
    user = User.objects.create(username="ann")
    deploy(lambda: current_job.call("kinds.add", {"a": 1}))
    job = submit(stepped.scripted, submitted_by=user)
    run()
    assert Job.objects.get(kind="kinds.add").submitted_by == user
    assert Workflow.objects.get().submitted_by == user
    assert again(job).state in (State.PENDING, State.SUCCEEDED)
