"""A job that says too much: neither the worker's loop nor its memory nor its neighbours suffer."""

import psutil
import pytest
from django.db import connection
from furrow import Job, State, submit, submit_many
from furrow.conf import conf
from furrow.models import LogLine

from tests import kinds, services
from tests.stack import Process, Stack, all_ended, wait_until

#: More than this (bytes) a flood may not add to a worker's memory: what may wait for the database, twice, and some.
MEMORY = 350 * 1024 * 1024


def memory(worker: Process) -> int:
    """Resident bytes of the worker's main process."""
    return int(psutil.Process(worker.popen.pid).memory_info().rss)


@pytest.mark.engine
@pytest.mark.timeout(400)
def test_a_flood_of_logs_and_progress_is_bounded_and_others_go_on(bare: Stack) -> None:
    bare.dispatcher()
    worker = bare.worker(processes=2)
    before = memory(worker)
    flood = submit(kinds.floods, {"lines": 60_000, "width": 20_000, "for_seconds": 3.0})
    wait_until(lambda: LogLine.objects.filter(job=flood.pk).exists())
    others = submit_many(kinds.add, [{"a": n} for n in range(300)])
    done = Job.objects.filter(pk__in=others, state=State.SUCCEEDED)
    wait_until(lambda: done.count() == 300, seconds=120, what="the others ended")
    all_ended()
    outcomes = list(flood.attempts.order_by("number").values_list("outcome", "error"))
    assert outcomes == [("succeeded", "")], f"{outcomes}; {worker.text[-5000:]}"
    assert memory(worker) - before < MEMORY
    lines = LogLine.objects.filter(job=flood.pk).order_by("pk")
    assert lines.count() == conf().max_log_lines + 1
    assert "characters cut" in lines[0].message
    assert len(lines[0].message) <= conf().max_log_line + 100
    last = lines.last()
    assert last is not None
    assert "an attempt keeps 10,000 log lines" in last.message
    assert Job.objects.get(pk=flood.pk).progress == 1


@pytest.mark.thorough
def test_while_the_database_hangs_a_flood_does_not_fill_memory(bare: Stack) -> None:
    if services.ON_SQLITE:
        pytest.skip("a database server is frozen")
    bare.dispatcher(FURROW_LEADER_LEASE="60")
    worker = bare.worker(processes=2, FURROW_WORKER_LEASE="60")
    before = memory(worker)
    ids = submit_many(kinds.floods, [{"lines": 9_000, "width": 7_000} for _ in range(8)])
    wait_until(LogLine.objects.exists)
    connection.close()
    services.postgres.freeze()
    try:
        sizes = [memory(worker)]
        wait_until(lambda: sizes.append(memory(worker)) or (len(sizes) > 50 and sizes[-1] == sizes[-40]))
        assert sizes[-1] - before < MEMORY
    finally:
        services.postgres.thaw()
    ended = Job.objects.filter(pk__in=ids, state=State.SUCCEEDED)
    wait_until(lambda: ended.count() == len(ids), seconds=90)
    assert memory(worker) - before < MEMORY
    assert LogLine.objects.count() == 9_000 * len(ids)


@pytest.mark.thorough
@pytest.mark.skipif(services.ON_SQLITE, reason="PostgreSQL's triggers")
def test_a_flood_into_a_slow_database_costs_no_lease(bare: Stack) -> None:
    """All that waits at one time would take it longer than a lease."""
    bare.dispatcher(FURROW_WORKER_LEASE="10")
    worker = bare.worker(processes=1, FURROW_WORKER_LEASE="10")
    with connection.cursor() as cursor:
        cursor.execute(
            """CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN PERFORM pg_sleep(0.004); RETURN NEW; END $$;
               CREATE TRIGGER slow BEFORE INSERT ON furrow_logline FOR EACH ROW EXECUTE FUNCTION slow()"""
        )
    try:
        flood = submit(kinds.floods, {"lines": 5_000, "width": 7_000})
        all_ended()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER slow ON furrow_logline; DROP FUNCTION slow()")
    assert list(flood.attempts.values_list("outcome", flat=True)) == ["succeeded"]
    assert LogLine.objects.filter(job=flood.pk).count() == 5_000
    assert "lost its lease" not in worker.text
