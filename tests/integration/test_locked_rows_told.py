"""Who has rows of jobs locked is named: on pages, and by the dispatcher."""

import datetime as dt
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.utils import timezone
from furrow import statements
from furrow.diagnosis import lockers
from furrow.diagnosis.explain import situation, why
from furrow.dispatcher import locked_rows
from furrow.dispatcher.locked_rows import LockedRows
from furrow.models import Drift, Worker
from furrow.monitoring import troubles
from furrow.statements import Locker

from tests.locked_rows import elsewhere, impatient, lock, only_postgresql
from tests.rows import make
from tests.stack import database_url

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("only_postgresql", "live_db")]
assert all((elsewhere, impatient, only_postgresql))  # fixtures


@pytest.mark.usefixtures("committed")
def test_who_has_a_row_locked_is_told(elsewhere: psycopg.Connection[Any]) -> None:
    sql, job, other = statements.on(connection), make(), make()
    lock(elsewhere, job)
    found = sql.locker(connection, job.pk)
    assert found is not None
    assert (found.name, found.pid) == ("somebody", elsewhere.info.backend_pid)
    assert "furrow_job" in found.query
    assert sql.locker(connection, other.pk) is None
    assert [one.pid for one in sql.lockers(connection, 0)] == [elsewhere.info.backend_pid]
    with psycopg.connect(database_url(), application_name="another") as another:
        elsewhere.execute("SELECT 1 FROM furrow_job WHERE id = %s FOR SHARE", [other.pk])
        another.execute("SELECT 1 FROM furrow_job WHERE id = %s FOR SHARE", [other.pk])
        sharing = sql.locker(connection, other.pk)
        assert sharing is not None
        assert sharing.name in {"somebody", "another"}
    elsewhere.rollback()
    assert sql.locker(connection, job.pk) is None


@pytest.mark.usefixtures("committed")
def test_the_jobs_page_names_who_has_its_row_locked(
    elsewhere: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lockers, "SOON", 0.0)
    job = make()
    elsewhere.execute("UPDATE furrow_job SET error = 'a secret 4711' WHERE id = %s", [job.pk])
    now = timezone.now() + dt.timedelta(seconds=1)
    reason = why(job, situation(job, now), now)
    assert reason is not None
    assert reason.stuck
    assert f"the session “somebody” (pid {elsewhere.info.backend_pid}, user " in reason.text
    assert "by “UPDATE furrow_job SET error = …" in reason.text
    assert "4711" not in reason.text
    assert f"pg_terminate_backend({elsewhere.info.backend_pid})" in reason.remedy


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("SELECT 1 WHERE id = $1", "SELECT … WHERE id = $1"),
        ("UPDATE t SET a = 'it''s', b = E'x\\'y', c = 0x1F WHERE id = '12", "UPDATE t SET a = …, b = E…, c = … WHERE id = …"),
        ("SELECT $x$secret$x$, $$open", "SELECT …, …"),
        ("<insufficient privilege>", ""),
        ("SELECT " + "a, " * 100, "SELECT " + "a, " * 27 + "a…"),
    ],
)
def test_a_statement_is_shown_without_its_values(query: str, shown: str) -> None:
    assert lockers.short(query) == shown


def test_home_names_who_has_rows_locked() -> None:
    now = timezone.now()
    drift = [Drift(name="rows_locked", found=2, looked_at=now)]
    workers = [Worker(node="w", stats={"locked": 1}), Worker(node="v", stats={})]
    (trouble,) = troubles.of_locks(drift, workers, [Locker("web", "shop", 17, now, "UPDATE t")])
    assert trouble.text.startswith("3 jobs wait: their rows are locked by another transaction.")
    assert "“web” (pid 17, user shop)" in trouble.text
    assert (trouble.when, trouble.command) == (now, "SELECT pg_terminate_backend(17)")
    assert troubles.of_locks([], workers[1:], []) == []
    assert troubles.of_drift(drift) == []


@pytest.mark.usefixtures("impatient")
def test_the_dispatcher_writes_down_locks_that_last(
    elsewhere: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locked_rows, "LASTING", 0.0)
    job, rows = make(), LockedRows()
    lock(elsewhere, job)
    rows.met([job.pk])
    assert rows.run_once() == 1
    assert Drift.objects.get(name="rows_locked").found == 1
    elsewhere.rollback()
    assert rows.run_once() == 0
    assert Drift.objects.get(name="rows_locked").found == 0
