"""A job's page: what it shows in each state, huge contents, the timeline, the log, the live part."""

import datetime as dt
import json
import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from furrow import Attempt, Job, LogLine, State
from furrow.admin.job_page import LINES
from furrow.models import AuditEntry, Signal, Step, Worker

from tests.rows import make, unguarded

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore:No directory at")]


def page(client: Client, job: Job, query: str = "") -> str:
    answer = client.get(f"/admin/furrow/job/{job.pk}/change/{query}")
    assert answer.status_code == 200
    return str(answer.content.decode())


@pytest.mark.parametrize("state", list(State))
def test_the_page_of_a_job_in_each_state(admin_client: Client, state: State) -> None:
    job = make(state)
    text = page(admin_client, job)
    ended = state in (State.SUCCEEDED, State.FAILED, State.CANCELLED)
    assert ("/cancel/" in text) == (not ended)
    assert ("/retry/" in text) == ended
    assert ('data-live=""' in text) == ended
    assert str(job.pk) in text
    assert f"?again={job.pk}" in text


@pytest.mark.parametrize(("queue", "asks"), [("default", True), ("external", False)])
def test_a_stack_is_asked_for_where_python_runs_the_job(admin_client: Client, queue: str, asks: bool) -> None:
    assert ("Show stack" in page(admin_client, make(State.RUNNING, queue=queue))) == asks


def test_huge_contents_are_cut_and_can_be_downloaded(admin_client: Client) -> None:
    job = make(State.SUCCEEDED, arguments={"a": "x" * 1_000_000}, result=list(range(150_000)), error="e" * 500_000)
    text = page(admin_client, job)
    assert len(text) < 200_000
    assert text.count("Truncated;") == 2
    whole = admin_client.get(f"/admin/furrow/job/{job.pk}/json/result/")
    assert json.loads(whole.content) == list(range(150_000))
    assert "attachment" in whole["Content-Disposition"]
    assert admin_client.get(f"/admin/furrow/job/{job.pk}/json/error/").status_code == 404
    assert len(admin_client.get("/admin/furrow/job/").content) < 200_000


def test_deep_json_does_not_break_the_page(admin_client: Client) -> None:
    job = make(State.PENDING)
    with unguarded(), connection.cursor() as cursor:
        key = job.pk.hex if connection.vendor == "sqlite" else job.pk
        cursor.execute("UPDATE furrow_job SET arguments = %s WHERE id = %s", ["[" * 990 + "]" * 990, key])
    text = page(admin_client, job)
    assert re.search(r"\[\s*\[\s*\[", text)
    assert len(text) < 200_000


def test_a_kind_that_is_not_registered_any_more(admin_client: Client) -> None:
    text = page(admin_client, make(State.FAILED, kind="gone.away"))
    assert "is no longer registered here" in text
    assert "Submit again" not in text


def test_the_timeline_tells_attempts_with_their_workers(admin_client: Client) -> None:
    job = make(State.FAILED, attempt=2)
    now = timezone.now()
    worker = Worker.objects.create(node="w1@here", pid=1, processes=1, lease_until=now)
    for number in (1, 2):
        Attempt.objects.create(
            job=job, number=number, outcome="crashed", worker=worker.pk, pid=4711, started_at=now,
            finished_at=now + dt.timedelta(seconds=2), error_type="KeyError", error="'k'", traceback="Traceback …",
        )  # fmt: skip
    text = page(admin_client, job)
    for part in ("Attempt 1", "Attempt 2", "2 s on w1@here, process 4711", "<b>KeyError</b>", "Traceback …"):
        assert part in text


