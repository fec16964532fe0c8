"""Steps: what a handler did in an earlier run of its job is not done again. Jobs run in the test's process (``drain``)."""

import asyncio
import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import transaction
from django.utils import timezone
from furrow import State, current_job, retry, submit
from furrow.actions.jobs import cancel
from furrow.errors import Cancelled, Interruption, SoftTimeout
from furrow.models import Step
from furrow.testing import drain
from pytest_django import Settings

from tests import kinds
from tests.steps import HOUR, Deploys, again, deploy, done, outcomes, run

pytestmark = [pytest.mark.django_db, pytest.mark.engine]
assert done, deploy  # fixtures


# --- Functions ----------------------------------------------------------------------------------------------------------------


def test_a_step_is_called_once_and_its_result_is_given_back_to_every_later_run(deploy: Deploys, done: list[str]) -> None:
    def charge(order: int, *, key: str) -> dict[str, Any]:
        done.append(f"{order} {key}")
        return {"receipt": (order, dt.date(2026, 1, 2))}

    seen: list[Any] = []

    def handler() -> Any:
        seen.append(current_job.step("charge", charge, 7, key="k"))
        if current_job.attempt < 3:
            raise ValueError("after the step")
        return seen[-1]

    deploy(handler)
    job = submit(kinds.scripted)
    run()
    assert again(job).state == State.SUCCEEDED
    assert done == ["7 k"]
    assert seen == [{"receipt": [7, "2026-01-02"]}] * 3  # the first run sees what later ones do
    step = Step.objects.get()
    assert (step.job_id, step.name, step.sort, step.position, step.attempt, step.passed_in) == (
        job.pk,
        "charge",
        "step",
        1,
        1,
        1,
    )
    assert step.finished_at is not None
    assert step.started_at <= step.finished_at


def test_a_step_has_the_name_of_its_function_or_is_declared_by_a_decorator(deploy: Deploys, done: list[str]) -> None:
    @current_job.step()
    def pack(what: str) -> str:
        done.append(what)
        return what.upper()

    @current_job.step("sent")
    def ship() -> None:
        done.append("ship")

    def weigh() -> int:
        return 3

    def handler() -> Any:
        found = [current_job.step(weigh), pack("box"), ship()]
        if current_job.attempt == 1:
            raise ValueError("once")
        return found

    deploy(handler)
    job = submit(kinds.scripted)
    run()
    assert again(job).result == [3, "BOX", None]
    assert done == ["box", "ship"]
    assert list(Step.objects.values_list("name", "position")) == [("weigh", 1), ("pack", 2), ("sent", 3)]


def test_a_handler_with_steps_is_called_like_any_function() -> None:
    assert current_job.step("one", int, "7") == 7
    current_job.sleep(HOUR), current_job.sleep_until(timezone.now())
    assert current_job.wait_signal("paid", default=3) == 3
    with pytest.raises(Exception, match="outside of a job"):
        current_job.wait_signal("paid")
    assert not Step.objects.exists()


def test_a_step_that_fails_is_called_again(deploy: Deploys, done: list[str]) -> None:
    def flaky() -> int:
        done.append("called")
        return 1 // (len(done) - 1)

    deploy(lambda: current_job.step(flaky))
    job = submit(kinds.scripted)
    run()
    assert (again(job).result, done, outcomes(job)) == (1, ["called"] * 2, ["failed", "succeeded"])


@pytest.mark.parametrize(
    ("value", "reason"),
    [(object(), "has no JSON form"), ("x" * 200, "the limit is 100"), (float("nan"), "no JSON form"), ("\x00", "U+0000")],
)
def test_a_result_that_cannot_be_kept_fails_the_job_at_once(
    deploy: Deploys, settings: Settings, value: Any, reason: str
) -> None:
    settings.FURROW = {**settings.FURROW, "MAX_RESULT_BYTES": 100}
    deploy(lambda: current_job.step("big", lambda: value))
    job = submit(kinds.scripted)
    run()
    assert (again(job).state, job.attempt) == (State.FAILED, 1)
    assert reason in job.error
    assert "the step 'big' of kinds.scripted returned" in job.error
    assert not Step.objects.exists()


def test_a_step_that_is_met_twice_nested_or_has_no_name_fails_the_job_at_once(deploy: Deploys) -> None:
    def nested() -> None:
        current_job.step("inner", int)

    def twice() -> None:
        current_job.step("one", int), current_job.step("one", int)

    for code, reason in (
        (twice, "is met twice in one run"),
        (lambda: current_job.step("outer", nested), "'inner' is within the step 'outer'"),
        (lambda: current_job.step("outer", lambda: current_job.sleep(1)), "'sleep' is within the step 'outer'"),
        (lambda: current_job.step(lambda: 1), "has no name"),
        (lambda: current_job.step("", int), "must be a text of 1 to 200 characters"),
        (lambda: current_job.sleep(-1), "must be a timedelta, or seconds"),
        (lambda: current_job.sleep_until(dt.datetime(2026, 1, 1)), "has no time zone"),
        (lambda: current_job.step("one", asyncio.sleep, 0), "its handler must be async too"),
    ):
        deploy(code)
        job = submit(kinds.scripted)
        run()
        assert (again(job).state, job.attempt) == (State.FAILED, 1), reason
        assert reason in job.error


def test_a_job_has_no_more_steps_than_the_settings_say(deploy: Deploys, settings: Settings) -> None:
    settings.FURROW = {**settings.FURROW, "MAX_STEPS": 3}
    deploy(lambda: [current_job.step(f"step {n}", int) for n in range(4)])
    job = submit(kinds.scripted)
    run()
    assert again(job).state == State.FAILED
    assert "at most 3 steps (FURROW['MAX_STEPS'])" in job.error


