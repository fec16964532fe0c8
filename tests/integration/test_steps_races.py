"""A signal against the run that begins to wait for it, on connections of their own, on both databases: it is never lost."""

import threading
from functools import partial

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone
from furrow import Job, State, send_signal, statements
from furrow.models import Signal, Step
from furrow.statements import Group, Settlement
from furrow.states import Outcome

from tests.races import together
from tests.rows import WORKER, make
from tests.stack import wait_until

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("committed")]
DAY = 86_400.0


def begins_to_wait(job: Job) -> bool:
    """What a run does and its worker behind it; whether it found the signal itself."""
    register(job)
    if Signal.objects.filter(target=job.pk).exists():
        return True
    settle(job)
    return False


def register(job: Job) -> None:
    with transaction.atomic():
        Job.objects.select_for_update(no_key=True).get(pk=job.pk)
        now = timezone.now()
        Step.objects.create(job=job, name="paid", sort="signal", position=1, attempt=1, awaits="paid", started_at=now)


def settle(job: Job) -> None:
    end = Settlement(str(job.pk), 1, State.PENDING, Outcome.SNOOZED, 7, delay=DAY)
    statements.on(connection).write(connection, WORKER, Group(settlements=[end]))


def is_due(job: Job) -> bool:
    job.refresh_from_db()
    now = statements.on(connection).clock(connection)
    return job.state == State.PENDING and job.run_at <= now


def test_a_signal_and_a_wait_that_begin_at_once_find_each_other() -> None:
    for _ in range(15):
        job = make(State.RUNNING)
        found, delivered = together(partial(begins_to_wait, job), partial(send_signal, job, "paid"))
        assert found or is_due(job), (found, delivered)


def test_a_signal_that_is_committed_while_the_run_ends_makes_the_job_due() -> None:
    job = make(State.RUNNING)
    register(job)
    assert send_signal(job, "paid") is False  # it runs still
    settle(job)
    assert is_due(job)


def test_a_job_that_waits_for_another_signal_is_left_alone() -> None:
    job = make(State.RUNNING)
    register(job)
    send_signal(job, "shipped")
    settle(job)
    assert not is_due(job)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer at a time")
def test_the_end_of_a_run_waits_for_a_signal_that_is_not_committed_yet() -> None:
    job = make(State.RUNNING)
    register(job)
    sent, go_on = threading.Event(), threading.Event()

    def send() -> None:
        with transaction.atomic():
            assert send_signal(job, "paid") is False
            sent.set()
            assert go_on.wait(30)
        connections["default"].close()

    sender = threading.Thread(target=send)
    sender.start()
    assert sent.wait(30)
    settler = threading.Thread(target=lambda: (settle(job), connections["default"].close()))
    settler.start()
    wait_until(lambda: statements.on(connection).locked(connection, [str(job.pk)]), what="the row is locked")
    go_on.set()
    sender.join(30), settler.join(30)
    assert is_due(job)
