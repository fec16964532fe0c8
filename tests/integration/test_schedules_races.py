"""Schedules fire while other transactions have locked what they need."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, connections, transaction
from furrow import Job, submit
from furrow.models import Schedule
from furrow.schedules.firing import fire_due

from tests import kinds
from tests.rows import make, state_of
from tests.schedules import due, now, ticks

pytestmark = [
    pytest.mark.engine,
    pytest.mark.usefixtures("committed"),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time"),
]


def locks_the_last_job() -> tuple[Schedule, Callable[[], Any]]:
    job = make()
    return due("a", overlap="cancel", last_job=job.pk), lambda: Job.objects.select_for_update().get(pk=job.pk)


def submits_what_is_unique() -> tuple[Schedule, Callable[[], Any]]:
    row = due("a", kind=kinds.once.name, arguments={"account": 1})
    return row, lambda: submit(kinds.once, {"account": 1})


@pytest.mark.parametrize("case", [locks_the_last_job, submits_what_is_unique])
def test_a_transaction_that_is_in_the_way_of_one_schedule_bars_no_other(
    case: Callable[[], tuple[Schedule, Callable[[], Any]]],
) -> None:
    row, lock = case()
    other, told = due("b"), list[str]()
    locked, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            lock()
            locked.set()
            assert go_on.wait(30)
            transaction.set_rollback(True)
        connections["default"].close()

    holder = threading.Thread(target=hold)
    holder.start()
    assert locked.wait(30)
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '200ms'")  # as the dispatcher's sessions have
    try:
        fire_due(lambda what, error: told.append(what))
        assert (ticks(other), ticks(row)) == ([("fired", "time", 0)], [])
        assert told == ["submit of a schedule"]
    finally:
        go_on.set()
        holder.join(30)
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")
    Schedule.objects.filter(pk=row.pk).update(fire_at=now())
    fire_due(lambda what, error: told.append(what))
    row.refresh_from_db()
    assert row.last_job is not None
    assert (ticks(row), row.held) == ([("fired", "time", 0)], "")
    assert state_of(Job.objects.get(pk=row.last_job)) == "pending"