def test_async_handlers_await_their_steps(deploy: Deploys, done: list[str]) -> None:
    async def one(name: str) -> str:
        await asyncio.sleep(0)
        done.append(name)
        return name

    def counts() -> int:
        return Group.objects.count()

    async def handler() -> Any:
        first = await asyncio.gather(*[current_job.step(name, one, name) for name in ("a", "b")])
        groups = await current_job.step(counts)
        await current_job.sleep(HOUR)
        if current_job.attempt == 2:
            raise ValueError("once")
        return [*first, groups, await current_job.wait_signal("paid", timeout=1, default="never")]

    deploy(handler)
    job = submit(kinds.scripted_async)
    run()
    assert (again(job).result, sorted(done)) == (["a", "b", 0, "never"], ["a", "b"])


# --- Transactions -------------------------------------------------------------------------------------------------------------


def test_a_step_within_a_transaction_of_the_handlers_own_is_refused(deploy: Deploys) -> None:
    def handler() -> None:
        with transaction.atomic():
            current_job.step("charge", int)

    deploy(handler)
    job = submit(kinds.scripted)
    run()
    assert (again(job).state, job.attempt) == (State.FAILED, 1)
    assert "is within transaction.atomic()" in job.error


def test_a_transactional_step_writes_and_records_both_or_neither(deploy: Deploys, settings: Settings) -> None:
    settings.FURROW = {**settings.FURROW, "MAX_RESULT_BYTES": 50}

    @current_job.step(transactional=True)
    def charge() -> Any:
        Group.objects.create(name="charged")
        return "x" * (100 if current_job.attempt == 1 else 1)

    deploy(charge)
    job = submit(kinds.scripted)
    run()
    assert again(job).state == State.FAILED  # its result is too large
    assert not Group.objects.exists()
    retry(job.pk)
    run()
    assert (again(job).state, Group.objects.count(), Step.objects.count()) == (State.SUCCEEDED, 1, 1)


def test_a_transactional_handler_commits_what_it_did_when_it_sleeps(deploy: Deploys) -> None:
    def handler() -> None:
        current_job.step("one", lambda: Group.objects.create(name=f"one {current_job.attempt}") and None)
        current_job.sleep(HOUR)
        current_job.step("two", lambda: Group.objects.create(name=f"two {current_job.attempt}") and None)
        if current_job.attempt == 2:
            raise ValueError("takes the second step with it")

    deploy(handler)
    job = submit(kinds.scripted_in_a_transaction)
    run()
    assert (again(job).state, outcomes(job)) == (State.SUCCEEDED, ["snoozed", "failed", "succeeded"])
    assert sorted(Group.objects.values_list("name", flat=True)) == ["one 1", "two 3"]


# --- Sleeps -------------------------------------------------------------------------------------------------------------------


def test_a_sleep_ends_the_run_and_the_next_one_goes_on_behind_it(deploy: Deploys, done: list[str]) -> None:
    def handler() -> None:
        current_job.step("before", lambda: done.append("before"))
        current_job.sleep(dt.timedelta(days=800))
        current_job.sleep_until(timezone.now() - dt.timedelta(1))
        current_job.sleep(HOUR, name="cool off")
        current_job.step("after", lambda: done.append("after"))

    deploy(handler)
    job = submit(kinds.scripted)
    before = timezone.now()
    drain()
    assert (again(job).state, job.counted_attempts, done) == (State.PENDING, 0, ["before"])
    assert "sleeps in the step 'sleep'" in job.error
    assert Step.objects.filter(name="sleep", until__gt=before + dt.timedelta(days=799)).exists()
    run()
    assert (again(job).state, done) == (State.SUCCEEDED, ["before", "after"])
    assert outcomes(job)[-2:] == ["snoozed", "succeeded"]
    assert list(Step.objects.values_list("name", flat=True)) == ["before", "sleep", "sleep 2", "cool off", "after"]
    assert not Step.objects.filter(finished_at__isnull=True).exists()


def test_a_job_that_is_woken_early_sleeps_on_until_the_recorded_end(deploy: Deploys) -> None:
    deploy(lambda: current_job.sleep(HOUR))
    job = submit(kinds.scripted)
    drain()
    until = Step.objects.get().until
    cancel(job.pk)
    assert retry(job.pk) == 1
    drain()
    assert (again(job).state, Step.objects.get().until) == (State.PENDING, until)
    assert abs(job.run_at - until) < dt.timedelta(seconds=30)  # type: ignore[operator]
    run()
    assert again(job).state == State.SUCCEEDED


def test_a_handler_that_goes_on_behind_a_sleep_is_suspended_all_the_same(deploy: Deploys, done: list[str]) -> None:
    def handler() -> str:
        try:
            current_job.sleep(HOUR)
        except BaseException:
            current_job.step("not yet", lambda: done.append("too early"))
        return "woke up"

    deploy(handler)
    job = submit(kinds.scripted)
    drain()
    assert (again(job).state, done) == (State.PENDING, [])
    run()
    assert (again(job).result, done) == ("woke up", [])


def test_what_suspends_is_not_caught_as_an_exception() -> None:
    from furrow.errors import StepChanged, Superseded, Suspended

    for error in (StepChanged, Superseded, Suspended, Cancelled, SoftTimeout):
        assert issubclass(error, Interruption)
        assert not issubclass(error, Exception)
