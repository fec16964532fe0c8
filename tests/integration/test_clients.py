"""What docs/clients.md shows, run as it stands there: by programs that know neither Django nor Furrow."""

import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from django.db import connection
from furrow import Job

from tests.stack import Process, Stack, all_ended, database_url, wait_until

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "clients.md").read_text()
ROLE, INSERT, SELECT = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
PROGRAMS = dict(re.findall(r"```python\n# (\w+\.py):[^\n]*\n(.*?)```", PAGE, re.DOTALL))
ID = uuid.UUID("019b1d2e-8a4f-7c31-9d55-0f6c2b7e4a10")

pytestmark = pytest.mark.skipif(connection.vendor != "postgresql", reason="for PostgreSQL")


@pytest.fixture
def shop(live_db: None) -> Iterator[str]:
    """The role of the page; where and as whom it connects."""
    with connection.cursor() as cursor:
        cursor.execute(ROLE)
    yield re.sub("//[^@]*@", "//shop:change%20me@", database_url())
    with connection.cursor() as cursor:
        cursor.execute("DROP OWNED BY shop; DROP ROLE shop")


def program(tmp_path: Path, name: str, *arguments: str) -> list[str]:
    """The command that runs a program of the page, in isolation from this project."""
    (tmp_path / name).write_text(PROGRAMS[name])
    return [sys.executable, "-I", str(tmp_path / name), *arguments]


def test_a_program_submits_and_follows_with_sql_alone(stack: Stack, shop: str, tmp_path: Path) -> None:
    def client(kind: str, arguments: str) -> tuple[str, list[str]]:
        command = program(tmp_path, "client.py", kind, arguments)
        done = subprocess.run(command, env={"DATABASE_URL": shop}, capture_output=True, text=True, check=True, timeout=60)
        submitted, *rest = done.stdout.splitlines()
        return submitted.removeprefix("submitted "), rest

    assert "django" not in PROGRAMS["client.py"].lower()
    id, said = client("kinds.add", '{"a": 1, "b": 2}')
    assert said == ["succeeded 3"]
    assert uuid.UUID(id).version == 7
    job = Job.objects.get(pk=id)
    assert abs(int(job.pk.hex[:12], 16) / 1000 - job.created_at.timestamp()) < 1
    _, said = client("kinds.add", '{"a": "much"}')
    assert said[0].startswith("failed ")
    assert "a:" in said[0]

    with psycopg.connect(shop, autocommit=True) as database:
        for _ in range(2):
            database.execute(INSERT)
        wait_until(lambda: Job.objects.get(pk=ID).result == 3)
        row = database.execute(SELECT).fetchone()
        assert row is not None
        assert row[:2] == ("succeeded", 1)
        # It can do no more than that.
        for forbidden in ("UPDATE furrow_job SET state = 'pending'", "DELETE FROM furrow_job", "SELECT * FROM auth_user"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                database.execute(forbidden)
    assert Job.objects.count() == 3


def test_a_program_is_told_what_ends(stack: Stack, tmp_path: Path) -> None:
    environ = {"BROKER_URL": os.environ["BROKER_URL"], "PYTHONUNBUFFERED": "1"}
    listener = Process("listener", program(tmp_path, "listen.py"), environ)
    try:
        wait_until(lambda: "listening" in listener.text)
        with connection.cursor() as cursor:
            cursor.execute(INSERT)
        all_ended()
        wait_until(lambda: f"{ID} succeeded" in listener.text)
    finally:
        listener.kill()
