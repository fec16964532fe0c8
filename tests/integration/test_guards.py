"""What the database refuses, whoever writes: times and JSON that Python cannot read."""

from typing import Any

import pytest
from django.apps import apps
from django.db import DataError, IntegrityError, connection, transaction
from django.db.models import BooleanField, DateTimeField, FloatField, IntegerField, JSONField, Model
from django.utils import timezone
from furrow.models import Attempt, AuditEntry, Job, Node, Workflow
from furrow.states import State

from tests.rows import HOUR, make, unguarded

pytestmark = [pytest.mark.engine, pytest.mark.django_db]

ON_POSTGRESQL = "connection.vendor == 'postgresql'"
STRANGE_TIMES = {
    "postgresql": ["infinity", "-infinity", "0044-03-15 12:00:00+00 BC", "0001-01-01 12:00:00+00",
                   "9999-12-31 12:00:00+00", "12345-01-01 00:00:00+00"],
    "sqlite": ["infinity", "-infinity", "0001-01-01 12:00:00", "9999-12-31 12:00:00",
               "2026-02-31 12:00:00", "12345-01-01 00:00:00", "noon", "2026-02-01T12:00:00", "2026-02-01 12:00:00+02:00"],
}  # fmt: skip
LONG = "1" + "0" * 4_300
DEEP = "[" * 600 + "]" * 600
COLUMNS = [
    (model, field)
    for model in apps.get_app_config("furrow").get_models()
    for field in model._meta.local_concrete_fields
    if isinstance(field, (DateTimeField, JSONField, IntegerField, BooleanField, FloatField)) and not field.primary_key
]
TIMES = [pytest.param(*pair, id=str(pair[1])) for pair in COLUMNS if isinstance(pair[1], DateTimeField)]
_WITH_ROWS = {model for model, field in COLUMNS if isinstance(field, (DateTimeField, JSONField))}  # not the counts by time
NUMBERS = [
    pytest.param(model, field, id=str(field))
    for model, field in COLUMNS
    if model in _WITH_ROWS and not isinstance(field, (DateTimeField, JSONField))
]
JSON = [pytest.param(*pair, id=str(pair[1])) for pair in COLUMNS if isinstance(pair[1], JSONField)]


def a_row(model: type[Model]) -> int:
    """Some row of this table, with what it must have; returns how many there are."""
    now, job = timezone.now(), make(State.FAILED)
    given: dict[str, Any] = {
        "attempt": {"job": job, "number": 1, "started_at": now, "finished_at": now},
        "logline": {"job": job, "attempt": 1, "at": now, "level": 20},
        "drift": {"name": "x", "looked_at": now},
        "hold": {"key": "k", "slot": 0},
        "leader": {"role": "x", "lease_until": now},
        "worker": {"pid": 1, "processes": 1, "lease_until": now},
        "workerrequest": {"worker": job.pk, "asked_at": now, "taken_at": now, "answered_at": now, "succeeded": True},
        "errorgroup": {"kind": "k", "fingerprint": "s"},
        "bridgereader": {"queue": "q", "node": "n", "pid": 1},
        "outputchunk": {"job": job, "attempt": 1, "number": 1, "at": now},
        "streamplace": {"queue": "q"},
        "bridgedmessage": {"queue": "q", "key": "k", "job": job.pk},
        "trouble": {},
        "tick": {"schedule_id": 1},
        "approval": {"job": job, "approved": True, "decided_at": now},
        "canary": {"share": 0.5},
        "signal": {"target": job.pk, "name": "n"},
        "step": {"job": job, "name": "n", "sort": "step", "position": 1, "attempt": 1},
        "workflow": {"name": "n", "state": "succeeded", "finished_at": now},
        "node": {"workflow_id": job.pk, "name": "n"},  # whose workflow is there: in their order nodes are joined with these
    }
    name = model._meta.model_name or ""
    if model is Node:
        Workflow.objects.create(pk=job.pk, name="n")
    if model is not Job:
        for field in model._meta.local_concrete_fields:
            if isinstance(field, DateTimeField) and not field.null and not field.has_db_default():
                given.setdefault(name, {}).setdefault(field.name, now)
        model._default_manager.create(**given.get(name, {}))
    return model._default_manager.count()


def write(model: type[Model], column: str, value: str, id: Any = None) -> None:
    """As another program writes: in SQL; in one row, or in all."""
    cast = "::jsonb" if connection.vendor == "postgresql" and isinstance(model._meta.get_field(column), JSONField) else ""
    with transaction.atomic(), connection.cursor() as cursor:
        where, given = ("", []) if id is None else (" WHERE id = %s", [id if connection.vendor == "postgresql" else id.hex])
        cursor.execute(f"UPDATE {model._meta.db_table} SET {column} = %s{cast}{where}", [value, *given])


