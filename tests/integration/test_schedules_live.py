"""Schedules where several fire at once, and where a dispatcher does."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction
from django.db.models import Count
from furrow import Job, Schedule, State
from furrow.models import Schedule as Row
from furrow.models import Tick
from furrow.schedules import sync
from pytest_django import Settings

from tests.schedules import due, fire, ticks
from tests.stack import Stack, wait_until

pytestmark = pytest.mark.engine


@pytest.mark.usefixtures("committed")
def test_two_that_believe_to_lead_fire_each_time_once() -> None:
    rows = [due(f"s{number}") for number in range(60)]
    times = {row.pk: row.next_at for row in rows}

    def lead() -> None:
        try:
            for _ in range(5):
                fire()
                for pk, time in times.items():  # as after a step of the clock
                    Row.objects.filter(pk=pk).update(next_at=time, fire_at=time)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(lead) for _ in range(2)]:
            done.result(timeout=60)
    per_time = Tick.objects.order_by().values("schedule", "due_at").annotate(n=Count("pk"))
    assert {one["n"] for one in per_time} == {1}
    assert Job.objects.count() == Tick.objects.filter(job__isnull=False).count() == len(per_time)
    assert len(per_time) >= len(rows)


@pytest.mark.usefixtures("committed")
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite locks no rows")
def test_a_row_that_somebody_has_locked_holds_up_no_sync_and_no_other(settings: Settings) -> None:
    settings.FURROW = {**settings.FURROW, "SCHEDULES": {"ours": Schedule("@daily", kind="kinds.noop")}}
    sync.sync()
    locked, other = due("locked"), due("other")

    def elsewhere() -> list[str]:
        try:
            done = sync.sync()
            fire()
            return [*done.added, *done.changed, *done.orphaned]
        finally:
            connection.close()

    with transaction.atomic(), ThreadPoolExecutor(1) as pool:
        assert len(Row.objects.select_for_update().filter(name__in=["ours", "locked"])) == 2
        assert pool.submit(elsewhere).result(timeout=60) == []
        assert [len(ticks(row)) for row in (locked, other)] == [0, 1]
    fire()
    assert len(ticks(locked)) == 1


def test_a_dispatcher_fires_what_people_make_and_a_worker_runs_it(stack: Stack) -> None:
    row = due(timing="@every 1s")
    done = Tick.objects.filter(schedule=row, job__in=Job.objects.filter(state=State.SUCCEEDED).values("pk"))
    wait_until(lambda: done.count() >= 2, what="two ticks of a schedule became jobs that ran")
    Row.objects.update(fire_at=None)
    assert Tick.objects.filter(job=None).count() == 0
