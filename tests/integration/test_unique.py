"""Unique keys: of many submits one makes the job, on both databases."""

import datetime as dt
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import connections, transaction
from django.utils import timezone
from furrow import ArgumentError, Job, NotUnique, OptionError, State, Unique, retry, submit, submit_many
from furrow.dispatcher.prune import Prune
from furrow.models.job import new_id

from tests import kinds
from tests.races import together
from tests.rows import claim

pytestmark = pytest.mark.engine


@pytest.fixture(autouse=True)
def _database(request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("committed" if "committed" in request.fixturenames else "db")


def end(job: Job, state: State = State.SUCCEEDED) -> None:
    Job.objects.filter(pk=job.pk).update(state=state, finished_at=timezone.now())


def test_a_second_submit_finds_the_first_job() -> None:
    first = submit(kinds.once, {"account": 1})
    again, other = submit(kinds.once, {"account": 1, "text": "other"}), submit(kinds.once, {"account": 2})
    assert (again.pk, again.existed, again.arguments["text"]) == (first.pk, True, "")
    assert (first.existed, other.existed, other.pk != first.pk) == (False, False, True)
    assert Job.objects.count() == 2


@pytest.mark.parametrize(
    ("until", "free"),
    [("started", {"running", "retrying", "succeeded", "cancelled"}), ("done", {"succeeded", "cancelled"})],
)
def test_until_when(until: Any, free: set[str]) -> None:
    found = set()
    for stage in ("pending", "running", "retrying", "succeeded", "cancelled"):
        Job.objects.all().delete()
        first = submit(kinds.once, {"account": 1}, unique=Unique("{account}", until=until))
        if stage in ("running", "retrying"):
            claim(first)
        if stage == "retrying":
            Job.objects.update(state=State.PENDING)
        if stage in ("succeeded", "cancelled"):
            end(first, State(stage))
        second = submit(kinds.once, {"account": 1}, unique=Unique("{account}", until=until))
        if not second.existed:
            found.add(stage)
            assert Job.objects.get(pk=first.pk).unique_key is None
    assert found == free


def test_for_a_period_whatever_became_of_it() -> None:
    unique = Unique("{account}", until=dt.timedelta(hours=1))
    first = submit(kinds.once, {"account": 1}, unique=unique)
    end(first)
    assert submit(kinds.once, {"account": 1}, unique=unique).pk == first.pk
    Job.objects.update(unique_expires_at=timezone.now())
    assert not submit(kinds.once, {"account": 1}, unique=unique).existed


def test_a_period_that_is_longer_than_the_retention_outlives_it() -> None:
    unique, prune = Unique("{account}", until=dt.timedelta(days=60)), Prune()
    first = submit(kinds.once, {"account": 1}, unique=unique)
    Job.objects.update(state=State.SUCCEEDED, finished_at=timezone.now() - dt.timedelta(days=40))
    assert prune.run_once() == 0
    assert submit(kinds.once, {"account": 1}, unique=unique).pk == first.pk
    Job.objects.update(unique_expires_at=timezone.now())
    assert Prune().run_once() == 1


def test_a_job_that_a_person_retries_stays_out_of_the_way() -> None:
    first = submit(kinds.once, {"account": 1})
    end(first, State.FAILED)
    second = submit(kinds.once, {"account": 1})
    end(second, State.FAILED)
    assert retry([first.pk, second.pk]) == 2
    assert submit(kinds.once, {"account": 1}).pk == second.pk


def test_it_may_raise_and_the_transaction_goes_on() -> None:
    unique = Unique("{account}", conflict="raise")
    first = submit(kinds.once, {"account": 1}, unique=unique)
    with pytest.raises(NotUnique, match=f"unique: job {first.pk} with the unique key '1' is there already") as refused:
        submit(kinds.once, {"account": 1}, unique=unique)
    assert refused.value.job == first.pk
    with pytest.raises(NotUnique, match="row 2: unique: job"):
        submit_many(kinds.once, [{"account": n} for n in (5, 6, 1)], unique=unique)
    assert Job.objects.count() == 1


def test_it_may_replace_what_has_not_begun() -> None:
    first = submit(kinds.debounced, {"account": 1, "text": "one"}, countdown=60)
    second = submit(kinds.debounced, {"account": 1, "text": "two"}, countdown=600)
    assert (second.pk, second.existed, second.arguments["text"]) == (first.pk, True, "two")
    assert second.run_at - timezone.now() > dt.timedelta(seconds=500)
    Job.objects.update(state=State.QUEUED, queued_at=timezone.now(), run_at=timezone.now())
    third = submit(kinds.debounced, {"account": 1, "text": "three"})
    assert (third.pk, third.state) == (first.pk, State.PENDING)
    assert claim(first) == [first.pk]
    assert Job.objects.get(pk=first.pk).arguments["text"] == "three"
    fourth = submit(kinds.debounced, {"account": 1, "text": "four"})
    assert (fourth.existed, Job.objects.get(pk=first.pk).arguments["text"]) == (False, "three")


@pytest.mark.parametrize(("first", "second", "least"), [(600, {"expires": 60}, 650), (0, {"countdown": 600}, None)])
def test_what_replaces_a_scheduled_job_leaves_it_time_to_begin(
    first: float, second: dict[str, Any], least: float | None
) -> None:
    submit(kinds.debounced, {"account": 1, "text": "one"}, countdown=first, expires=30)
    job = submit(kinds.debounced, {"account": 1, "text": "two"}, **second)
    assert job.existed
    left = job.expires_at and (job.expires_at - timezone.now()).total_seconds()
    assert left is least or (left and least and left > least)


def test_many_at_once_each_row_finds_its_job() -> None:
    there = submit(kinds.once, {"account": 0})
    ids = submit_many(kinds.once, [{"account": n % 50} for n in range(200)])
    assert ids[0] == ids[50] == there.pk
    assert len(set(ids)) == 50 == Job.objects.count()
    assert [Job.objects.get(pk=id).arguments["account"] for id in ids[:3]] == [0, 1, 2]
    texts = submit_many(kinds.debounced, [{"account": n % 2, "text": str(n)} for n in range(10)])
    assert Counter(texts) == {texts[0]: 5, texts[1]: 5}
    assert Job.objects.get(pk=texts[0]).arguments["text"] == "8"


def test_an_id_that_is_taken_is_refused_as_ever() -> None:
    first = submit(kinds.noop)
    with transaction.atomic(), pytest.raises(OptionError, match="is the id of another job"):
        submit(kinds.once, {"account": 1}, id=first.pk)
    assert submit(kinds.once, {"account": 1}, id=new_id()).existed is False


def test_what_a_submit_may_say_is_checked() -> None:
    with pytest.raises(OptionError, match=r"lock: 'a:.x.' names 'x', which is no argument"):
        submit(kinds.noop, lock="a:{x}")
    with pytest.raises(OptionError, match="prioriti: is no option; did you mean"):
        submit(kinds.noop, prioriti=3)  # type: ignore[call-arg]
    with pytest.raises(ArgumentError):
        submit(kinds.once, {"account": "x"})
    job = submit(kinds.noop, lock="a:{n}", ordered="o", fair="{n}")
    row = Job.objects.get(pk=job.pk)
    assert (row.order_key, row.fair_key, row.held) == ("order:o", "0", "fair")
    assert [entry["key"] for entry in row.limits] == ["lock:a:0", "order:o"]
    assert Job.objects.get(pk=submit(kinds.noop).pk).limits is None
    assert Job.objects.get(pk=submit(kinds.locked, {"account": 1, "path": ""}, lock=None).pk).limits == []


@pytest.mark.usefixtures("committed")
def test_a_thousand_concurrent_submits_of_one_key_make_one_job() -> None:
    found: list[Any] = []

    def many() -> None:
        found.extend(submit(kinds.once, {"account": 1}, countdown=3600).pk for _ in range(50))

    threads = [threading.Thread(target=_closing(many)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(found) == 1000
    assert len(set(found)) == 1
    assert Job.objects.count() == 1


@pytest.mark.usefixtures("committed")
def test_batches_with_the_same_keys_in_another_order_neither_block_nor_double() -> None:
    rows = [{"account": n} for n in range(300)]
    orders = [rows, rows[::-1], rows[150:] + rows[:150]]
    results = together(*[_submitting(order) for order in orders])
    assert Job.objects.count() == 300
    by_account = [
        dict(zip((row["account"] for row in order), ids, strict=True)) for order, ids in zip(orders, results, strict=True)
    ]
    assert by_account[0] == by_account[1] == by_account[2]


@pytest.mark.usefixtures("committed")
def test_batches_that_replace_the_same_keys_in_another_order_do_not_deadlock() -> None:
    rows = [{"account": n, "text": "x"} for n in range(100)]
    submit_many(kinds.debounced, rows, countdown=3600)
    results = together(*[partial(submit_many, kinds.debounced, order, countdown=3600) for order in (rows, rows[::-1]) * 2])
    assert Job.objects.count() == 100
    assert results[0] == results[1][::-1]


def _submitting(rows: list[dict[str, int]]) -> Callable[[], Any]:
    return lambda: submit_many(kinds.once, rows, countdown=3600)


def _closing(call: Callable[[], None]) -> Callable[[], None]:
    def run_and_close() -> None:
        try:
            call()
        finally:
            connections["default"].close()

    return run_and_close
