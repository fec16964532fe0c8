"""Submit: one INSERT in the caller's transaction."""

import datetime as dt
import uuid
from typing import Any

import pytest
from celery.result import AsyncResult
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.db import connection, transaction
from django.utils import timezone
from furrow import Job, State, submit, submit_many
from pytest_django import DjangoAssertNumQueries

from tests import kinds

pytestmark = pytest.mark.engine


# --- the row ------------------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_one_insert_and_nothing_else(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(1) as queries:
        job = submit(kinds.add, {"a": 1})
    assert queries.captured_queries[0]["sql"].removeprefix("1 times: ").startswith("INSERT INTO furrow_job")
    assert Job.objects.get() == job


@pytest.mark.django_db
def test_many_are_one_insert_in_one_transaction(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(3) as queries:  # SAVEPOINT, INSERT, RELEASE: the test has a transaction of its own
        submit_many(kinds.add, [{"a": n} for n in range(10)])
    assert sum("INSERT INTO" in query["sql"] for query in queries.captured_queries) == 1


@pytest.mark.django_db
def test_what_is_returned_is_what_is_stored() -> None:
    user = get_user_model().objects.create_user("ann")
    batch, id = uuid.uuid4(), uuid.uuid4()
    run_at = timezone.now() + dt.timedelta(hours=1)
    job = submit(
        kinds.typed,
        {"text": "ü", "day": dt.date(2026, 1, 2), "moment": run_at},
        queue="other",
        priority=2,
        run_at=run_at,
        expires=60,
        max_attempts=7,
        batch=batch,
        submitted_by=user,
        id=id,
    )
    stored = Job.objects.get()
    for column in Job._meta.concrete_fields:
        if column.attname != "created_at":
            assert getattr(job, column.attname) == getattr(stored, column.attname), column.attname
    assert (stored.pk, stored.state, stored.queue, stored.priority, stored.max_attempts) == (id, State.PENDING, "other", 2, 7)
    assert (stored.run_at, stored.expires_at) == (run_at, run_at + dt.timedelta(seconds=60))
    assert (stored.batch, stored.submitted_by, stored.attempt) == (batch, user, 0)
    assert stored.arguments["day"] == "2026-01-02"
    assert abs(job.created_at - stored.created_at) < dt.timedelta(seconds=5)


@pytest.mark.django_db
def test_a_job_that_was_returned_can_be_saved_and_refreshed() -> None:
    job = submit(kinds.add, {"a": 1})
    job.refresh_from_db()
    job.batch = uuid.uuid4()
    job.save(update_fields=["batch"])
    assert Job.objects.count() == 1


@pytest.mark.django_db
def test_without_options_the_kinds_own_hold_and_it_is_due_now() -> None:
    job = submit(kinds.fails)
    job.refresh_from_db()
    assert (job.queue, job.priority, job.max_attempts, job.expires_at, job.submitted_by) == ("default", 5, 3, None, None)
    assert abs(job.run_at - timezone.now()) < dt.timedelta(seconds=5)
    assert job.arguments == {"message": "as asked"}


@pytest.mark.django_db
@pytest.mark.parametrize("kind", [kinds.add, "kinds.add"])
def test_a_kind_or_its_name(kind: Any) -> None:
    assert submit(kind, {"a": 1}).kind == "kinds.add"


@pytest.mark.django_db
def test_countdown_expires_and_the_text_of_ids() -> None:
    before = timezone.now()
    job = submit(kinds.add, {"a": 1}, countdown=30, expires=dt.timedelta(minutes=1))
    assert before + dt.timedelta(seconds=30) <= job.run_at <= timezone.now() + dt.timedelta(seconds=30)
    assert job.expires_at == job.run_at + dt.timedelta(minutes=1)
    id, batch = uuid.uuid4(), uuid.uuid4()
    named = submit(kinds.add, {"a": 1}, id=str(id), batch=str(batch), countdown=0)
    assert (named.pk, named.batch) == (id, batch)
    past = submit(kinds.add, {"a": 1}, run_at=before - dt.timedelta(days=1), expires=before + dt.timedelta(days=1))
    past.refresh_from_db()
    assert past.run_at == before - dt.timedelta(days=1)


@pytest.mark.django_db
def test_an_anonymous_user_is_nobody() -> None:
    assert submit(kinds.add, {"a": 1}, submitted_by=AnonymousUser()).submitted_by_id is None


@pytest.mark.django_db
def test_ids_grow() -> None:
    ids = [submit(kinds.add, {"a": 1}).pk for _ in range(20)] + submit_many(kinds.add, [{"a": n} for n in range(200)])
    assert ids == sorted(ids)
    assert {id.version for id in ids} == {7}
    assert len(set(ids)) == 220


@pytest.mark.django_db
def test_copy_and_insert_write_the_same() -> None:
    user = get_user_model().objects.create_user("ann")
    text = 'tab\t newline\n quote" backslash\\ \\N \\. ü🌱 \\u0000'
    given: list[dict[str, Any]] = [{"text": f"{text}{n}", "number": n, "day": None} for n in range(40)]
    options: dict[str, Any] = {
        "queue": "other",
        "priority": 1,
        "run_at": timezone.now(),
        "expires": 60,
        "batch": uuid.uuid4(),
        "submitted_by": user,
        "max_attempts": 2,
    }
    few = submit_many(kinds.typed, given[:10], **options)
    many = submit_many(kinds.typed, given, **options)
    singles = [submit(kinds.typed, row, **options).pk for row in given[:3]]
    rows = {
        row.pop("id"): {name: value for name, value in row.items() if name != "created_at"}
        for row in Job.objects.values(*[column.attname for column in Job._meta.concrete_fields])
    }
    for one, other in [*zip(few, many, strict=False), *zip(singles, many, strict=False)]:
        assert rows[one] == rows[other]
    assert [rows[id]["arguments"]["text"] for id in many] == [row["text"] for row in given]


# --- submit_many --------------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_many_of_none_is_nothing(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(0):
        assert submit_many(kinds.add, []) == []
        assert submit_many(kinds.add, iter(())) == []


@pytest.mark.django_db
def test_many_take_a_generator_and_keep_its_order() -> None:
    ids = submit_many(kinds.add, ({"a": n} for n in range(30)))
    assert [Job.objects.get(pk=id).arguments["a"] for id in ids] == list(range(30))


# --- the caller's transaction -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("live_db")
def test_a_rolled_back_transaction_leaves_no_job() -> None:
    with transaction.atomic():
        submit(kinds.add, {"a": 1})
        submit_many(kinds.add, [{"a": n} for n in range(30)])
        assert Job.objects.count() == 31
        transaction.set_rollback(True)
    assert Job.objects.count() == 0


@pytest.mark.usefixtures("live_db")
def test_a_savepoint_rolled_back_takes_only_its_own_jobs() -> None:
    with transaction.atomic():
        kept = submit(kinds.add, {"a": 1})
        with transaction.atomic():
            submit_many(kinds.add, [{"a": n} for n in range(30)])
            transaction.set_rollback(True)
    assert list(Job.objects.all()) == [kept]


# --- the spellings ------------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_celerys_spelling_submits_and_returns_a_result_with_the_jobs_id() -> None:
    eta = timezone.now() + dt.timedelta(hours=1)
    results = [
        kinds.add.delay(1, b=2),
        kinds.add.apply_async((1, 2)),
        kinds.add.apply_async(
            kwargs={"a": 1, "b": 2}, eta=eta, expires=60, priority=0, queue="other", task_id=str(uuid.uuid4())
        ),
        kinds.add.apply_async([1], {"b": 2}, countdown=5, link=None, retry=None),
        kinds.add.task.delay(1, 2),
        kinds.add.task.apply_async((1,), {"b": 2}),
        kinds.add.task.s(1, b=2).apply_async(),
    ]
    assert all(isinstance(result, AsyncResult) for result in results)
    jobs = [Job.objects.get(pk=result.id) for result in results]
    assert all(job.arguments == {"a": 1, "b": 2} for job in jobs)
    own = jobs[2]
    assert (own.run_at, own.expires_at) == (eta, eta + dt.timedelta(seconds=60))
    assert (own.priority, own.queue) == (0, "other")
    assert results[0].state == "PENDING"


@pytest.mark.django_db
def test_a_kind_called_like_a_function_runs_here_and_writes_nothing() -> None:
    assert kinds.add(2, b=3) == 5
    with pytest.raises(ValueError, match="no luck"):
        kinds.fails("no luck")
    assert Job.objects.count() == 0


@pytest.mark.django_db
def test_a_kinds_own_submit() -> None:
    assert kinds.add.submit(a=1, b=2).arguments == {"a": 1, "b": 2}


def test_the_tables_name_is_the_one_in_the_statements() -> None:
    assert Job._meta.db_table == "furrow_job"
    assert connection.vendor in ("postgresql", "sqlite")