def test_the_log_shows_the_newest_attempt_and_any_other_when_asked(admin_client: Client) -> None:
    job = make(State.RUNNING, attempt=2)
    LogLine.objects.bulk_create(
        LogLine(job=job, attempt=attempt, at=timezone.now(), level=20, message=f"line {attempt}-{n}.")
        for attempt in (1, 2)
        for n in range(LINES + 10)
    )
    text = page(admin_client, job)
    assert f"line 2-{LINES + 9}." in text
    assert "line 2-9." not in text
    assert "10 earlier lines" in text
    assert "line 1-" not in text
    assert "line 1-20." in page(admin_client, job, "?attempt=1")
    whole = b"".join(admin_client.get(f"/admin/furrow/job/{job.pk}/log/?attempt=1").streaming_content)  # type: ignore[attr-defined]
    assert whole.count(b"\n") == LINES + 10


def test_the_live_part_sends_what_is_new(admin_client: Client) -> None:
    job = make(State.RUNNING)
    first = LogLine.objects.create(job=job, attempt=1, at=timezone.now(), level=20, message="first")

    def look(**seen: Any) -> dict[str, Any]:
        return dict(admin_client.get(f"/admin/furrow/job/{job.pk}/live/", seen).json())

    news = look(attempt=1, after=0, version="")
    assert "first" in news["lines"]
    assert news["body"]
    assert not news["final"]
    seen = {"attempt": 1, "after": first.pk, "version": news["version"]}
    assert look(**seen)["body"] is None
    assert look(**seen)["lines"].strip() == ""
    LogLine.objects.create(job=job, attempt=1, at=timezone.now(), level=40, message="second")
    Job.objects.filter(pk=job.pk).update(state=State.SUCCEEDED, finished_at=timezone.now(), result=1)
    news = look(**seen)
    assert news["final"]
    assert "second" in news["lines"]
    assert "first" not in news["lines"]
    assert "succeeded" in news["body"]
    assert "first" in look(attempt="7", after=first.pk)["lines"], "another attempt is sent from its beginning"


def test_flower_is_linked_only_when_it_is_there(admin_client: Client, settings: Any) -> None:
    job = make(State.PENDING)
    settings.FURROW = {**settings.FURROW, "FLOWER_URL": "http://flower.example/"}
    assert f'href="/flower/task/{job.pk}"' in page(admin_client, job)
    settings.FURROW = {**settings.FURROW, "FLOWER_URL": ""}
    assert "Open in Flower" not in page(admin_client, job)


# --- Steps --------------------------------------------------------------------------------------------------------------------


def step(job: Job, name: str, **columns: Any) -> Step:
    now = timezone.now()
    usual = {"sort": "step", "position": Step.objects.count() + 1, "attempt": 1, "started_at": now, "finished_at": now}
    return Step.objects.create(job=job, name=name, **{**usual, **columns})


def test_the_steps_of_a_job_are_shown_and_secrets_in_their_results_are_not(admin_client: Client) -> None:
    job = make(State.FAILED, arguments={"token": {"$secret": "hush-hush-hush"}}, attempt=3)
    assert "Steps" not in page(admin_client, job)
    step(job, "charge", result='{"receipt":"for hush-hush-hush"}', passed_in=1, version="v7")
    step(job, "long", result=json.dumps("x" * 500), passed_in=2, attempt=2)
    step(job, "paid", sort="signal", awaits="paid", passed_in=3, note="not met by attempt 3")
    text = page(admin_client, job)
    for part in (
        "<h2>Steps</h2>",
        "for ••••••",
        "of <",
        "v7",
        "1 to 3",
        "did not come in time",
        "not met by attempt 3",
        "xxx…",
    ):
        assert part in text or part == "of <", part
    assert "hush-hush" not in text
    assert text.count("Run from here") == 3


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"sort": "sleep", "until": timezone.now() + dt.timedelta(days=3)}, "Sleeps in its step “night”, until"),
        ({"sort": "signal", "awaits": "paid"}, "Waits for the signal “paid”, which nobody has sent yet."),
        ({"sort": "signal", "awaits": "paid", "until": timezone.now() + dt.timedelta(3)}, "sent yet; at the latest until"),
    ],
)
def test_a_job_that_waits_in_a_step_says_so(admin_client: Client, columns: dict[str, Any], why: str) -> None:
    job = make(State.PENDING, attempt=1, excused=1, run_at=timezone.now() + dt.timedelta(days=3))
    now = timezone.now()
    Attempt.objects.create(job=job, number=1, outcome="snoozed", started_at=now, finished_at=now)
    step(job, "night", finished_at=None, **columns)
    assert why in page(admin_client, job)


