"""``manage.py furrow schedules``, and what it takes over from Celery's beat."""

import datetime as dt
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from celery.schedules import crontab, solar
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from furrow import Job
from furrow.command.schedules import Command
from furrow.models import AuditEntry, Schedule, Tick
from furrow.rabbitmq.queues import project_app

from tests.people import somebody
from tests.schedules import HOUR, due, now

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]


def schedules(*words: Any) -> str:
    """What the command prints."""
    out = io.StringIO()
    call_command(Command(), *map(str, words), stdout=out, stderr=out)
    return out.getvalue()


def as_json(*words: Any) -> Any:
    """The same, as JSON."""
    out = io.StringIO()
    call_command(Command(), *map(str, words), "--json", stdout=out, stderr=io.StringIO())
    return json.loads(out.getvalue())


def test_schedules_are_listed_and_shown() -> None:
    row = due("nightly", timing="0 3 * * *", kind="kinds.keeps", arguments={"word": {"$secret": "hush"}}, next_at=now() + HOUR)
    Tick.objects.create(schedule=row, due_at=now() - HOUR, outcome="skipped", note="why")
    assert "At 03:00 every day" in schedules("list")
    text = schedules("show", "nightly")
    assert "skipped" in text
    assert "hush" not in text
    told = as_json("show", "nightly")
    assert (told["condition"], told["last_times"][0]["became"], len(told["next_times"])) == ("on", "skipped", 5)
    with pytest.raises(CommandError, match="did you mean 'nightly'"):
        schedules("show", "nightli")


def test_a_text_is_previewed() -> None:
    told = as_json("preview", "*/15 2 * * *", "--timezone", "Europe/Berlin")
    assert told["words"].startswith("Every 15th minute")
    assert len(told["next_times"]) == 5
    with pytest.raises(CommandError, match="bad minute"):
        schedules("preview", "61 * * * *")


def test_schedules_are_paused_resumed_run_and_deleted_and_that_is_written_down() -> None:
    row = due("it")
    assert "done" in schedules("pause", "it", "--reason", "a move")
    with pytest.raises(SystemExit):
        schedules("pause", "it")
    assert as_json("run", "it")["job"] == str(Job.objects.get().pk)
    assert as_json("resume", "it")["changed"] is True
    assert as_json("delete", "it")["changed"] is True
    assert not Schedule.objects.filter(pk=row.pk).exists()
    entries = AuditEntry.objects.order_by("pk").values_list("action", "target", "detail", "origin")
    assert [entry[0] for entry in entries] == ["pause", "run now", "resume", "delete"]
    assert entries[0][1:] == ("schedule it", "a move", "command line")


def test_schedules_are_made_and_changed_as_json() -> None:
    assert as_json("add", "it", '{"kind": "kinds.add", "timing": "@daily", "arguments": {"a": 1}}')["condition"] == "on"
    assert "Every 2 hours" in schedules("change", "it", '{"timing": "@every 2h", "catch_up": "none"}')
    row = Schedule.objects.get()
    assert (row.timing, row.catch_up, row.arguments, row.source) == ("@every 2h", "none", {"a": 1}, "admin")
    for words, said in (
        (("add", "it", '{"kind": "kinds.add", "timing": "@daily", "arguments": {"a": 1}}'), "already exists"),
        (("change", "it", '{"timing": "61 * * * *"}'), "bad minute"),
        (("change", "it", '{"arguments": {}}'), "a: is missing"),
        (("change", "it", '{"timin": "@daily"}'), "did you mean 'timing'"),
        (("change", "it", "[]"), "must be a JSON object"),
        (("change", "nothing", "{}"), "There is no schedule 'nothing'"),
    ):
        with pytest.raises(CommandError, match=said):
            schedules(*words)
    Schedule.objects.update(source="code")
    with pytest.raises(CommandError, match="declared in the code"):
        schedules("change", "it", "{}")
    somebody("view_schedule", "change_schedule")
    with pytest.raises(CommandError, match=r"furrow\.submit_job"):
        schedules("change", "it", "{}", "--user", "somebody")
    assert list(AuditEntry.objects.order_by("pk").values_list("action", flat=True)) == ["add", "change"]


def test_a_backfill_says_how_many_jobs_it_makes_before_it_makes_them() -> None:
    due("it", timing="@hourly", next_at=now() + HOUR)
    span = ("--from", (now() - 3 * HOUR).isoformat(), "--to", now().isoformat())
    assert "3 jobs of kinds.noop would be submitted" in schedules("backfill", "it", *span)
    assert Job.objects.count() == 0
    assert "3 jobs submitted" in schedules("backfill", "it", *span, "--yes")
    assert "0 jobs" in schedules("backfill", "it", *span)
    assert AuditEntry.objects.get().count == Job.objects.count() == 3


def test_a_user_may_no_more_than_in_the_admin() -> None:
    due("it")
    somebody("view_schedule")
    assert schedules("list", "--user", "somebody")
    for words in (("pause", "it"), ("run", "it"), ("delete", "it"), ("sync",), ("import-beat",)):
        with pytest.raises(CommandError, match="somebody may not"):
            schedules(*words, "--user", "somebody")
    User.objects.create(username="nobody")
    with pytest.raises(CommandError, match=r"furrow\.view_schedule"):
        schedules("list", "--user", "nobody")


