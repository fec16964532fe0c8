"""Names of database sessions, and who may end them; what they are good for is in tests/faults/test_processes_freeze.py."""

from collections.abc import Iterator

import pytest
from django.db import OperationalError, connection
from django.db.models.functions import Now
from furrow import statements
from furrow.dispatcher.leader import Leadership
from furrow.models import Event, Leader
from furrow.statements import sessions
from furrow.worker.child import db_sessions

pytestmark = pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no sessions")


@pytest.fixture
def weak_role(live_db: None) -> Iterator[str]:
    """A role that may end nobody's sessions."""
    with connection.cursor() as cursor:
        cursor.execute("DROP ROLE IF EXISTS weak; CREATE ROLE weak")
    yield "weak"
    with connection.cursor() as cursor:
        cursor.execute("RESET ROLE; DROP ROLE weak")


@pytest.mark.usefixtures("live_db")
@pytest.mark.parametrize("given", ["", "celery", "x" * 63])
def test_the_name_is_appended_to_what_the_session_is_called(given: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('application_name', %s, false)", [given])
        statements.on(connection).name_session(connection, "0123abcd", 1.5)
        cursor.execute("SELECT current_setting('application_name'), current_setting('lock_timeout')")
        name, patience = cursor.fetchone()
    connection.close()
    assert name == f"{given[:47]} furrow-0123abcd".strip()
    assert patience == "1500ms"


def test_a_role_that_may_not_end_them_is_told_what_it_lacks(weak_role: str, caplog: pytest.LogCaptureFixture) -> None:
    other = connection.copy()
    try:
        statements.on(other).name_session(other, "0123abcd")
        with connection.cursor() as cursor:
            cursor.execute(f"SET ROLE {weak_role}")
        sessions.end(["0123abcd"])
        assert "GRANT pg_signal_backend" in caplog.text
        assert other.is_usable()
        sessions.end(["0123abcd"])  # on a connection of its own role again
        assert "Ended 1 session of a dead process" in caplog.text
    finally:
        other.close()


def test_a_leader_that_froze_while_it_marked_events_holds_up_no_successor(live_db: None) -> None:
    Leader.objects.all().delete()
    old, sql, frozen = Leadership(), statements.on(connection), connection.copy()
    assert old.hold()
    ids = [Event.objects.create(name="order.paid").pk for _ in range(2)]
    try:
        sql.name_session(frozen, old.session)
        frozen.set_autocommit(False)
        frozen.in_atomic_block = True  # as within atomic(), whose end never comes
        assert sql.mark_published(frozen, ids[:1], old.term or 0) == 1
        Leader.objects.update(lease_until=Now())
        new = Leadership()
        assert new.hold()
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '20s'")
        assert sql.mark_published(connection, ids, new.term or 0) == 2
    finally:
        frozen.in_atomic_block = False
        frozen.close()
        connection.close()
        Event.objects.all().delete()
        Leader.objects.all().delete()


def test_a_connection_that_was_lost_is_no_open_transaction(live_db: None) -> None:
    link = connection.copy()
    link.connect()
    (pid,) = link.connection.execute("SELECT pg_backend_pid()").fetchone()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    with pytest.raises(OperationalError), link.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert not db_sessions._in_transaction(link)
    assert db_sessions._is_lost(link)
    link.close()
