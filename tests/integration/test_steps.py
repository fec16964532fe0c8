"""Steps: what a handler did in an earlier run of its job is not done again. Jobs run in the test's process (``drain``)."""

import asyncio
import datetime as dt
import re
import uuid
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.utils import timezone
from furrow import InputError, Job, JobFailed, SignalTimeout, State, current_job, retry, retry_from, send_signal, submit
from furrow.actions.jobs import cancel, delete
from furrow.diagnosis.explain import situation, why
from furrow.errors import Cancelled, Interruption, SoftTimeout
from furrow.kinds.kind import _kinds
from furrow.models import AuditEntry, LogLine, Signal, Step
from furrow.states import Outcome
from furrow.testing import advance, drain
from pytest_django import Settings

from tests import kinds, services
from tests.api import Api
from tests.command_line import jobs, refused
from tests.kinds import stepped

pytestmark = [pytest.mark.django_db, pytest.mark.engine]

Deploys = Callable[..., None]
HOUR = 3600


@pytest.fixture
def done() -> list[str]:
    """What the functions of steps did."""
    return []


@pytest.fixture
def deploy(monkeypatch: pytest.MonkeyPatch) -> Deploys:
    """Put this code in the place of the handler's."""

    def put(code: Callable[[], Any]) -> None:
        monkeypatch.setattr(stepped, "script", code)

    return put


def outcomes(job: Job) -> list[str]:
    return list(job.attempts.order_by("number").values_list("outcome", flat=True))


def again(job: Job) -> Job:
    job.refresh_from_db()
    return job


def run(**options: Any) -> None:
    """Whatever is due or scheduled."""
    drain(with_scheduled=True, raise_on_failure=False, **options)


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


# --- Code that changes --------------------------------------------------------------------------------------------------------


def steps(*names: str, then: Callable[[], Any] = lambda: current_job.sleep(HOUR, name="night"), done: list[str]) -> Any:
    """A handler with these steps in this order."""

    def handler() -> None:
        for name in names:
            current_job.step(name, done.append, name)
        then()

    return handler


def notes(job: Job) -> dict[str, str]:
    return dict(Step.objects.filter(job=job.pk).exclude(note="").values_list("name", "note"))


@pytest.mark.parametrize("later", [("a", "B", "c"), ("a", "x", "b", "c"), ("x", "a", "b", "c")])
def test_another_step_in_the_place_of_a_recorded_one_holds_the_job(deploy: Deploys, done: list[str], later: Any) -> None:
    deploy(steps("a", "b", "c", done=done))
    job = submit(kinds.scripted)
    drain()
    deploy(steps(*later, done=done))
    advance(HOUR)
    drain()
    assert (again(job).state, done, job.counted_attempts) == (State.PENDING, ["a", "b", "c"], 0)
    assert job.run_at > timezone.now()
    place = next(n for n, name in enumerate(later) if name not in "abc")
    assert f"comes to the step {later[place]!r} where attempt 1 recorded {'abc'[place]!r}" in job.error
    deploy(steps("a", "b", "c", done=done))  # the right code
    run()
    assert (again(job).state, done) == (State.SUCCEEDED, ["a", "b", "c"])


def test_a_step_that_is_declared_as_renamed_or_as_new_is_not_held(deploy: Deploys, done: list[str]) -> None:
    deploy(steps("a", "b", done=done))
    job = submit(kinds.scripted)
    drain()

    def handler() -> None:
        current_job.step("first", new=True)(done.append)("first")
        current_job.step("A", was="a")(done.append)("A")
        steps("b", done=done)()
        current_job.step("last", done.append, "last")

    deploy(handler)
    run()
    assert (again(job).state, done) == (State.SUCCEEDED, ["a", "b", "first", "last"])
    assert list(Step.objects.values_list("name", flat=True)) == ["first", "A", "b", "night", "last"]
    assert notes(job) == {}


