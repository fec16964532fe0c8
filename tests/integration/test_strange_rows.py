"""Rows that the database would refuse stand there all the same (restored, written with its triggers off): one of them may fail,
and nothing else fails with it."""

import datetime as dt
import json
from collections.abc import Sequence
from typing import Any

import pytest
from celery.result import AsyncResult
from django.db import connection, transaction
from django.db.models import Min, Model, Sum
from django.test import Client
from django.utils import timezone
from furrow import statements
from furrow.calendar import EARLIEST, LATEST
from furrow.dispatcher.admission import Admission
from furrow.dispatcher.limited import Limited
from furrow.dispatcher.rescue import Rescue
from furrow.errors import JobFailed
from furrow.limits.limit import Limit, to_json
from furrow.limits.stored import UnreadableLimits, read
from furrow.models import Attempt, Hold, Job, Leader, Rollup, Worker
from furrow.models.json_field import Unreadable
from furrow.statements import Slot
from furrow.states import Outcome, State

from tests.command_line import as_json, jobs
from tests.integration.test_guards import DEEP, JSON, LONG, STRANGE_TIMES, TIMES, WRONG_SHAPES, a_row, write
from tests.rows import claim, everything_runs, lead, make, settle, unguarded
from tests.thorough import first_of

pytestmark = [
    pytest.mark.engine,
    pytest.mark.usefixtures("nobody_runs"),
    pytest.mark.filterwarnings("ignore:No directory at"),
]

UNREADABLE = (f'{{"a": [{LONG}]}}', f"[-{LONG}]", DEEP)
BAD_LIMITS = [value for model, column, value in WRONG_SHAPES if column == "limits"]


def strange(model: type[Model], column: str, value: str, **where: Any) -> None:
    """Write what the database refuses."""
    with unguarded():
        write(model, column, value, **where)


@pytest.mark.parametrize(("model", "field"), TIMES)
def test_any_time_is_read_as_one_that_python_can_hold(model: type[Model], field: Any) -> None:
    a_row(model)
    rows = model._default_manager.all()
    for value in STRANGE_TIMES[connection.vendor]:
        strange(model, field.column, value)
        for found in (
            getattr(rows.first(), field.name),
            rows.values_list(field.name, flat=True)[0],
            rows.aggregate(m=Min(field.name))["m"],
        ):
            assert EARLIEST <= found <= LATEST, value
            assert found.astimezone(dt.timezone(dt.timedelta(hours=14))), value


@pytest.mark.parametrize(("model", "field"), JSON)
def test_any_json_is_read(model: type[Model], field: Any) -> None:
    a_row(model)
    for value in UNREADABLE:
        strange(model, field.column, value)
        found = getattr(model._default_manager.all().first(), field.name)
        assert isinstance(found, Unreadable) or (model is Worker and not found), value


def test_what_could_not_be_read_is_not_written_back() -> None:
    job = make()
    strange(Job, "arguments", f'{{"a": {LONG}}}')
    job = Job.objects.get(pk=job.pk)
    assert job.arguments == {"(unreadable)": "it has an integer of more than 4,300 digits"}
    with pytest.raises(ValueError, match="arguments could not be read"), transaction.atomic():
        job.save()
    job.save(update_fields=["error"])


@pytest.mark.parametrize("value", ["-infinity", "infinity"])
def test_a_job_of_no_time_stops_no_statement(sql: Any, value: str) -> None:
    odd, good = make(), make()
    limited = make(limits=[{"key": "lock:a", "slots": 1}])
    Hold.objects.create(key="rate:a", slot=0, period=5.0, free_at=timezone.now())
    for job in (odd, limited):
        strange(Job, "run_at", value, id=job.pk)
    strange(Hold, "free_at", value)
    assert good.pk in {found.id for found in sql.due(connection, "default", 10).jobs}
    assert sql.seconds_until_due(connection, "default") < 0
    assert sql.seconds_until_candidate(connection, "default") is not None
    assert sql.waiting(connection, ["default"], 10)[0][1] >= 1
    sql.candidates(connection, "default", 10)
    assert all(isinstance(slot, Slot) for slot in sql.slots(connection, ["rate:a"]))
    mine = {good.pk, odd.pk} if value == "-infinity" else {good.pk}
    assert set(claim(odd, good)) == mine
    for job in (odd, good):
        assert settle(job, pid=7) == (job.pk in mine)
    assert Rollup.objects.filter(measure="wait", count=1).count() == 1, "a wait without a beginning is not counted"


def test_a_queued_job_of_no_time_stops_no_statement(sql: Any) -> None:
    make(State.QUEUED)
    odd = make(State.QUEUED)
    for value in ("-infinity", "infinity"):
        strange(Job, "queued_at", value, id=odd.pk)
        assert sql.window(connection, "default").queued == 2


def test_a_row_that_cannot_be_taken_back_bars_no_others() -> None:
    refuses, other = make(State.RUNNING), make(State.RUNNING)
    strange(Job, "started_at", STRANGE_TIMES[connection.vendor][0], id=refuses.pk)
    strange(Job, "run_at", STRANGE_TIMES[connection.vendor][0], id=refuses.pk)
    Rescue().run_once()
    other.refresh_from_db()
    assert other.state == State.PENDING


