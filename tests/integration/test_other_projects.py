"""Projects that are set up otherwise than ours: other users, another schema, no time zones."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from tests import services
from tests.stack import Stack, wait_until

USERS = r"""
import json, sys
import django
django.setup()
from django.contrib.auth import get_user_model
from django.core.management import call_command, execute_from_command_line
from django.test import Client
from django.test.utils import override_settings
from django.urls import reverse
from furrow import Job, submit, submit_many
from furrow.actions import bulk
from furrow.models import AuditEntry
from tests import kinds

override_settings(ALLOWED_HOSTS=["*"], SECURE_SSL_REDIRECT=False).enable()
call_command("migrate", run_syncdb=True, verbosity=0)
call_command("check")
user = get_user_model()._default_manager.create(email="ann@example.com", is_superuser=True)
submit_many(kinds.noop, [{"n": n} for n in range(30)], submitted_by=user)
job = submit(kinds.add, {"a": 1}, submitted_by=user)
client = Client()
client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
pages = [reverse("admin:furrow_job_change", args=[job.pk]), reverse("admin:furrow_job_changelist") + "?by=ann@example.com",
         reverse("admin:furrow_auditentry_changelist"), reverse("admin:index")]
told = {"pages": [client.get(page).status_code for page in pages]}
texts = [client.get(page).content.decode() for page in pages]
told["names"] = ["ann@example.com" in texts[0], str(job.pk) in texts[1]]
entry = bulk.start("cancel", {"kind": "kinds.noop"}, by=user, origin="admin")
told["audit"] = [AuditEntry.objects.get(job=entry.pk).who, AuditEntry.objects.get(job=entry.pk).user_id == user.pk]
for words in (["list"], ["list", "--json"], ["show", str(job.pk)], ["cancel", str(job.pk), "--user", "ann@example.com"]):
    try:
        execute_from_command_line(["manage.py", "furrow", "jobs", *words])
    except SystemExit as error:
        assert not error.code, words
user.delete()
job.refresh_from_db()
told["deleted"] = [job.state, job.submitted_by_id, Job.objects.filter(submitted_by=None).count()]
sys.stderr.write(json.dumps(told))
"""


def run(command: list[str], **env: str) -> "subprocess.CompletedProcess[str]":
    """Run it to its end, which must be a good one."""
    done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, cwd=services.ROOT)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done


def test_users_with_a_uuid_and_another_name_field_submit_act_and_go(tmp_path: Path) -> None:
    settings = {"DJANGO_SETTINGS_MODULE": "tests.uuid_users.settings", "OTHER_DATABASE": str(tmp_path / "db.sqlite3")}
    done = run([sys.executable, "-c", USERS], **settings)
    told: dict[str, Any] = json.loads(done.stderr[done.stderr.rindex('{"pages"') :])
    assert told["pages"] == [200] * 4
    assert told["names"] == [True, True]
    assert told["audit"] == ["ann@example.com", True]
    assert told["deleted"] == ["cancelled", None, 32]


SCHEMA = r"""
import sys
import django
django.setup()
from django.core.management import call_command
from furrow import submit_many
from tests import kinds
call_command("migrate", verbosity=0)
submit_many(kinds.add, [{"a": n} for n in range(30)], lock="one")
"""


@pytest.mark.thorough
def test_tables_are_found_by_the_search_path(bare: Stack) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no schemas")
    with connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA IF EXISTS elsewhere CASCADE")
        cursor.execute("CREATE SCHEMA elsewhere")
    url = bare.environ()["DATABASE_URL"]
    elsewhere = {"DATABASE_URL": url + ("&" if "?" in url else "?") + "options=-c%20search_path%3Delsewhere"}
    try:
        run([sys.executable, "-c", SCHEMA], **{**bare.environ(), "DJANGO_SETTINGS_MODULE": "config.settings", **elsewhere})
        bare.dispatcher(**elsewhere)
        bare.worker(**elsewhere)

        def states() -> list[str]:
            with connection.cursor() as cursor:
                cursor.execute("SELECT DISTINCT state FROM elsewhere.furrow_job")
                return [state for (state,) in cursor.fetchall()]

        wait_until(lambda: states() == ["succeeded"], what="all ended there")
    finally:
        bare.stop()
        with connection.cursor() as cursor:
            cursor.execute("DROP SCHEMA elsewhere CASCADE")
