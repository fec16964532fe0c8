"""Bad input gets an error that names the field, the reason and the remedy, and writes nothing. By every door."""

import datetime as dt
import math
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from furrow import ArgumentError, Job, OptionError, State, SubmitError, UnknownKind, submit, submit_many

from tests import kinds

pytestmark = [pytest.mark.engine, pytest.mark.django_db]

NOW = timezone.now()
NAIVE = dt.datetime(2026, 1, 2, 3, 4)
FAR = dt.datetime.max.replace(tzinfo=dt.timezone(dt.timedelta(hours=-12)))


@pytest.fixture(autouse=True)
def _nothing_is_written() -> Iterator[None]:
    before = Job.objects.count()
    yield
    assert Job.objects.count() == before, "something was written"


def refused(error: type[SubmitError], call: Callable[[], Any]) -> dict[str, str]:
    """The fields of the error."""
    with pytest.raises(error) as caught:
        call()
    assert isinstance(caught.value, ValueError)
    for name, text in caught.value.fields.items():
        assert f"{name}: {text}" in str(caught.value)
    return caught.value.fields


# --- arguments --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "field", "text"),
    [
        ({}, "text", "is missing: give it a value"),
        (None, "text", "is missing"),
        ({"text": "x", "txet": 1}, "txet", "is not an argument of this kind"),
        ({"text": 7}, "text", "valid string"),
        ({"text": "x", "number": "seven"}, "number", "valid integer"),
        ({"text": "x", "ratio": math.nan}, "ratio", "finite number"),
        ({"text": "x", "level": "middle"}, "level", "'low' or 'high'"),
        ({"text": "x", "moment": NAIVE}, "moment", "has no time zone: pass an aware"),
        ({"text": "x", "items": ["a"]}, "items", "at 0: "),
        ({"text": "x", "options": {1: 2}}, "options", "valid string"),
        ({"text": "a\x00"}, "text", "U+0000"),
        ({"text": "\ud800"}, "text", "surrogate"),
        ({"text": "x" * (1024 * 1024)}, "text", "the limit is 1,048,576 (FURROW_MAX_ARGUMENT_BYTES)"),
        ([], "arguments", "must be a mapping"),
        ("text", "arguments", "must be a mapping"),
        (0, "arguments", "must be a mapping"),
    ],
)
def test_a_bad_argument(given: Any, field: str, text: str) -> None:
    for call in (
        lambda: submit(kinds.typed, given),
        lambda: submit("kinds.typed", given),
        lambda: submit_many(kinds.typed, [{"text": "good"}] * 30 + [{} if given is None else given]),
    ):
        fields = refused(ArgumentError, call)
        (name,) = fields
        assert name in (field, f"row 30: {field}")
        assert text in fields[name]
    if isinstance(given, dict):
        assert list(refused(ArgumentError, lambda: kinds.typed.submit(**given))) == [field]
        assert list(refused(ArgumentError, lambda: kinds.typed.apply_async(kwargs=given))) == [field]
        assert list(refused(ArgumentError, lambda: kinds.typed.delay(**given))) == [field]


def test_too_many_arguments_by_position_and_one_twice() -> None:
    fields = refused(ArgumentError, lambda: kinds.add.delay(1, 2, 3))
    assert fields == {"arguments": "3 given by position, but there are only 2 (a, b)"}
    assert refused(ArgumentError, lambda: kinds.add.delay(1, a=1))["a"] == "is given twice, by position and by name"


@pytest.mark.parametrize("kind", ["kinds.ad", "add", "", None, 7, kinds.ordinary, Job])
def test_an_unknown_kind(kind: Any) -> None:
    for call in (lambda: submit(kind, {"a": 1}), lambda: submit_many(kind, [{"a": 1}])):
        with pytest.raises(UnknownKind, match="There is no kind"):
            call()
    with pytest.raises(UnknownKind, match=r"Did you mean kinds\.add"):
        submit("kinds.ad", {"a": 1})


