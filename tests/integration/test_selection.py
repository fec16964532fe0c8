"""Which jobs: criteria, searches for values of arguments, tags."""

import datetime as dt
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from furrow import InputError, Job, KindError, OptionError, State, job, submit, submit_many
from furrow.actions.selection import select
from furrow.models import Worker

from tests import kinds

pytestmark = [pytest.mark.engine, pytest.mark.django_db]


def found(**criteria: str) -> list[Any]:
    """The marks (argument ``n``) of the jobs that are found."""
    return sorted(row.arguments["n"] for row in select(criteria))


def make(n: int, arguments: dict[str, Any] | None = None, **columns: Any) -> Job:
    made = submit(kinds.noop, {"n": n})
    Job.objects.filter(pk=made.pk).update(arguments={"n": n, **(arguments or {})}, **columns)
    return made


def test_times_find_jobs_whose_ids_say_nothing_of_them() -> None:
    """Another program may INSERT random ids."""
    now, hour = timezone.now(), dt.timedelta(hours=1)
    ids = ["f0000000-0000-4000-8000-000000000000", "00000000-0000-4000-8000-000000000001"]
    for n, id in enumerate(ids):
        submit(kinds.noop, {"n": n}, id=id)
        submit(kinds.noop, {"n": n + 2}, id=id[:-1] + "9")
    Job.objects.filter(pk__in=[id[:-1] + "9" for id in ids]).update(created_at=now - 30 * hour)
    make(4)
    assert found(created="1h") == found(since=(now - hour).isoformat()) == [0, 1, 4]
    assert found(until=(now - hour).isoformat()) == [2, 3]
    assert found(until=(now + hour).isoformat()) == [0, 1, 2, 3, 4]
    assert found(created="7d", until=(now - 29 * hour).isoformat()) == [2, 3]


def test_values_of_arguments_are_found() -> None:
    make(1, {"account_id": 7, "customer": {"name": "Ann Lee", "tags": ["a"]}})
    make(2, {"account_id": "7", "flag": True, "none": None})
    make(3, {"account_id": 77, "customer": {"name": "Bo"}, "contains": 5, "a__b": 1})
    for query, marks in {
        "account_id=7": [1, 2],
        'account_id="7"': [2],
        "account_id=77": [3],
        "account_id=8": [],
        'customer.name="Ann Lee"': [1],
        "customer.name=Bo": [3],
        "customer.name=Ann": [],
        'account_id=77 customer.name="Bo"': [3],
        'account_id=7 customer.name="Bo"': [],
        "flag=true": [2],
        "flag=false": [],
        "none=null": [2],
        "contains=5": [3],
        "a__b=1": [3],
        "absent=1": [],
        "Ann Lee": [1],
        "kinds.NOOP": [1, 2, 3],
        "100%_": [],
        "x' OR 1=1": [],
    }.items():
        assert found(q=query) == marks, query


def test_no_search_tells_what_is_in_a_secret() -> None:
    make(1, {"token": {"$secret": "hunter2"}, "open": "hunter3"})
    for query in ("hunter2", "token=hunter2", 'token="hunter2"', "token.$secret=hunter2", "$secret", "hunter3"):
        assert found(q=query) == [], query
    assert found(q="open=hunter3") == [1]
    for query in (
        'token={"$secret":"hunter2"}', 'token={"\\u0024secret":"hunter2"}', 'token={"$secret":{}}',
        'token=[{"$secret":"hunter2"}]',
        r'token="{\"$secret\":\"hunter2\"}"',
    ):  # fmt: skip
        with pytest.raises(InputError, match="secret argument"):
            found(q=query)


@pytest.mark.parametrize("query", ["a=NaN", "a=1e999", r'a="\ud800"', r'a="\u0000"', "a=" + "9" * 4_290])
def test_a_value_that_no_row_can_have_is_refused(query: str) -> None:
    with pytest.raises(InputError) as refused:
        found(q=query)
    assert list(refused.value.fields) == ["q"]
    assert found(q="a=99999999999999999999") == []


