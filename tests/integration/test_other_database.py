"""A project that has its jobs in another database than the rest: all parts look for them there."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.db import router
from furrow import Job, State, checks, submit, submit_many
from furrow.actions.jobs import cancel
from pytest_django import Settings

from tests import forks, kinds, services
from tests.stack import Stack, all_ended, wait_until

pytestmark = pytest.mark.engine

SCRIPT = r"""
import json, sys
import django
django.setup()
from django.contrib.auth import get_user_model
from django.core.management import call_command, execute_from_command_line
from django.test.utils import override_settings
from django.db import connections, transaction
from django.test import Client
from django.urls import reverse
from django.contrib.auth.models import Group
from furrow import Job, State, backfill, cancel, retry, submit, submit_many
from furrow.actions import bulk
from furrow.backfills.moving import move_due
from furrow.models import AuditEntry
from tests import kinds

call_command("migrate", database="default", verbosity=0)
told = {}
override_settings(ALLOWED_HOSTS=["*"], SECURE_SSL_REDIRECT=False).enable()

def furrow(*words):
    try:
        execute_from_command_line(["manage.py", "furrow", *words])
    except SystemExit as error:
        assert not error.code, words

told["tables"] = sorted(name for name in connections["default"].introspection.table_names() if name.startswith("furrow"))
user = get_user_model().objects.create_superuser("ann", "ann@example.com", "ann")
try:
    with transaction.atomic(using="jobs"):
        submit(kinds.add, {"a": 1})
        raise KeyError
except KeyError:
    told["rolled back"] = Job.objects.count()
with transaction.atomic():  # of the other database
    job = submit(kinds.add, {"a": 1}, submitted_by=user, expires=3600, unique="k{a}")
    submit_many(kinds.noop, [{"n": n} for n in range(30)])
client = Client(raise_request_exception=True)
client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
pages = [reverse("admin:index"), reverse("admin:furrow_job_change", args=[job.pk])]
pages += [reverse(f"admin:furrow_{name}_changelist") for name in ("job", "attempt", "logline", "queue", "worker", "auditentry",
          "drift", "deadmessage")]
told["pages"] = {page: client.get(page).status_code for page in pages}
told["submitter"] = "ann" in client.get(pages[1]).content.decode()
told["by"] = client.get(pages[2] + "?by=ann").content.decode().count(str(job.pk)) > 0
entry = bulk.start("cancel", {"kind": "kinds.noop"}, by=user, origin="admin")
told["audit"] = AuditEntry.objects.get(job=entry.pk).who
told["acts"] = [cancel(job.pk), retry(job.pk), cancel(job.pk)]
furrow("jobs", "list", "--limit", "3")
furrow("jobs", "show", str(job.pk))
group = Group.objects.create(name="rows are in the other database")
row = backfill(Group.objects.all(), kinds.renames)
move_due(print)
told["backfill"] = [job.arguments["group"] == group.pk for job in Job.objects.filter(batch=row.pk)]
user.delete()
job.refresh_from_db()
told["deleted"] = [job.state, client.get(reverse("admin:login")).status_code]
furrow("jobs", "show", str(job.pk), "--json")
call_command("check")
sys.stderr.write(json.dumps(told))
"""


def environment(folder: Path) -> dict[str, Any]:
    """Of a process that has jobs elsewhere."""
    return {"DJANGO_SETTINGS_MODULE": "tests.other_database", "OTHER_DATABASE": str(folder / "default.sqlite3")}


def test_dispatcher_and_worker_look_for_jobs_where_the_router_says(bare: Stack, tmp_path: Path) -> None:
    """Their ``default`` has no table at all."""
    bare.dispatcher(**environment(tmp_path))
    worker = bare.worker(**environment(tmp_path))
    submit_many(kinds.add, [{"a": n} for n in range(30)], lock="one")
    retried, late = submit(kinds.fails), submit(kinds.add, {"a": 1}, run_at=None, countdown=0.2)
    running = submit(kinds.sleeps, {"seconds": 60})
    wait_until(lambda: Job.objects.filter(pk=running.pk, state=State.RUNNING).exists(), what="it runs")
    assert cancel(running.pk) == 1
    all_ended(60)
    states = dict(Job.objects.values_list("pk", "state"))
    assert (states.pop(retried.pk), states.pop(running.pk)) == (State.FAILED, State.CANCELLED)
    assert {*states.values()} == {State.SUCCEEDED}
    assert late.pk in states
    for part in (["dispatcher"], ["worker", "--node", "worker@test"], ["stores"]):
        command = [sys.executable, "manage.py", "furrow", "health", *part]
        done = forks.run(command, env=bare.environ(**environment(tmp_path)), cwd=services.ROOT)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in worker.text


@pytest.mark.thorough
def test_web_submits_shows_and_acts_there(bare: Stack, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=bare.environ(**environment(tmp_path)),
        capture_output=True,
        text=True,
        cwd=services.ROOT,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    told: dict[str, Any] = json.loads(done.stderr[done.stderr.rindex('{"tables"') :])
    assert told["tables"] == []
    assert told["rolled back"] == 0
    assert {*told["pages"].values()} == {200}, told["pages"]
    assert (told["submitter"], told["by"], told["audit"]) == (True, True, "ann")
    assert told["acts"] == [1, 1, 1]
    assert told["deleted"] == ["cancelled", 200]
    assert told["backfill"] == [True]
    assert Job.objects.count() == 33, "here they are: one, thirty, the bulk action, and the backfill's"


def test_routers_that_part_jobs_are_refused(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.check_databases() == []

    class Replica:
        def db_for_read(self, model: Any, **hints: Any) -> str:
            return "replica"

    monkeypatch.setattr(router, "routers", [Replica()])
    (error,) = checks.check_databases()
    assert (error.id, error.msg) == (
        "furrow.E008",
        "DATABASE_ROUTERS send Furrow to several databases: ApiAnswer in 'default' and ApiAnswer in 'replica'.",
    )