def test_steps_that_are_gone_or_stand_elsewhere_are_told_in_the_log_and_on_the_step(deploy: Deploys, done: list[str]) -> None:
    deploy(steps("a", "b", "c", done=done))
    job = submit(kinds.scripted)
    drain()
    deploy(steps("c", "b", done=done))
    run()
    assert (again(job).state, done) == (State.SUCCEEDED, ["a", "b", "c"])
    assert notes(job) == {
        "a": "not met by attempt 2, which ended: renamed or removed",
        "b": "met out of order by attempt 2: as step 2, before it was 2",
    }
    lines = list(LogLine.objects.filter(job=job.pk, level=30).values_list("message", flat=True))
    assert [line.split(" was ")[0] for line in lines] == ["Step 'b'", "Step 'a'"]


def test_steps_that_are_gone_all_together_are_told_too(deploy: Deploys, done: list[str]) -> None:
    deploy(steps("a", done=done))
    job = submit(kinds.scripted)
    drain()
    deploy(lambda: None)
    run()
    assert again(job).state == State.SUCCEEDED
    assert set(notes(job)) == {"a", "night"}


def test_a_step_that_became_another_sort_holds_the_job(deploy: Deploys) -> None:
    deploy(lambda: current_job.sleep(HOUR, name="x"))
    job = submit(kinds.scripted)
    drain()
    deploy(lambda: current_job.step("x", int))
    advance(HOUR)
    drain()
    assert again(job).state == State.PENDING
    assert "'x' is a step now, and attempt 1 recorded a sleep of that name" in job.error


def test_async_steps_that_are_called_side_by_side_have_no_order(deploy: Deploys, done: list[str]) -> None:
    async def handler() -> None:
        over = {name: asyncio.Event() for name in ("a2", "b2")}

        async def one(name: str) -> None:
            if name == "a1" and current_job.attempt == 1:
                await over["b2"].wait()  # the other line overtakes it
                raise ValueError("once")
            done.append(name)

        async def line(*names: str) -> None:
            for name in names:
                if name == "b2" and current_job.attempt == 2:
                    await over["a2"].wait()  # and is overtaken now
                await current_job.step(name, one, name)
                if name in over:
                    over[name].set()

        await asyncio.gather(line("a1", "a2"), line("b1", "b2"))

    deploy(handler)
    job = submit(kinds.scripted_async)
    run()
    assert (again(job).state, outcomes(job)) == (State.SUCCEEDED, ["failed", "succeeded"])
    assert done == ["b1", "b2", "a1", "a2"]
    assert notes(job) == {}


# --- What people do, and what becomes of the rows -----------------------------------------------------------------------------


def test_a_job_is_run_again_from_a_step(deploy: Deploys, done: list[str]) -> None:
    def handler() -> None:
        current_job.step("a", done.append, "a")
        current_job.wait_signal("paid")
        current_job.step("b", done.append, "b")

    deploy(handler)
    job = submit(kinds.scripted)
    send_signal(job, "paid")
    run()
    assert retry_from(job.pk, "paid") == 2
    assert list(Step.objects.values_list("name", flat=True)) == ["a"]
    run()  # the signal is there again
    assert (again(job).state, done) == (State.SUCCEEDED, ["a", "b", "b"])
    with pytest.raises(InputError, match="did you mean 'paid'"):
        retry_from(job.pk, "Paid")
    assert retry_from(uuid.uuid4(), "a") == 0
    Job.objects.filter(pk=job.pk).update(state=State.RUNNING, finished_at=None)
    assert retry_from(job.pk, "a") == 0
    assert Step.objects.count() == 3


def test_steps_and_signals_go_with_their_job(deploy: Deploys) -> None:
    deploy(lambda: current_job.step("a", int))
    job = submit(kinds.scripted)
    send_signal(job, "paid")
    run()
    assert delete(job.pk) == 1
    assert (Step.objects.count(), Signal.objects.count()) == (0, 0)


def test_a_step_says_by_which_version_of_the_code_it_was_recorded(deploy: Deploys, settings: Settings) -> None:
    settings.FURROW = {**settings.FURROW, "VERSION": "2026.11"}
    deploy(lambda: current_job.step("a", int))
    submit(kinds.scripted)
    run()
    assert Step.objects.get().version == "2026.11"