# --- options ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "field", "text"),
    [
        ({"queue": "defualt"}, "queue", "did you mean 'default'? Known: default, other (FURROW['QUEUES'])"),
        ({"queue": ""}, "queue", "'' is unknown"),
        ({"queue": 7}, "queue", "7 is unknown"),
        ({"priority": -1}, "priority", "-1 must be a whole number; 0 goes first, 9 last"),
        ({"priority": 10}, "priority", "0 goes first, 9 last"),
        ({"priority": True}, "priority", "whole number"),
        ({"priority": 5.0}, "priority", "whole number"),
        ({"priority": "5"}, "priority", "whole number"),
        ({"max_attempts": 0}, "max_attempts", "0 must be a whole number from 1 to 1000"),
        ({"max_attempts": 1001}, "max_attempts", "from 1 to 1000"),
        ({"max_attempts": True}, "max_attempts", "from 1 to 1000"),
        ({"max_attempts": 2.0}, "max_attempts", "from 1 to 1000"),
        ({"run_at": NAIVE}, "run_at", "has no time zone: pass an aware"),
        ({"run_at": "2026-01-01"}, "run_at", "must be a datetime"),
        ({"run_at": dt.date(2026, 1, 1)}, "run_at", "must be a datetime"),
        ({"run_at": 5}, "run_at", "must be a datetime"),
        ({"run_at": FAR}, "run_at", "outside of the years 1 to 9999"),
        ({"run_at": NOW, "countdown": 5}, "countdown", "given together with run_at: give one of them"),
        ({"countdown": -1}, "countdown", "-1 must be a number of seconds, not less than 0"),
        ({"countdown": math.nan}, "countdown", "must be a number of seconds"),
        ({"countdown": math.inf}, "countdown", "must be a number of seconds"),
        ({"countdown": "5"}, "countdown", "must be a number of seconds"),
        ({"countdown": True}, "countdown", "must be a number of seconds"),
        ({"countdown": dt.timedelta(1)}, "countdown", "must be a number of seconds"),
        ({"countdown": 1e12}, "countdown", "beyond the year 9999"),
        ({"countdown": 10**30}, "countdown", "beyond the year 9999"),
        ({"expires": NAIVE}, "expires", "has no time zone"),
        ({"expires": NOW - dt.timedelta(days=1)}, "expires", "is not after run_at"),
        ({"expires": 0}, "expires", "could never begin"),
        ({"expires": -5}, "expires", "could never begin"),
        ({"expires": dt.timedelta(0)}, "expires", "could never begin"),
        ({"expires": "60"}, "expires", "must be a time, a timedelta or a number of seconds"),
        ({"expires": True}, "expires", "must be a time"),
        ({"expires": math.nan}, "expires", "must be a time"),
        ({"expires": 1e12}, "expires", "beyond the year 9999"),
        ({"expires": dt.timedelta.max}, "expires", "beyond the year 9999"),
        ({"expires": FAR}, "expires", "outside of the years 1 to 9999"),
        ({"run_at": NOW + dt.timedelta(days=2), "expires": NOW + dt.timedelta(days=1)}, "expires", "is not after run_at"),
        ({"batch": "friday"}, "batch", "'friday' must be a UUID"),
        ({"batch": 7}, "batch", "7 must be a UUID"),
        ({"submitted_by": "ann"}, "submitted_by", "'ann' must be a user"),
        ({"submitted_by": 7}, "submitted_by", "7 must be a user"),
    ],
)
def test_an_impossible_option(options: dict[str, Any], field: str, text: str) -> None:
    for call in (
        lambda: submit(kinds.add, {"a": 1}, **options),
        lambda: submit_many(kinds.add, [{"a": 1}], **options),
    ):
        fields = refused(OptionError, call)
        assert list(fields) == [field]
        assert text in fields[field]


def test_all_options_at_fault_are_named_at_once() -> None:
    options: dict[str, Any] = {"queue": "x", "priority": 99, "max_attempts": 0, "countdown": -1, "expires": "x"}
    assert set(refused(OptionError, lambda: submit(kinds.add, {}, **options))) == set(options)


