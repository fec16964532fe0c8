"""A project whose times have no zone, ``USE_TZ = False``: Furrow's own have one all the same."""

import json
import subprocess
import sys
from typing import Any

import pytest
from django.db.models.functions import Now
from furrow import Job
from furrow.models import Schedule
from furrow.states import State

from tests import services
from tests.stack import Stack, all_ended, wait_until

pytestmark = [pytest.mark.engine, pytest.mark.dialect]

SETTINGS = "tests.no_zones.settings"
#: Submits, and tells what it finds; ``look`` when all have ended.
PROGRAM = r"""
import datetime as dt, json, sys
import django
django.setup()
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.test.utils import override_settings
from django.urls import reverse
from django.utils import timezone
from furrow import Job, statements, submit
from furrow.errors import OptionError
from furrow.models import Schedule, Tick
from furrow.models.database import connection
from furrow.schedules.rows import place
from tests import kinds

UTC = dt.timezone.utc
told = {}
if sys.argv[1] == "submit":
    call_command("check")
    told["zone"] = [settings.USE_TZ, timezone.now().tzinfo is None, statements.on(connection).clock(connection).tzinfo is None]
    try:
        submit(kinds.noop, run_at=timezone.now())
    except OptionError as error:
        told["naive"] = str(error)
    twice = [dt.datetime(2026, 11, 1, hour, 30, tzinfo=UTC) for hour in (5, 6)]  # both are half past one in New York
    ended = {"kind": "kinds.noop", "queue": "default", "state": "cancelled"}
    rows = [Job.objects.create(**ended, finished_at=moment, run_at=moment) for moment in twice]
    told["twice"] = [Job.objects.get(pk=row.pk).run_at == moment for row, moment in zip(rows, twice)]
    told["order"] = list(Job.objects.filter(run_at__gte=twice[1]).values_list("pk", flat=True)) == [rows[1].pk]
    Job.objects.all().delete()
    now = dt.datetime.now(UTC)
    submit(kinds.succeeds_on, {"attempt": 2})
    submit(kinds.add, {"a": 1}, run_at=now + dt.timedelta(seconds=1))
    later = submit(kinds.noop, run_at=now + dt.timedelta(hours=1), expires=now + dt.timedelta(hours=2))
    told["for later"] = str(later.pk)
    row = Schedule(name="each second", kind="kinds.noop", timing="@every 1s")
    place(row, statements.on(connection).clock(connection))
    row.save()
else:
    job = Job.objects.get(kind="kinds.succeeds_on")
    told["outcomes"] = list(job.attempts.order_by("number").values_list("outcome", flat=True))
    told["in order"] = job.created_at <= job.started_at <= job.finished_at
    told["recent"] = abs((job.finished_at - dt.datetime.now(UTC)).total_seconds()) < 600
    told["ticks"] = Tick.objects.filter(job__isnull=False).exists()
    override_settings(ALLOWED_HOSTS=["*"], SECURE_SSL_REDIRECT=False).enable()
    client = Client()
    client.force_login(User.objects.create(username="zoneless", is_staff=True, is_superuser=True),
                       backend="django.contrib.auth.backends.ModelBackend")
    pages = [reverse("admin:furrow_job_change", args=[job.pk]),
             *(reverse(f"admin:furrow_{name}_changelist") for name in ("job", "schedule", "worker", "queue", "auditentry")),
             reverse("admin:furrow_schedule_change", args=[Schedule.objects.get().pk]), reverse("admin:index")]
    answers = [client.get(page) for page in pages]
    told["pages"] = [answer.status_code for answer in answers]
    local = job.finished_at.astimezone(timezone.get_default_timezone())
    told["local"] = f"{local:%Y-%m-%d %H:%M:%S}" in answers[0].content.decode()
    User.objects.filter(username="zoneless").delete()
sys.stderr.write("\nTOLD" + json.dumps(told))
"""


def program(stack: Stack, what: str) -> Any:
    """What it told."""
    command = [sys.executable, "-c", PROGRAM, what]
    env = stack.environ(DJANGO_SETTINGS_MODULE=SETTINGS)
    done = subprocess.run(command, env=env, capture_output=True, text=True, cwd=services.ROOT, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return json.loads(done.stderr.rpartition("TOLD")[2])


def test_a_project_without_time_zones_submits_runs_retries_and_shows_local_times(bare: Stack) -> None:
    told = program(bare, "submit")
    later = told.pop("for later")
    assert "has no time zone" in told.pop("naive")
    assert told == {"zone": [False, True, False], "twice": [True, True], "order": True}
    bare.dispatcher(DJANGO_SETTINGS_MODULE=SETTINGS)
    bare.worker(DJANGO_SETTINGS_MODULE=SETTINGS)
    wait_until(lambda: Job.objects.filter(kind="kinds.noop", state=State.SUCCEEDED).count() >= 2, what="the schedule submits")
    assert Job.objects.filter(pk=later, state=State.PENDING).update(state=State.CANCELLED, finished_at=Now()) == 1
    Schedule.objects.update(paused_at="2026-01-01T00:00Z")
    all_ended()
    assert program(bare, "look") == {
        "outcomes": ["failed", "succeeded"],
        "in order": True,
        "recent": True,
        "ticks": True,
        "pages": [200] * 8,
        "local": True,
    }