def test_a_run_that_is_not_the_current_one_records_nothing(deploy: Deploys, done: list[str]) -> None:
    def handler() -> None:
        if current_job.attempt == 1:
            Job.objects.update(attempt=2)
        current_job.step("a", done.append, "a")
        done.append("behind it")

    deploy(handler)
    job = submit(kinds.scripted)
    drain(raise_on_failure=False)
    assert (again(job).state, job.attempt, done) == (State.RUNNING, 2, ["a"])
    assert not Step.objects.exists()
    assert not job.attempts.filter(outcome=Outcome.SUCCEEDED).exists()


# --- From outside -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def waits(deploy: Deploys) -> Job:
    """A job that waits for a signal behind a step."""

    def handler() -> Any:
        return [current_job.step("charge", lambda: {"receipt": 7}), current_job.wait_signal("paid")]

    deploy(handler)
    job = submit(kinds.scripted)
    drain()
    return again(job)


@pytest.fixture
def api() -> Api:
    """With a token that may act."""
    return Api(User.objects.create(username="ann", is_superuser=True))


def test_signals_and_steps_over_http(api: Api, waits: Job) -> None:
    found = api.get(f"jobs/{waits.pk}").json()
    assert "Waits for the signal “paid”" in found["why"]["text"]
    assert [(step["name"], step["result"], step["awaits"]) for step in found["steps"]] == [
        ("charge", {"receipt": 7}, ""),
        ("paid", None, "paid"),
    ]
    sent = {"name": "paid", "payload": [1]}
    answers = [api.post(f"jobs/{waits.pk}/signals", sent, Idempotency_Key="k") for _ in range(2)]
    assert [(one.status_code, one.json()) for one in answers] == [(201, {"delivered": True})] * 2
    assert Signal.objects.count() == 1
    run()
    assert again(waits).result == [{"receipt": 7}, [1]]
    assert api.post(f"jobs/{waits.pk}/retry-from", {"step": "chrge"}).status_code == 422
    assert api.post(f"jobs/{waits.pk}/retry-from", {"step": "paid"}).json()["state"] == "pending"
    assert list(Step.objects.values_list("name", flat=True)) == ["charge"]
    Job.objects.update(state=State.RUNNING)
    assert api.post(f"jobs/{waits.pk}/retry-from", {"step": "charge"}).status_code == 409
    assert api.post(f"jobs/{uuid.uuid4()}/signals", sent).status_code == 404
    audited = AuditEntry.objects.filter(job=waits.pk).order_by("pk").values_list("action", "detail")
    assert list(audited) == [("signal", "paid"), ("retry from", "paid")]


def test_signals_and_steps_on_the_command_line(waits: Job) -> None:
    shown = jobs("show", waits.pk)
    assert re.search(r'1  charge +1 +\S.* {"receipt": 7}', shown)
    assert "waits for paid" in shown
    assert "is no JSON" in refused("signal", waits.pk, "paid", "{")
    assert "the job goes on" in jobs("signal", waits.pk, "paid", '{"by": "bob"}')
    assert "kept until the job asks for it" in jobs("signal", waits.pk, "other")
    run()
    assert again(waits).result == [{"receipt": 7}, {"by": "bob"}]
    assert "will run again from paid" in jobs("retry-from", waits.pk, "paid")
    assert "did you mean 'charge'" in refused("retry-from", waits.pk, "chrge")
    assert "may not act on jobs" in refused("signal", waits.pk, "paid", "--user", User.objects.create(username="bob").username)
    run()
    assert again(waits).result == [{"receipt": 7}, {"by": "bob"}]
    assert AuditEntry.objects.filter(job=waits.pk).count() == 3


# --- The page -----------------------------------------------------------------------------------------------------------------


def test_the_guides_example_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (services.ROOT / "docs/steps.md").read_text()
    tasks, approval = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)[:2]
    (tmp_path / "steps_of_the_guide.py").write_text(f"{tasks}\n{approval}")
    monkeypatch.syspath_prepend(tmp_path)
    guide = import_module("steps_of_the_guide")
    try:
        job = guide.fulfil.submit(order=7)
        assert drain().snoozed == 1
        guide.approve(job.pk, "ann")
        run()
        assert again(job).result == "parcel for r-7, approved by ann"
        assert outcomes(job) == ["snoozed", "snoozed", "succeeded"]
    finally:
        _kinds.pop(guide.fulfil.name)
        current_app.tasks.pop(guide.fulfil.name)
