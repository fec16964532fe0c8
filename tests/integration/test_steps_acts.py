"""Steps: what people do with them, from outside too, and what becomes of their rows."""

import re
import uuid
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.contrib.auth.models import User
from furrow import InputError, Job, State, current_job, retry_from, send_signal, submit
from furrow.actions.jobs import delete
from furrow.kinds.kind import _kinds
from furrow.models import AuditEntry, Signal, Step
from furrow.states import Outcome
from furrow.testing import drain
from pytest_django import Settings

from tests import kinds, services
from tests.api import Api
from tests.command_line import jobs, refused
from tests.steps import Deploys, again, deploy, done, outcomes, run

pytestmark = [pytest.mark.django_db, pytest.mark.engine]
assert done, deploy  # fixtures


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
