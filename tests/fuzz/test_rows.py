"""Rows that clients of the database write: refused with a reason, or stood; no other job waits for them, no page breaks."""

import json
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import Error, connection, transaction
from django.test import Client
from furrow import Job, State, submit
from furrow.states import State as States
from hypothesis import given
from hypothesis import strategies as some

from tests import kinds
from tests.fuzz import examples
from tests.rows import make
from tests.stack import Stack, wait_until

_times = some.sampled_from(
    [
        "infinity",
        "-infinity",
        "0001-01-01 00:00+14",
        "9999-12-31 23:59:59-12",
        "294276-12-31",
        "4713-01-01 BC",
        "1970-01-01",
        "x",
    ]
)
_numbers = some.one_of(some.integers(-(2**31), 2**31 - 1), some.just("NaN"))
_json = some.one_of(
    some.sampled_from(["null", "[]", "{}", "1" * 5_000, '"\\ud800"', "[" * 3_000 + "]" * 3_000, '{"a": 1e400}', "NaN", '""'])
    , some.recursive(
        some.one_of(some.none(), some.booleans(), some.integers(), some.floats(allow_nan=False), some.text(max_size=10)),
        lambda inner: some.one_of(
            some.lists(inner, max_size=3),
            some.dictionaries(
                some.one_of(some.sampled_from(["slots", "rate", "key", "line", "a", "$secret"]), some.text(max_size=6)),
                inner,
                max_size=3,
            ),
        ),
        max_leaves=8,
    ).map(json.dumps),
)  # fmt: skip
_texts = some.one_of(
    some.text(max_size=99), some.sampled_from(["kinds.add", "kinds.nobody", "default", "nobody", "", "\u202e"])
)
_COLUMNS = {
    "run_at": _times, "created_at": _times, "expires_at": _times, "queued_at": _times, "started_at": _times,
    "finished_at": _times,    "cancel_requested_at": _times, "unique_expires_at": _times,
    "arguments": _json, "result": _json, "limits": _json, "tags": _json,
    "attempt": _numbers, "excused": _numbers, "max_attempts": _numbers, "priority": some.integers(-(2**15), 2**15 - 1),
    "progress": some.one_of(some.floats(), some.just("-Infinity")),
    "kind": _texts, "queue": _texts, "error": _texts, "held": _texts, "order_key": _texts, "fair_key": _texts,
    "unique_key": _texts, "unique_until": _texts, "progress_note": _texts, "fingerprint": _texts,
    "state": some.sampled_from([*map(str, States), "nonsense"]),
}  # fmt: skip
_changes = some.dictionaries(some.sampled_from(sorted(_COLUMNS)), some.none(), min_size=1, max_size=4).flatmap(
    lambda chosen: some.fixed_dictionaries({name: _COLUMNS[name] for name in chosen})
)


def _change(job: uuid.UUID, values: dict[str, Any]) -> bool:
    """As a client does that writes SQL; whether the database took it."""
    assignments = ", ".join(f"{name} = %s" for name in values)
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            id = job if connection.vendor == "postgresql" else job.hex
            cursor.execute(f"UPDATE furrow_job SET {assignments} WHERE id = %s", [*values.values(), id])
    except (Error, ValueError, OverflowError):
        return False
    return True


@pytest.mark.engine
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore:No directory at")
def test_rows_of_others(stack: Stack) -> None:
    client = Client()
    client.force_login(User.objects.get(username=stack.admin[0]))

    @examples(15, shrink=False)
    @given(some.lists(_changes, min_size=1, max_size=8))
    def write(changes: list[dict[str, Any]]) -> None:
        strange = [job.pk for job in (make() for _ in changes)]
        for id, values in zip(strange, changes, strict=True):
            _change(id, values)
        job = submit(kinds.add, {"a": 1})
        wait_until(lambda: Job.objects.get(pk=job.pk).state == State.SUCCEEDED, what="the job beside them")
        for path in ("/admin/", "/admin/furrow/job/", "/metrics", *(f"/admin/furrow/job/{id}/change/" for id in strange)):
            assert client.get(path, follow=True).status_code in (200, 404), path
        _forget(strange)

    write()
    left = [process.name for process in stack.processes if process.popen.poll() is not None]
    assert not left, left


def _forget(ids: list[uuid.UUID]) -> None:
    with connection.cursor() as cursor:
        given = [id if connection.vendor == "postgresql" else id.hex for id in ids]
        cursor.execute(f"DELETE FROM furrow_job WHERE id IN ({', '.join(['%s'] * len(ids))})", given)
