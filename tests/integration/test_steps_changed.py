"""Steps whose code changes between two runs of a job."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone
from furrow import Job, State, current_job, submit
from furrow.models import LogLine, Step
from furrow.testing import advance, drain

from tests import kinds
from tests.steps import HOUR, Deploys, again, deploy, done, outcomes, run

pytestmark = [pytest.mark.django_db, pytest.mark.engine]
assert done, deploy  # fixtures


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
