"""The pages: what they show in each state, hostile and huge contents, searching, filtering, the live part."""

import datetime as dt
import json
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.jobs.admin import keyset
from apps.jobs.admin.job import JobAdmin
from apps.jobs.admin.job_page import LINES
from apps.jobs.api import Attempt, Job, LogLine, State, submit, submit_many
from apps.jobs.models import Leader, Worker
from apps.jobs.statements.bounded import TookTooLong, at_most
from tests import kinds

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore:No directory at")]


EVIL = "</pre><script>alert(1)</script>"
ESCAPED = "&lt;/pre&gt;&lt;script&gt;alert(1)&lt;/script&gt;"


def make(state: State, **columns: Any) -> Job:
    job = submit(kinds.add, {"a": 1})
    now = timezone.now()
    given: dict[str, Any] = {"state": state}
    if state == State.RUNNING:
        given |= {"worker": uuid.uuid4(), "started_at": now, "attempt": 1}
    if state in (State.SUCCEEDED, State.FAILED, State.CANCELLED):
        given |= {"finished_at": now, "started_at": now, "attempt": 1}
    Job.objects.filter(pk=job.pk).update(**{**given, **columns})
    return Job.objects.get(pk=job.pk)


def page(client: Client, job: Job, query: str = "") -> str:
    answer = client.get(f"/admin/jobs/job/{job.pk}/change/{query}")
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


@pytest.mark.parametrize(
    "path", ["", "jobs/job/", "jobs/attempt/", "jobs/logline/", "jobs/worker/", "jobs/leader/", "auth/user/", "auth/group/",
             "django_celery_results/taskresult/", "django_celery_results/groupresult/", "jobs/"]
)  # fmt: skip
def test_every_page_works_when_empty(admin_client: Client, path: str) -> None:
    assert admin_client.get(f"/admin/{path}").status_code == 200


def test_hostile_texts_are_escaped_everywhere(admin_client: Client, admin_user: User) -> None:
    now = timezone.now()
    job = make(
        State.FAILED,
        kind=EVIL,
        error=EVIL,
        progress_note=EVIL,
        arguments={EVIL: EVIL},
        queue=EVIL[:20],
        submitted_by=admin_user,
    )
    worker = Worker.objects.create(node=EVIL, pid=1, processes=1, queues=[EVIL], lease_until=now + dt.timedelta(minutes=1))
    Attempt.objects.create(
        job=job, number=1, outcome="failed", worker=worker.pk, started_at=now, finished_at=now, error_type=EVIL, error=EVIL,
        traceback=EVIL,
    )  # fmt: skip
    LogLine.objects.create(job=job, attempt=1, at=now, level=20, logger=EVIL, message=EVIL)
    Leader.objects.create(role="dispatcher", holder=EVIL, lease_until=now + dt.timedelta(minutes=1), trouble=EVIL)
    attempt, line = Attempt.objects.get(), LogLine.objects.get()
    for path in (
        "", "jobs/job/", f"jobs/job/{job.pk}/change/", "jobs/attempt/", f"jobs/attempt/{attempt.pk}/change/", "jobs/logline/",
        f"jobs/logline/{line.pk}/change/", "jobs/worker/", f"jobs/worker/{worker.pk}/change/", "jobs/leader/",
        "jobs/leader/dispatcher/change/", f"jobs/job/?q={EVIL}", f"jobs/job/?kind={EVIL}&by={EVIL}&batch={EVIL}&state={EVIL}",
    ):  # fmt: skip
        answer = admin_client.get(f"/admin/{path}")
        text = answer.content.decode()
        assert answer.status_code == 200, path
        assert "<script>alert(1)" not in text, path
        assert ESCAPED in text or "jobs/leader/" not in path, path
    live = json.loads(admin_client.get(f"/admin/jobs/job/{job.pk}/live/").content)
    assert "<script>" not in live["body"] + live["lines"]
    assert ESCAPED in live["lines"]