@pytest.mark.parametrize(("model", "field"), TIMES)
def test_a_time_that_python_cannot_hold_is_refused_in_every_column(model: type[Model], field: Any) -> None:
    assert a_row(model)
    for strange in STRANGE_TIMES[connection.vendor]:
        with pytest.raises(IntegrityError, match=rf"{model._meta.db_table}\.{field.column} .*years 1 to 9999.*0001-01-02"):
            write(model, field.column, strange)
    write(model, field.column, "2026-02-28 23:59:59.999999" if connection.vendor == "sqlite" else "9999-12-30 23:59:59+00")


@pytest.mark.parametrize(("model", "field"), JSON)
def test_json_that_python_cannot_read_is_refused_in_every_column(model: type[Model], field: Any) -> None:
    assert a_row(model)
    for strange in (f'{{"a": [{LONG}]}}', f"[-{LONG}]", *([f'{{"a": {DEEP}}}'] if connection.vendor == "postgresql" else [])):
        with pytest.raises(IntegrityError, match=rf"{model._meta.db_table}\.{field.column} cannot be read: .*4,300 digits"):
            write(model, field.column, strange)


@pytest.mark.parametrize(("model", "field"), NUMBERS)
def test_what_is_no_number_is_refused_in_every_column(model: type[Model], field: Any) -> None:
    """By PostgreSQL for the column's type, by SQLite for a guard."""
    assert a_row(model)
    for strange in ("one", "" if isinstance(field, FloatField) else "1.5"):
        with pytest.raises((DataError, IntegrityError), match=r"is no (whole )?number|invalid input syntax"):
            write(model, field.column, strange)


WRONG_SHAPES = [
    *((Job, "arguments", value) for value in ("[1]", "null", '"x"', "5")),
    *((Job, "tags", value) for value in ('"x"', "null", "[1]", '[["x"]]', "{}")),
    *((Job, "limits", value) for value in ("{}", "null", "5", "[5]", "[[]]", '["x"]', "[{}]")),
    *((Job, "limits", value) for value in ('[{"key": "k"}]', '[{"slots": 1}]', '[[{"key": "k", "slots": 1}]]')),
    *(
        (Job, "limits", f'[{{"key": "k", "slots": 1}}, {{{entry}}}]')
        for entry in (
            '"key": 1, "slots": 1', '"key": "k", "slots": "1"', '"key": "k", "slots": 0', '"key": "k", "slots": 1.5',
            '"key": "k", "slots": 10001', '"key": "k", "slots": 1e99', '"key": "k", "slots": 1, "period": "x"',
            '"key": "k", "slots": 1, "period": 0',
            '"key": "k", "slots": 1, "period": 1e9', '"key": "k", "slots": 1, "conflict": "x"',
            '"key": "k", "slots": 1, "conflict": null',
            '"key": "k", "slots": 1, "ordered": 1', '"key": "k", "slots": 1, "more": 1', '"key": null, "slots": 1',
        )
    ),
    (AuditEntry, "selection", "[]"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "column", "value"), WRONG_SHAPES)
def test_json_of_the_wrong_shape_is_refused(model: type[Model], column: str, value: str) -> None:
    assert a_row(model)
    with pytest.raises(IntegrityError, match=rf"{model._meta.db_table}\.{column} cannot be read: (write|leave it out)"):
        write(model, column, value)


def test_what_is_right_is_written() -> None:
    limits = [
        {"key": "k", "slots": 10_000}, {"key": "r", "slots": 2, "period": 0.5}, {"key": "o", "slots": 1, "ordered": True},
        {"key": "c", "slots": 1, "conflict": "drop", "period": None, "ordered": False, "declared": True},
    ]  # fmt: skip
    big = int("9" * 4_300)
    job = make(arguments={"a": [big, -big, 0.5, "9" * 5_000], "b": None}, tags=["a", "b"], limits=limits)
    Job.objects.filter(pk=job.pk).update(result={"x": "0" * 10_000}, limits=[])
    found = Job.objects.get(pk=job.pk)
    assert found.arguments["a"][:2] == [big, -big]
    changes: list[dict[str, Any]] = [{"limits": limits}, {"limits": None, "tags": None}, {"tags": []}, {"result": [big]}]
    for columns in changes:
        Job.objects.filter(pk=job.pk).update(**columns)


def test_an_insert_is_refused_too_also_of_many() -> None:
    with pytest.raises(IntegrityError, match=r"furrow_job\.arguments cannot be read"), transaction.atomic():
        make(arguments=[1])
    with pytest.raises(IntegrityError, match=r"furrow_job\.limits cannot be read"), transaction.atomic():
        Job.objects.bulk_create([Job(kind="k", limits=[{"key": 1}]), Job(kind="k")])


def test_what_stands_already_does_not_bar_the_row() -> None:
    """The engine writes other columns of the same row."""
    job = make()
    with unguarded():
        write(Job, "run_at", "-infinity")
        write(Job, "limits", "{}")
    assert Job.objects.filter(pk=job.pk).update(expires_at=timezone.now() + HOUR, priority=1) == 1
    assert Attempt.objects.count() == 0