def test_limits_that_nobody_can_read_fail_their_job_alone() -> None:
    for bad in BAD_LIMITS:
        with pytest.raises(UnreadableLimits, match="limits: "):
            read(bad)
        good = make(limits=json.loads(to_json([Limit("lock:good")])))
        odd = make(limits=[])
        strange(Job, "limits", bad, id=odd.pk)
        sent = Limited("default", Admission()).due(10, None, lead() or 0)
        assert [job.id for job in sent] == [good.pk], bad
        odd = Job.objects.get(pk=odd.pk)
        assert (odd.state, odd.error.startswith("UnreadableLimits: limits: ")) == (State.FAILED, True), bad
        Job.objects.all().delete()
        Hold.objects.all().delete()
    failed = Rollup.objects.filter(measure="failed").aggregate(n=Sum("count"))["n"]
    assert failed == len(BAD_LIMITS)


@pytest.mark.parametrize("bad", BAD_LIMITS)
def test_limits_that_nobody_can_read_stop_no_statement(sql: Any, bad: str) -> None:
    """Wherever their job stands: it waits for a key, is sent, runs, or holds a slot."""
    parked, queued, running = make(held="lock:a", limits=[]), make(State.QUEUED, limits=[]), make(State.RUNNING, limits=[])
    Hold.objects.create(key="lock:b", slot=0, job=queued.pk)
    for job in (parked, queued, running):
        strange(Job, "limits", bad, id=job.pk)
    good = make(State.QUEUED)
    sql.sweep(connection)
    sql.release(connection)
    sql.move_limits(connection, [parked.pk], "[]")
    assert set(claim(queued, good)) >= {good.pk}
    assert settle(good)
    assert settle(running)


def test_arguments_that_nobody_can_read_get_no_rules_and_bar_no_others() -> None:
    """Their run says what is wrong with them."""
    odd = make(kind="kinds.locked")
    strange(Job, "arguments", f'{{"account": {LONG}}}', id=odd.pk)
    lane = Limited("default", Admission())
    lane._ruled = {"kinds.locked"}
    found = [job for job in due() if job.id == odd.pk]
    assert lane.sort_out(found) == []
    odd = Job.objects.defer("arguments").get(pk=odd.pk)
    assert (odd.limits, odd.state) == ([], State.PENDING)


def due() -> list[Any]:
    """What is due."""
    return list(statements.on(connection).due(connection, "default", 10).jobs)


PAGES = ("/admin/", "/admin/furrow/job/", "/metrics", "/health/ready", "/admin/furrow/attempt/", "/admin/furrow/logline/",
         "/admin/furrow/worker/", "/admin/furrow/queue/", "/admin/furrow/auditentry/", "/admin/furrow/drift/", "/admin/errors/",
         "/admin/furrow/deadmessage/")  # fmt: skip


def fill(columns: list[Any], values: Sequence[str]) -> list[str]:
    """A row in every table, all these columns strange; returns the addresses of their pages."""
    everything_runs()
    for model in {model for model, _ in columns}:
        a_row(model)
    for number, state in enumerate(State):
        job = make(state)
        Attempt.objects.create(
            job=job, number=number, outcome=Outcome.FAILED, started_at=timezone.now(), finished_at=timezone.now()
        )
    for number, (model, field) in enumerate(columns):
        if model is not Leader and field.name not in ("finished_at", "answered_at"):
            strange(model, field.column, values[number % len(values)])
    jobs, workers = (model.objects.values_list("pk", flat=True) for model in (Job, Worker))
    return [
        *PAGES,
        *(f"/admin/furrow/job/{id}/change/" for id in jobs),
        *(f"/admin/furrow/worker/{id}/change/" for id in workers),
    ]


@pytest.mark.parametrize("value", first_of(["infinity", "-infinity"]))
def test_every_page_stands_strange_times(admin_client: Client, value: str) -> None:
    for path in fill([parameter.values for parameter in TIMES], [value]):
        assert admin_client.get(path).status_code in (200, 503), path


@pytest.mark.parametrize("value", first_of([UNREADABLE[0], DEEP, "5", "[]"]))
def test_every_page_stands_strange_json(admin_client: Client, value: str) -> None:
    for path in fill([parameter.values for parameter in JSON], [value]):
        assert admin_client.get(path).status_code in (200, 503), path


def test_the_command_line_stands_a_strange_row() -> None:
    for job in (make(), make(State.SUCCEEDED)):
        for time, text in zip(("infinity", "-infinity", "infinity"), (UNREADABLE[0], DEEP, "5"), strict=True):
            for column in ("run_at", "created_at"):
                strange(Job, column, time)
            for column in ("arguments", "result", "tags", "limits"):
                strange(Job, column, text)
            assert as_json("show", job.pk)["id"] == str(job.pk), text
            assert str(job.pk) in jobs("show", job.pk)
            assert as_json("list")
            assert jobs("list")


def test_a_result_that_nobody_can_read_is_an_error_of_its_job() -> None:
    job = make(State.SUCCEEDED)
    strange(Job, "result", f"[{LONG}]", id=job.pk)
    with pytest.raises(JobFailed, match="result cannot be read: it has an integer of more than 4,300 digits"):
        AsyncResult(str(job.pk)).get(timeout=5)