@pytest.mark.parametrize("id", ["", "7", "not-a-uuid", 7, b"x" * 16, "0" * 31])
def test_an_id_that_is_no_uuid(id: Any) -> None:
    assert refused(OptionError, lambda: submit(kinds.add, {"a": 1}, id=id))["id"] == f"{id!r} must be a UUID"
    assert "id" in refused(OptionError, lambda: kinds.add.apply_async((1,), task_id=id))


@pytest.mark.parametrize(
    "options",
    [
        {"headers": {"a": 1}},
        {"routing_key": "x"},
        {"retry": True},
        {"run_at": NOW},
        {"soft_time_limit": 3},
    ],
)
def test_an_option_of_celerys_that_jobs_do_not_have(options: dict[str, Any]) -> None:
    fields = refused(OptionError, lambda: kinds.add.apply_async((1,), **options))
    assert fields == dict.fromkeys(options, "is an option of Celery's that jobs do not have")
    assert list(refused(OptionError, lambda: kinds.add.task.apply_async((1,), **options))) == list(options)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"eta": NAIVE}, "run_at"),
        ({"eta": NOW, "countdown": 1}, "countdown"),
        ({"expires": NAIVE}, "expires"),
        ({"queue": "x"}, "queue"),
        ({"priority": 10}, "priority"),
    ],
)
def test_celerys_names_of_the_options(options: dict[str, Any], field: str) -> None:
    assert list(refused(OptionError, lambda: kinds.add.apply_async((1,), **options))) == [field]


# --- an id that exists ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("transactional_db")
class TestAnIdThatExists:
    """Also inside a transaction, which goes on."""

    def test_it_is_refused_and_the_first_job_stays(self) -> None:
        job = submit(kinds.add, {"a": 1}, countdown=60)
        fields = refused(OptionError, lambda: submit(kinds.add, {"a": 2}, id=job.pk))
        assert fields["id"] == f"{job.pk} is the id of another job: leave it out, or use a fresh one"
        assert "id" in refused(OptionError, lambda: kinds.add.apply_async((3,), task_id=str(job.pk)))
        stored = Job.objects.get()
        assert (stored.arguments["a"], stored.state) == (1, State.PENDING)
        Job.objects.all().delete()

    def test_inside_a_transaction_the_rest_of_it_stands(self) -> None:
        with transaction.atomic():
            first = submit(kinds.add, {"a": 1}, countdown=60)
            refused(OptionError, lambda: submit(kinds.add, {"a": 2}, id=first.pk))
            second = submit(kinds.add, {"a": 3}, countdown=60)
        assert set(Job.objects.values_list("pk", flat=True)) == {first.pk, second.pk}
        Job.objects.all().delete()


# --- many -------------------------------------------------------------------------------------------------------------------


def test_the_row_at_fault_is_named_and_none_is_written() -> None:
    rows: list[Any] = [{"a": n} for n in range(50)]
    rows[17] = {"a": "x", "c": 1}
    fields = refused(ArgumentError, lambda: submit_many(kinds.add, rows))
    assert set(fields) == {"row 17: a", "row 17: c"}
    rows[3] = 7
    assert list(refused(ArgumentError, lambda: submit_many(kinds.add, rows))) == ["row 3: arguments"]
    no_rows: Any = {"a": 1}
    assert list(refused(ArgumentError, lambda: submit_many(kinds.add, no_rows))) == ["row 0: arguments"]


def test_inside_a_transaction_a_bad_row_leaves_it_usable() -> None:
    with transaction.atomic():
        kept = submit(kinds.add, {"a": 1})
        refused(ArgumentError, lambda: submit_many(kinds.add, [{"a": 1}, {"a": "x"}]))
        assert list(Job.objects.all()) == [kept]
        transaction.set_rollback(True)


def test_a_generator_that_raises_midway() -> None:
    def rows() -> Iterator[dict[str, int]]:
        yield from ({"a": n} for n in range(100))
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        submit_many(kinds.add, rows())


def test_a_database_error_midway_leaves_none_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    same = uuid.uuid4()
    monkeypatch.setattr("furrow.submission.submit.new_id", lambda: same)
    if connection.vendor == "postgresql":
        with pytest.raises(IntegrityError):
            submit_many(kinds.add, [{"a": n} for n in range(50)])