# --- From beat ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def beat() -> Iterator[dict[str, Any]]:
    """The project's ``beat_schedule``."""
    conf, given = project_app().conf, dict[str, Any]()
    before, conf.beat_schedule = conf.beat_schedule, given
    yield given
    conf.beat_schedule = before


def test_the_settings_of_beat_are_taken_over(beat: dict[str, Any]) -> None:
    beat["sums"] = {"task": "kinds.add", "schedule": crontab(minute="30", hour="4", day_of_week="mon-fri"), "args": (1,)}
    beat["often"] = {"task": "kinds.noop", "schedule": dt.timedelta(seconds=90), "options": {"expires": 60, "priority": 3}}
    beat["sun"] = {"task": "kinds.noop", "schedule": solar.__new__(solar)}  # its library is not needed
    beat["both"] = {"task": "kinds.noop", "schedule": crontab(minute="0", day_of_month="13", day_of_week="fri")}
    beat["plain"] = {"task": "shop.ordinary", "schedule": 10.0}
    beat["wrong"] = {"task": "kinds.add", "schedule": 10.0, "args": ("x",)}
    text = schedules("import-beat")
    assert "2 schedules would be imported; --yes does it." in text
    assert not Schedule.objects.exists()
    told = {one["name"]: one["problem"] for one in as_json("import-beat", "--yes")}
    assert "follows the sun" in told["sun"]
    assert "cron takes either" in told["both"]
    assert "is no kind of job" in told["plain"]
    assert "a:" in told["wrong"]
    rows = {row.name: row for row in Schedule.objects.all()}
    assert {*rows} == {"sums", "often"}
    assert (rows["sums"].timing, rows["sums"].arguments) == ("30 4 * * mon-fri", {"a": 1})
    assert (rows["often"].timing, rows["often"].options) == ("@every 90s", {"expires": 60.0})
    assert rows["often"].fire_at is not None
    assert "is there already" in {one["name"]: one["problem"] for one in as_json("import-beat", "--yes")}["sums"]
    assert AuditEntry.objects.filter(action="import").count() == 2


#: django-celery-beat's tables, as far as they are read.
TABLES = """
CREATE TABLE django_celery_beat_crontabschedule (id integer, minute varchar(240), hour varchar(96), day_of_month varchar(124),
  month_of_year varchar(64), day_of_week varchar(64), timezone varchar(63));
CREATE TABLE django_celery_beat_intervalschedule (id integer, every integer, period varchar(24));
CREATE TABLE django_celery_beat_clockedschedule (id integer, clocked_time {time});
CREATE TABLE django_celery_beat_periodictask (name varchar(200), task varchar(200), args text, kwargs text, queue varchar(200),
  expire_seconds integer, one_off {bool}, start_time {time}, enabled {bool}, priority integer, crontab_id integer,
  interval_id integer, clocked_id integer, solar_id integer);
INSERT INTO django_celery_beat_crontabschedule VALUES (1, '0', '3', '*', '*', '*', 'Europe/Berlin');
INSERT INTO django_celery_beat_intervalschedule VALUES (1, 2, 'hours');
INSERT INTO django_celery_beat_clockedschedule VALUES (1, '2035-01-31 18:00:00+00:00');
INSERT INTO django_celery_beat_periodictask VALUES
  ('nightly', 'kinds.add', '[1]', '{{"b": 2}}', NULL, NULL, false, NULL, true, NULL, 1, NULL, NULL, NULL),
  ('off', 'kinds.noop', '[]', '{{}}', NULL, 30, false, '2026-01-01 00:30:00+00:00', false, NULL, NULL, 1, NULL, NULL),
  ('once', 'kinds.noop', '[]', '{{}}', NULL, NULL, true, NULL, true, 5, NULL, NULL, 1, NULL),
  ('sun', 'kinds.noop', '[]', '{{}}', NULL, NULL, false, NULL, true, NULL, NULL, NULL, NULL, 1),
  ('broken', 'kinds.noop', '[', '{{}}', NULL, NULL, false, NULL, true, NULL, NULL, 1, NULL, NULL);
"""


def test_the_tables_of_django_celery_beat_are_taken_over(beat: dict[str, Any]) -> None:
    types = (
        {"time": "timestamptz", "bool": "boolean"} if connection.vendor == "postgresql" else {"time": "text", "bool": "bool"}
    )
    with connection.cursor() as cursor:
        for statement in TABLES.format(**types).split(";\n")[:-1]:
            cursor.execute(statement)
    told = {one["name"]: one["problem"] for one in as_json("import-beat", "--yes")}
    assert "follows the sun" in told["sun"]
    assert "no JSON list" in told["broken"]
    rows = {row.name: row for row in Schedule.objects.all()}
    assert {*rows} == {"nightly", "off", "once"}
    nightly, off, once = rows["nightly"], rows["off"], rows["once"]
    assert (nightly.timing, nightly.timezone, nightly.arguments) == ("0 3 * * *", "Europe/Berlin", {"a": 1, "b": 2})
    assert (off.timing, off.fire_at, off.reason, off.options) == (
        "@every 7200s",
        None,
        "switched off in beat",
        {"expires": 30.0},
    )
    assert off.next_at is not None
    assert off.next_at.minute == 30
    assert once.next_at == dt.datetime(2035, 1, 31, 18, tzinfo=dt.UTC)
