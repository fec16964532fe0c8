"""Behind PgBouncer in transaction mode, where no transaction meets the server connection of the one before."""

import subprocess
from collections import Counter
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import OperationalError, connection
from furrow import statements
from furrow.models import Attempt, Job
from furrow.states import State
from furrow.submission.submit import submit, submit_many

from tests.pooler import SERVERS, pooler
from tests.services import ON_SQLITE
from tests.stack import PYTHON, Stack, all_ended

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(ON_SQLITE, reason="a pooler is of PostgreSQL"),
]

_LIST_IN_PARTS = """
import django; django.setup()
from django.db import connection
from furrow.models import Job
connection.ensure_connection()
for turn in range(20):
    assert len(list(Job.objects.iterator(chunk_size=2))) == 300
"""


@pytest.mark.thorough
def test_all_parts_work_behind_pgbouncer(stack: Stack) -> None:
    with pooler() as url:
        stack.dispatcher(DATABASE_URL=url)
        stack.worker("one", DATABASE_URL=url)
        stack.worker("two", DATABASE_URL=url)
        for start in range(0, 240, 40):
            submit_many("kinds.add", [{"a": a, "b": 1} for a in range(start, start + 40)])
        flaky = [submit("kinds.succeeds_on", {"attempt": 2}) for _ in range(60)]
        all_ended()

        assert Counter(Job.objects.values_list("state", flat=True)) == {State.SUCCEEDED: 300}
        results: Any = Job.objects.filter(kind="kinds.add").values_list("result", flat=True)
        assert sorted(results) == list(range(1, 241))
        assert Attempt.objects.count() == 240 + 2 * len(flaky)
        told = "".join(process.text for process in stack.processes)
        assert "prepared statement" not in told
        assert "Traceback" not in told

        listed = subprocess.run(
            [PYTHON, "-c", _LIST_IN_PARTS], env=stack.environ(DATABASE_URL=url), capture_output=True, text=True
        )
        assert listed.returncode == 0, listed.stderr

        # Other clients of the pooler find PostgreSQL's settings as they were.
        clients = [psycopg.connect(url) for _ in range(SERVERS)]
        found = {
            f"{setting} {name}"
            for client in clients
            for name in ("lock_timeout", "enable_seqscan", "jit", "synchronous_commit")
            for (setting,) in client.execute(f"SELECT current_setting('{name}')")
        }
        assert found <= {"0 lock_timeout", "on enable_seqscan", "on jit", "off synchronous_commit"}
        for client in clients:
            client.close()


def test_only_sessions_within_a_transaction_are_ended_behind_a_pooler(db: None) -> None:
    with pooler() as url, closing(_through(url)) as ours, closing(_through(url)) as frozen:
        statements.on(ours).name_session(ours, "0abc")
        statements.on(frozen).name_session(frozen, "0abc")
        frozen.set_autocommit(False)
        with frozen.cursor() as cursor:
            cursor.execute("SELECT 1")

        assert statements.on(ours).end_sessions(ours, ["0abc"]) == 1

        with pytest.raises(OperationalError), frozen.cursor() as cursor:
            cursor.execute("SELECT 1")
        with ours.cursor() as cursor:
            cursor.execute("SELECT 1")


def _through(url: str) -> Any:
    """A connection like Django's own, to this URL's port."""
    link = connection.copy()
    link.settings_dict = {**link.settings_dict, "PORT": urlsplit(url).port}
    link.connect()
    return link
