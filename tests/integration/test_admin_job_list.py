"""The list of jobs: searching, filtering, going by keys, giving up in time."""

import datetime as dt
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from furrow import Attempt, Job, State, submit, submit_many
from furrow.admin import keyset
from furrow.admin.job import JobAdmin
from furrow.statements.bounded import TookTooLong, at_most

from tests import kinds
from tests.rows import make

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore:No directory at")]


def found(client: Client, query: str) -> int:
    answer = client.get(f"/admin/furrow/job/?{query}")
    assert answer.status_code == 200
    return int(answer.context["cl"].result_count)


def test_what_stands_above_the_list_stands_there_once(admin_client: Client) -> None:
    """Django takes admin/furrow/change_list.html for every list, whatever the theme: no template of ours has that name."""
    assert admin_client.get("/admin/furrow/job/").content.count(b'class="fw-states"') == 1


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
        "kind=kinds.add": 3,
        "kind=kinds.noop": 0,
        "queue=other": 1,
        f"batch={batch}": 1,
        "by=admin": 1,
        "created=24h": 2,
        "created=30d": 3,
        "state=failed&q=odd&kind=kinds.add": 1,
    }.items():
        assert found(admin_client, query) == count, query


def test_the_list_goes_by_keys_and_reads_no_large_columns(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JobAdmin, "list_per_page", 2)
    monkeypatch.setattr(keyset, "COUNTED", 3)
    ids = [make(State.PENDING).pk for _ in range(5)][::-1]
    with CaptureQueriesContext(connection) as queries:
        answer = admin_client.get("/admin/furrow/job/?kind=kinds.add")
    [read] = [query["sql"] for query in queries if 'ORDER BY "furrow_job"."id" DESC' in query["sql"]]
    assert "LIMIT 3" in read
    for column in ('"result"', '"furrow_job"."arguments",', "JOIN"):
        assert column not in read
    seen = [row.pk for row in answer.context["cl"].result_list]
    for _ in range(2):
        link = answer.context["cl"].older_link
        assert "kind=kinds.add" in link
        answer = admin_client.get("/admin/furrow/job/" + link)
        seen += [row.pk for row in answer.context["cl"].result_list]
    assert seen == ids
    assert not answer.context["cl"].older_link
    back = admin_client.get("/admin/furrow/job/" + answer.context["cl"].newer_link)
    assert [row.pk for row in back.context["cl"].result_list] == ids[2:4]
    assert admin_client.get("/admin/furrow/job/?after=nonsense").status_code == 400


def test_a_search_that_takes_too_long_says_how_far_it_came(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        make(State.PENDING, arguments={"a": number % 2})
    asked: list[float] = []

    def read(rows: Any, limit: int, seconds: float) -> Any:
        asked.append(seconds)
        return None if len(asked) == 1 else list(rows[:limit])

    monkeypatch.setattr(keyset, "_read", read)
    monkeypatch.setattr(keyset, "WINDOW", 4)
    answer = admin_client.get("/admin/furrow/job/?q=a=1")
    assert "Searched 4 jobs, not all." in answer.content.decode()
    assert len(answer.context["cl"].result_list) == 2
    rest = admin_client.get("/admin/furrow/job/" + answer.context["cl"].further_link.replace("&amp;", "&"))
    assert len(rest.context["cl"].result_list) == 1
    assert asked[-1] == keyset.PATIENT_BUDGET


@pytest.mark.engine
def test_a_query_that_takes_too_long_is_given_up() -> None:
    submit_many(kinds.noop, [{"n": n} for n in range(400)])
    slow = "SELECT count(*) FROM furrow_job a, furrow_job b, furrow_job c"
    with connection.cursor() as cursor:
        with pytest.raises(TookTooLong), at_most(connection, 0.05):
            cursor.execute(slow)
        cursor.execute("SELECT count(*) FROM furrow_job")
        assert cursor.fetchone() == (400,)


def test_the_list_does_not_sort_by_other_columns(admin_client: Client) -> None:
    make(State.PENDING)
    with CaptureQueriesContext(connection) as queries:
        admin_client.get("/admin/furrow/job/?o=2.-4")
    assert any('ORDER BY "furrow_job"."id" DESC' in query["sql"] for query in queries)


def test_each_job_says_what_it_is_about(admin_client: Client) -> None:
    short = make(
        State.FAILED, arguments={"z": {"$secret": "hunter2"}, "aa": 77_123, "html": "<b>bold</b>"}, finished_at=timezone.now()
    )
    make(State.PENDING, arguments={"text": " ".join(map(str, range(3_000)))})
    Attempt.objects.create(job=short, number=1, outcome="failed", started_at=timezone.now(), finished_at=timezone.now())
    about = "z=••••••, aa=77123, html=&lt;b&gt;bold&lt;/b&gt;"
    for address in ("job/", f"job/{short.pk}/", "attempt/"):
        page = admin_client.get(f"/admin/furrow/{address}", follow=True).content.decode()
        assert f">{about}<" in page, address
        assert "hunter2" not in page
    assert about in admin_client.get("/admin/").content.decode()
    assert "2998 2999" not in admin_client.get("/admin/furrow/job/").content.decode(), "large arguments are not read for a list"
