"""A worker's lease and what is asked of it, on both databases."""

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from furrow.models import Worker, WorkerRequest
from furrow.models.job import new_id
from furrow.statements import Answer, Asked, Report

from tests.rows import WORKER
from tests.stack import wait_until

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]


DESCRIPTION = {
    "node": "w@host",
    "host": "host",
    "version": "1",
    "code_version": "v7",
    "session": "0123abcd",
    "pid": 1,
    "queues": ["default"],
    "kinds": ["kinds.add"],
}


def test_a_workers_life(sql: Any) -> None:
    worker = new_id()
    assert not sql.renew(connection, worker, 60)
    sql.register_worker(connection, worker, 60, DESCRIPTION, Report(processes=2))
    row = Worker.objects.get(pk=worker)
    assert (row.node, row.pid, row.processes, row.queues, row.kinds) == ("w@host", 1, 2, ["default"], ["kinds.add"])
    assert row.code_version == "v7"
    assert (row.host, row.version, row.stats, row.paused, row.ended) == ("host", "1", {}, [], 0)
    assert (row.stopped_at, row.lost) == (None, False)
    assert sql.renew(connection, worker, 120, Report('{"at": 1}', '["default"]', 5, 2, 3))
    row.refresh_from_db()
    assert dt.timedelta(seconds=100) < row.lease_until - timezone.now() <= dt.timedelta(seconds=121)
    assert (row.stats, row.paused, row.ended, row.failed, row.processes) == ({"at": 1}, ["default"], 5, 2, 3)
    sql.stop_worker(connection, worker, Report(ended=6, failed=3))
    assert not sql.renew(connection, worker, 60)
    row.refresh_from_db()
    assert row.stopped_at is not None
    assert (row.lost, row.ended, row.failed) == (False, 6, 3)


def test_what_is_asked_of_a_worker_is_taken_once_and_answered_once(sql: Any) -> None:
    asked = [
        WorkerRequest.objects.create(worker=WORKER, action="pause", subject="default", asked_by="ann", asked_at=timezone.now()),
        WorkerRequest.objects.create(worker=WORKER, action="shutdown", asked_at=timezone.now()),
    ]
    WorkerRequest.objects.create(worker=new_id(), action="shutdown", asked_at=timezone.now())
    assert sql.asked(connection, WORKER) == [
        Asked(str(asked[0].pk), "pause", "default", "ann"),
        Asked(str(asked[1].pk), "shutdown", "", ""),
    ]
    assert sql.asked(connection, WORKER) == []
    later = WorkerRequest.objects.create(worker=WORKER, action="resume", asked_at=timezone.now())
    assert sql.asked(connection, WORKER) == [Asked(str(later.pk), "resume", "", "")]
    later.delete()
    sql.answer(connection, [Answer(str(asked[0].pk), True, "done\0"), Answer(str(asked[1].pk), False, "no")])
    sql.answer(connection, [Answer(str(asked[0].pk), False, "too late")])
    rows = WorkerRequest.objects.filter(worker=WORKER).order_by("pk")
    assert list(rows.values_list("succeeded", "answer")) == [(True, "done"), (False, "no")]
    moments: Any = rows.values_list("taken_at", "answered_at")
    assert all(taken_at <= answered_at for taken_at, answered_at in moments)


def test_a_lost_lease_is_not_renewed(sql: Any) -> None:
    worker = new_id()
    sql.register_worker(connection, worker, 60, DESCRIPTION)
    Worker.objects.filter(pk=worker).update(stopped_at=timezone.now(), lost=True)
    before = Worker.objects.filter(pk=worker).values().get()
    assert not sql.renew(connection, worker, 60)
    assert Worker.objects.filter(pk=worker).values().get() == before


def test_sessions_are_ended_by_name(sql: Any) -> None:
    ours, theirs = connection.copy(), connection.copy()
    try:
        for link, name in ((ours, "0123abcd"), (theirs, "4567cdef")):
            sql.name_session(link, name)
        ended = sql.end_sessions(connection, ["0123abcd", "89abcdef"])
        assert ended == (1 if connection.vendor == "postgresql" else 0)
        assert sql.end_sessions(connection, ["89abcdef"]) == 0
        assert theirs.is_usable()
        if ended:
            wait_until(lambda: not ours.is_usable(), what="its session has ended")
    finally:
        ours.close()
        theirs.close()
