"""Celery tasks that are watched: what is written of them, what that says, and that nothing of it is in the way."""

import datetime as dt
import threading
from io import StringIO
from typing import Any

import pytest
from celery import current_app
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.db.models import F
from django.test import Client
from django.utils import timezone
from furrow.models import WatchedCall, WatchedTask
from furrow.monitoring import health
from furrow.watch import listening, report
from furrow.watch.recorder import MOST, Recorder
from furrow.watch.sightings import Began, Ended, Published, Sighting
from furrow.watch.writing import KEPT, write
from kombu import Connection

pytestmark = [pytest.mark.engine, pytest.mark.django_db]
NOW = dt.datetime(2026, 3, 4, 12, tzinfo=dt.UTC)
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)


@pytest.fixture(autouse=True)
def _nothing_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("furrow.watch.writing._looked_at", timezone.now() + DAY)


def published(
    key: str = "a:0", at: dt.datetime = NOW, *, due: dt.datetime | None = None, uses: tuple[str, ...] = ()
) -> Published:
    return Published(key, "shop.charge", at, due, uses)


def began(key: str = "a:0", at: dt.datetime = NOW) -> Began:
    return Began(key, "shop.charge", at, "w@here")


def ended(
    key: str = "a:0", at: dt.datetime = NOW, outcome: str = "SUCCESS", seconds: float | None = 2, error: str = ""
) -> Ended:
    return Ended(key, "shop.charge", at, outcome, seconds, error)


def the_task() -> WatchedTask:
    return WatchedTask.objects.get(name="shop.charge")


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_a_call_is_one_row_in_whatever_order_processes_write(order: tuple[int, ...], at_once: bool) -> None:
    seen: list[Sighting] = [
        published(),
        began(at=NOW + 3 * dt.timedelta(seconds=1)),
        ended(at=NOW + 5 * dt.timedelta(seconds=1)),
    ]
    batches = [[seen[place] for place in order]] if at_once else [[seen[place]] for place in order]
    for batch in batches:
        write(batch)
    call, task = WatchedCall.objects.get(), the_task()
    assert (call.task, call.published_at, call.runs, call.outcome) == ("shop.charge", NOW, 1, "SUCCESS")
    assert (task.published, task.began, task.succeeded, task.run_seconds) == (1, 1, 1, 2)
    assert (task.waited, task.wait_seconds, task.longest_wait) == (1, 3, 3)
    assert (task.last_published, task.streak) == (NOW, 1)


def test_failures_retries_and_what_calls_use_are_counted() -> None:
    write(
        [
            ended("a:0", outcome="RETRY"),
            ended("a:1", outcome="FAILURE", error="ValueError: no\0"),
            ended("b:0", outcome="REVOKED"),
        ]
    )
    write([published("c:0", uses=("link", "eta"))])
    write([published("d:0", uses=("chord", "eta"))])
    task = the_task()
    assert (task.retried, task.failed, task.revoked, task.last_failed) == (1, 1, 1, NOW)
    assert (task.last_error, task.uses) == ("ValueError: no�", "chord eta link")


def test_what_jobs_would_have_saved_is_found() -> None:
    old = NOW - 2 * HOUR
    write(
        [
            published("lost:0", old),
            published("new:0", NOW),
            published("later:0", old, due=NOW + HOUR),
            published("revoked:0", old),
        ]
    )
    write([ended("revoked:0", outcome="REVOKED", seconds=None)])
    write([published("twice:0", old), began("twice:0", old), ended("twice:0", old)])
    write([began("twice:0", old + HOUR), ended("twice:0", old + HOUR)])
    write([began("retried:0", old), ended("retried:0", old, "RETRY"), began("retried:1", old), ended("retried:1", old)])
    write([began("stuck:0", old), began("runs:0", NOW)])
    assert report.saved(NOW) == {"shop.charge": report.Saved(lost=1, twice=1, stuck=1)}
    keys = {name: set(WatchedCall.objects.filter(q).values_list("key", flat=True)) for name, q in
            (("lost", report.lost(NOW)), ("twice", report.twice()), ("stuck", report.stuck(NOW)))}  # fmt: skip
    assert keys == {"lost": {"lost:0"}, "twice": {"twice:0"}, "stuck": {"stuck:0"}}


def test_calls_of_a_task_whose_workers_do_not_watch_are_not_taken_for_lost() -> None:
    write([published("a:0", NOW - 2 * HOUR)])
    assert report.saved(NOW) == {}