def test_huge_contents_are_cut_and_can_be_downloaded(admin_client: Client) -> None:
    job = make(State.SUCCEEDED, arguments={"a": "x" * 1_000_000}, result=list(range(150_000)), error="e" * 500_000)
    text = page(admin_client, job)
    assert len(text) < 200_000
    assert text.count("Cut here") == 2
    whole = admin_client.get(f"/admin/jobs/job/{job.pk}/json/result/")
    assert json.loads(whole.content) == list(range(150_000))
    assert "attachment" in whole["Content-Disposition"]
    assert admin_client.get(f"/admin/jobs/job/{job.pk}/json/error/").status_code == 404
    assert len(admin_client.get("/admin/jobs/job/").content) < 200_000


def test_deep_json_does_not_break_the_page(admin_client: Client) -> None:
    job = make(State.PENDING)
    with connection.cursor() as cursor:
        key = job.pk.hex if connection.vendor == "sqlite" else job.pk
        cursor.execute("UPDATE jobs_job SET arguments = %s WHERE id = %s", ["[" * 990 + "]" * 990, key])
    assert "[[[[" in page(admin_client, job)


def test_a_kind_that_is_not_registered_any_more(admin_client: Client) -> None:
    text = page(admin_client, make(State.FAILED, kind="gone.away"))
    assert "is not registered here any more" in text
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
    whole = b"".join(admin_client.get(f"/admin/jobs/job/{job.pk}/log/?attempt=1").streaming_content)  # type: ignore[attr-defined]
    assert whole.count(b"\n") == LINES + 10


def test_the_live_part_sends_what_is_new(admin_client: Client) -> None:
    job = make(State.RUNNING)
    first = LogLine.objects.create(job=job, attempt=1, at=timezone.now(), level=20, message="first")

    def look(**seen: Any) -> dict[str, Any]:
        return dict(admin_client.get(f"/admin/jobs/job/{job.pk}/live/", seen).json())

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
    assert "first" in look(attempt="7", after="nonsense")["lines"], "another attempt is sent from its beginning"


def found(client: Client, query: str) -> int:
    answer = client.get(f"/admin/jobs/job/?{query}")
    assert answer.status_code == 200
    return int(answer.context["cl"].result_count)


def test_searching_and_filtering(admin_client: Client, admin_user: User) -> None:
    batch = uuid.uuid4()
    mine = submit(kinds.add, {"a": 77_123}, batch=batch, submitted_by=admin_user, queue="other")
    make(State.FAILED, error="ValueError: something odd")
    Job.objects.filter(pk=make(State.PENDING).pk).update(created_at=timezone.now() - dt.timedelta(days=3))
    for query, count in {
        "": 3,
        f"q={mine.pk}": 1,
        f"q={mine.pk.hex}": 1,
        f"q={batch}": 1,
        f"q={uuid.uuid4()}": 0,
        "q=SOMETHING odd": 1,
        "q=77123": 1,
        "q=kinds.add": 3,
        "q=100%": 0,
        "state=failed": 1,
        "state=nonsense": 0,
        "kind=kinds.add": 3,
        "kind=kinds.noop": 0,
        "queue=other": 1,
        f"batch={batch}": 1,
        "batch=nonsense": 0,
        "by=admin": 1,
        "by=nobody": 0,
        "created=24h": 2,
        "created=30d": 3,
        "created=nonsense": 0,
        "state=failed&q=odd&kind=kinds.add": 1,
    }.items():
        assert found(admin_client, query) == count, query