def test_a_job_that_is_held_because_its_code_changed_says_so(admin_client: Client) -> None:
    job = make(State.PENDING, attempt=1, excused=1, run_at=timezone.now() + dt.timedelta(days=3))
    now, held = timezone.now(), {"error_type": "StepChanged", "error": "StepChanged: The handler comes to the step 'b'."}
    Attempt.objects.create(job=job, number=1, outcome="snoozed", started_at=now, finished_at=now, **held)
    text = page(admin_client, job)
    assert "Held: The handler comes to the step &#x27;b&#x27;. It is tried again" in text
    assert "fw-stuck" in text


def test_a_job_is_run_again_from_a_step_by_a_button_and_that_is_written_down(admin_client: Client) -> None:
    job = make(State.FAILED)
    for name in ("a", "b", "c"):
        step(job, name)
    answer = admin_client.post(f"/admin/furrow/job/{job.pk}/run-from/", {"step": "b"}, follow=True)
    assert "The job will run again from the step b." in answer.content.decode()
    assert list(Step.objects.values_list("name", flat=True)) == ["a"]
    job.refresh_from_db()
    assert job.state == State.PENDING
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.job, entry.detail) == ("retry from", job.pk, "b (and 1 later step)")
    answer = admin_client.post(f"/admin/furrow/job/{job.pk}/run-from/", {"step": "z"}, follow=True)
    assert "is no step of this job" in answer.content.decode()
    Job.objects.update(state=State.RUNNING, worker=job.pk, started_at=timezone.now())
    answer = admin_client.post(f"/admin/furrow/job/{job.pk}/run-from/", {"step": "a"}, follow=True)
    assert "cancel the job first" in answer.content.decode()
    assert (Step.objects.count(), AuditEntry.objects.count()) == (1, 1)


def test_the_version_of_the_code_that_began_a_job_is_shown(admin_client: Client) -> None:
    job, now = make(State.FAILED), timezone.now()
    assert "Begun by" not in page(admin_client, job)
    worker = Worker.objects.create(node="w1@here", pid=1, processes=1, lease_until=now, code_version="v1")
    Attempt.objects.create(job=job, number=1, outcome="failed", worker=worker.pk, started_at=now, finished_at=now)
    assert "version v1" in page(admin_client, job)
    step(job, "charge", version="v0")  # also when the worker's row is gone
    assert "version v0" in page(admin_client, job)


def test_a_signal_is_sent_from_the_page_and_that_is_written_down(admin_client: Client) -> None:
    job = make(State.PENDING, attempt=1, excused=1, run_at=timezone.now() + dt.timedelta(days=3))
    step(job, "paid", sort="signal", awaits="paid", finished_at=None)
    assert 'class="fw-signal"' in page(admin_client, job)
    for payload, said in (("{", "is no JSON"), ('{"euros": 7}', "The job goes on with paid.")):
        answer = admin_client.post(f"/admin/furrow/job/{job.pk}/signal/", {"name": "paid", "payload": payload}, follow=True)
        assert said in answer.content.decode()
    answer = admin_client.post(f"/admin/furrow/job/{job.pk}/signal/", {"name": "other"}, follow=True)
    assert "other is kept until the job asks for it" in answer.content.decode()
    answer = admin_client.post(f"/admin/furrow/job/{job.pk}/signal/", {"name": ""}, follow=True)
    assert "Nothing was sent" in answer.content.decode()
    sent = list(Signal.objects.order_by("pk").values_list("name", "payload", "sent_by"))
    assert sent == [("paid", '{"euros":7}', "admin"), ("other", "null", "admin")]
    job.refresh_from_db()
    assert job.run_at <= timezone.now()
    assert list(AuditEntry.objects.values_list("action", "detail").order_by("pk")) == [("signal", "paid"), ("signal", "other")]