def test_a_task_that_ran_daily_and_has_not_since_is_missed() -> None:
    for day in range(3):
        write([began(f"{day}:0", NOW + day * DAY), began(f"{day}:1", NOW + day * DAY)])
    last = NOW + 2 * DAY
    assert the_task().streak == 3
    assert [report.missed(last + hours * HOUR) for hours in (25, 24 * 20)] == [[], []]
    assert report.missed(last + 27 * HOUR) == [the_task()]
    write([began("again:0", last + 3 * DAY)])
    assert (the_task().streak, report.missed(last + 5 * DAY)) == (1, [])


def test_health_and_the_page_name_a_task_that_is_missed(admin_client: Client) -> None:
    out = StringIO()
    call_command(health.Command(), "tasks", stdout=out)
    assert "No Celery task that ran daily is missed" in out.getvalue()
    now = timezone.now()
    write([began("a:0", now - 2 * DAY), published("b:0", now - 2 * HOUR, uses=("chord",))])
    WatchedTask.objects.update(streak=9)
    with pytest.raises(CommandError, match=r"shop\.charge ran on 9 days in a row, and not since"):
        call_command(health.Command(), "tasks")
    page = admin_client.get("/admin/furrow/watchedtask/").content.decode()
    assert "ran daily, and has not since" in page
    assert "?problem=lost&amp;q=shop.charge" in page
    assert '<span title="a chord: it becomes a workflow">chord</span>' in page
    calls = admin_client.get("/admin/furrow/watchedcall/?problem=lost&q=shop.charge").content.decode()
    assert "b:0" in calls
    assert "a:0" not in calls


def test_calls_are_kept_for_some_days(monkeypatch: pytest.MonkeyPatch) -> None:
    now = timezone.now()
    write([began("old:0", now - KEPT - HOUR), began("new:0", now)])
    monkeypatch.setattr("furrow.watch.writing._looked_at", now - DAY)
    write([began("newer:0", now)])
    assert set(WatchedCall.objects.values_list("key", flat=True)) == {"new:0", "newer:0"}


def test_what_cannot_be_written_or_kept_is_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(batch: list[Sighting]) -> None:
        raise OperationalError("away")

    told: list[str] = []
    monkeypatch.setattr("furrow.watch.recorder.troubles.note", lambda name, text, remedy: told.append(text))
    monkeypatch.setattr(threading.Thread, "start", lambda thread: None)
    recorder = Recorder(refuses)
    for number in range(MOST + 5):
        recorder.see(began(f"{number}:0"))
    assert recorder.dropped == 5
    recorder.flush()
    assert told == [f"Of the Celery tasks that are watched, {MOST + 5:,} sightings were dropped"]
    assert recorder.dropped == 0


def test_nothing_that_a_message_holds_raises_in_who_publishes_or_runs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    monkeypatch.setattr(listening, "recorder", recorder)
    monkeypatch.setattr(threading.Thread, "start", lambda thread: None)
    for strange in (None, {}, {"id": object(), "retries": "many"}, {"id": "x", "eta": object()}, "text"):
        listening.published(sender=object(), headers=strange, body=object(), properties="none")
        listening.began(task_id=strange, task=strange)
        listening.ended(task_id=strange, task=strange, retval=strange)
        listening.revoked(request=strange)
        listening.failed(sender=strange, task_id=strange, exception=strange)


@pytest.mark.parametrize(
    ("options", "uses"),
    [
        ({}, set()),
        ({"countdown": 60, "priority": 3}, {"eta", "priority"}),
        ({"expires": 60, "ignore_result": True}, {"expires", "ignore_result"}),
        ({"link": ["x"]}, {"link"}),
    ],
)
def test_a_publish_says_what_it_uses(options: dict[str, Any], uses: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr("furrow.watch.listening.recorder.see", seen.append)
    link = [current_app.signature("tests.other")] if "link" in options else None
    with Connection("memory://") as connection, connection.Producer() as producer:
        listening.listen()
        try:
            name = "tests.watched.nothing"
            sent = current_app.send_task(name, (1,), producer=producer, **{**options, **({"link": link} if link else {})})
        finally:
            listening.stop()
    (one,) = seen
    assert (one.key, one.task, set(one.uses) - {"routing_key"}) == (f"{sent.id}:0", name, uses)
    assert (one.due_at is not None) == ("eta" in uses)


def test_a_batch_asks_the_database_little(django_assert_max_num_queries: Any) -> None:
    batch: list[Sighting] = [make(f"{n}:0") for n in range(200) for make in (published, began, ended)]
    with django_assert_max_num_queries(25):
        write(batch)
    assert WatchedCall.objects.filter(runs=1, outcome="SUCCESS", seen_at=F("published_at")).count() == 200


def test_the_second_beginning_of_a_call_is_no_wait() -> None:
    write([published(), began(at=NOW + dt.timedelta(seconds=1))])
    write([began(at=NOW + HOUR)])
    assert (the_task().began, the_task().waited, the_task().longest_wait) == (2, 1, 1)