def test_the_list_goes_by_keys_and_reads_no_large_columns(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JobAdmin, "list_per_page", 2)
    monkeypatch.setattr(keyset, "COUNTED", 3)
    ids = [make(State.PENDING).pk for _ in range(5)][::-1]
    with CaptureQueriesContext(connection) as queries:
        answer = admin_client.get("/admin/jobs/job/?kind=kinds.add")
    [read] = [query["sql"] for query in queries if 'ORDER BY "jobs_job"."id" DESC' in query["sql"]]
    assert "LIMIT 3" in read
    for column in ('"result"', '"jobs_job"."arguments",', "JOIN"):
        assert column not in read
    seen = [row.pk for row in answer.context["cl"].result_list]
    for _ in range(2):
        link = answer.context["cl"].older_link
        assert "kind=kinds.add" in link
        answer = admin_client.get("/admin/jobs/job/" + link)
        seen += [row.pk for row in answer.context["cl"].result_list]
    assert seen == ids
    assert not answer.context["cl"].older_link
    back = admin_client.get("/admin/jobs/job/" + answer.context["cl"].newer_link)
    assert [row.pk for row in back.context["cl"].result_list] == ids[2:4]
    assert admin_client.get("/admin/jobs/job/?after=nonsense").status_code == 200


def test_a_search_that_takes_too_long_says_how_far_it_came(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        make(State.PENDING, arguments={"a": number % 2})
    asked: list[float] = []

    def read(rows: Any, limit: int, seconds: float) -> Any:
        asked.append(seconds)
        return None if len(asked) == 1 else list(rows[:limit])

    monkeypatch.setattr(keyset, "_read", read)
    monkeypatch.setattr(keyset, "WINDOW", 4)
    answer = admin_client.get("/admin/jobs/job/?q=a=1")
    assert "Looked through 4 jobs, not all." in answer.content.decode()
    assert len(answer.context["cl"].result_list) == 2
    rest = admin_client.get("/admin/jobs/job/" + answer.context["cl"].further_link.replace("&amp;", "&"))
    assert len(rest.context["cl"].result_list) == 1
    assert asked[-1] == keyset.PATIENT_BUDGET


@pytest.mark.engine
def test_a_query_that_takes_too_long_is_given_up() -> None:
    submit_many(kinds.noop, [{"n": n} for n in range(400)])
    slow = "SELECT count(*) FROM jobs_job a, jobs_job b, jobs_job c"
    with connection.cursor() as cursor:
        with pytest.raises(TookTooLong), at_most(connection, 0.05):
            cursor.execute(slow)
        cursor.execute("SELECT count(*) FROM jobs_job")
        assert cursor.fetchone() == (400,)


def test_the_list_does_not_sort_by_other_columns(admin_client: Client) -> None:
    make(State.PENDING)
    with CaptureQueriesContext(connection) as queries:
        admin_client.get("/admin/jobs/job/?o=2.-4")
    assert any('ORDER BY "jobs_job"."id" DESC' in query["sql"] for query in queries)


def test_the_first_page(admin_client: Client) -> None:
    text = admin_client.get("/admin/").content.decode()
    assert "No dispatcher is running" in text
    assert "No worker is running" in text
    now = timezone.now()
    Leader.objects.create(
        role="dispatcher", holder="here:1", term=4, lease_until=now + dt.timedelta(hours=1), trouble="no broker"
    )
    Worker.objects.create(node="w1@here", pid=1, processes=1, lease_until=now + dt.timedelta(hours=1))
    make(State.FAILED, error="odd")
    text = admin_client.get("/admin/").content.decode()
    for part in ("no broker", "w1@here", "odd"):
        assert part in text


def test_pages_load_nothing_from_elsewhere(admin_client: Client) -> None:
    job = make(State.RUNNING)
    for path in ("", "jobs/job/", f"jobs/job/{job.pk}/change/", "jobs/job/submit/", "jobs/job/submit/kinds.typed/"):
        text = admin_client.get(f"/admin/{path}").content.decode()
        assert 'src="http' not in text
        assert 'src="//' not in text
        assert '<link href="http' not in text


def test_flower_is_linked_only_when_it_is_there(admin_client: Client, settings: Any) -> None:
    job = make(State.PENDING)
    settings.FLOWER_URL = "http://flower.example/"
    assert f'href="/flower/task/{job.pk}"' in page(admin_client, job)
    settings.FLOWER_URL = ""
    assert "Open in Flower" not in page(admin_client, job)