@pytest.mark.parametrize("text", ["0001-01-01", "9999-12-31T23:59:59", "1969-12-31"])
def test_a_time_that_is_too_far_away_is_refused(text: str) -> None:
    for name in ("since", "until"):
        with pytest.raises(InputError) as refused:
            select({name: text})
        assert list(refused.value.fields) == [name]


def test_each_criterion() -> None:
    ann = User.objects.create(username="ann")
    worker = Worker.objects.create(node="w1@here", pid=1, processes=1, lease_until=timezone.now())
    batch = uuid.uuid4()
    old = timezone.now() - dt.timedelta(days=3)
    make(1, submitted_by=ann, batch=batch, queue="other", error="Boom: 5")
    make(2, worker=worker.pk, fingerprint="0123456789abcdef", state=State.FAILED, finished_at=timezone.now())
    make(3, kind="gone.away", again_of=worker.pk)
    Job.objects.filter(arguments={"n": 3}).update(created_at=old)
    for criteria, marks in (
        ({}, [1, 2, 3]),
        ({"state": ""}, [1, 2, 3]),
        ({"state": "failed"}, [2]),
        ({"kind": "gone.away"}, [3]),
        ({"queue": "other"}, [1]),
        ({"worker": "w1@here"}, [2]),
        ({"worker": str(worker.pk)}, [2]),
        ({"worker": "nobody"}, []),
        ({"by": "ann"}, [1]),
        ({"batch": str(batch)}, [1]),
        ({"again_of": str(worker.pk)}, [3]),
        ({"fingerprint": "0123456789abcdef"}, [2]),
        ({"created": "24h"}, [1, 2]),
        ({"until": (timezone.now() - dt.timedelta(days=1)).isoformat()}, []),
        ({"since": old.date().isoformat()}, [1, 2, 3]),
        ({"q": str(batch)}, [1]),
        ({"q": "boom"}, [1]),
        ({"state": "failed", "kind": "gone.away"}, []),
    ):
        assert found(**criteria) == marks, criteria


def test_a_criterion_that_cannot_be_is_named() -> None:
    for name, text in {
        "state": "fialed", "by": "nobody", "batch": "x", "again_of": "7",
        "created": "1y", "since": "soon", "until": "2026-13-01",
        "colour": "red",
    }.items():  # fmt: skip
        with pytest.raises(InputError) as refused:
            select({name: text, "queue": "other"})
        assert list(refused.value.fields) == [name]


def test_jobs_are_found_by_their_tags() -> None:
    one = submit(kinds.noop, {"n": 1}, tags=["nightly", "eu:west"])
    submit_many(kinds.noop, [{"n": n} for n in range(2, 30)], tags=["nightly"])
    submit(kinds.noop, {"n": 30})
    assert one.tags == ["nightly", "eu:west"]
    one.refresh_from_db()
    assert one.tags == ["nightly", "eu:west"]
    assert found(tag="nightly") == list(range(1, 30))
    assert found(tag="nightly, eu:west") == [1]
    assert found(tag="night") == found(tag="x' OR 1=1") == []
    assert submit(kinds.tagged, tags=["own", "kind's"[:4]]).tags == ["always", "own", "kind"]


@pytest.mark.parametrize("tags", ["nightly", ["a,b"], [""], [7], ["x" * 51], [f"t{n}" for n in range(11)], ["<b>"], ["a\x00"]])
def test_what_is_no_tag_is_refused(tags: Any) -> None:
    with pytest.raises(OptionError) as refused:
        submit(kinds.noop, {"n": 1}, tags=tags)
    assert list(refused.value.fields) == ["tags"]
    with pytest.raises(KindError, match="tags"):
        job(name="tests.bad_tags", tags=tags)(handler)


def handler() -> None: ...


def test_a_job_says_which_one_it_repeats() -> None:
    first = submit(kinds.noop, {"n": 1})
    second = submit(kinds.noop, {"n": 2}, again_of=first.pk)
    assert Job.objects.get(again_of=first.pk).pk == second.pk
    with pytest.raises(OptionError, match="again_of"):
        submit(kinds.noop, again_of="first")
