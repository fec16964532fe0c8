"""Why a job waits, in words."""

import datetime as dt
import uuid
from typing import Any

import pytest
from django.utils import timezone
from furrow import Attempt, Job, State
from furrow.diagnosis.explain import Situation, situation, why
from furrow.models import Leader, Queue, Worker

NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(minutes=5)
AWAY = "RabbitMQ is away: refused"
PAUSED = Queue(name="mail", paused_at=NOW, paused_by="ann", reason="the printer")


def job(state: State, **columns: Any) -> Job:
    return Job(kind="a.kind", state=state, **{"run_at": NOW, "queued_at": NOW, "started_at": NOW, **columns})


@pytest.mark.parametrize(
    ("row", "around", "words", "stuck"),
    [
        (job(State.WAITING), Situation(), "Waits for other jobs", False),
        (job(State.PENDING, run_at=LATER), Situation(), "Scheduled: due", False),
        (job(State.PENDING, run_at=LATER, attempt=2), Situation(last_outcome="failed"), "Attempt 2 failed; tries again", False),
        (job(State.PENDING, run_at=LATER, attempt=2), Situation(last_outcome="snoozed"), "Snoozed by its handler", False),
        (
            job(State.PENDING, run_at=LATER, attempt=2),
            Situation(last_outcome="interrupted"),
            "Handed back when its worker shut down",
            False,
        ),
        (job(State.PENDING), Situation(), "The dispatcher sends it next", False),
        (job(State.PENDING), Situation(dispatcher_leads=False), "no dispatcher is running", True),
        (job(State.PENDING), Situation(dispatcher_trouble="no RabbitMQ"), "has trouble: no RabbitMQ", True),
        (job(State.PENDING), Situation(consumers=0, knowing=0), "No running worker consumes queue “default”", True),
        (job(State.QUEUED), Situation(consumers=0, knowing=0), "No running worker consumes queue “default”", True),
        (job(State.QUEUED), Situation(knowing=0), "knows the kind a.kind", True),
        (job(State.QUEUED), Situation(consumers=0, asked_not=2), "Every running worker of queue “default” has paused it", True),
        (
            job(State.QUEUED),
            Situation(dispatcher_trouble=AWAY),
            "not delivered: RabbitMQ is away: refused; since",
            True,
        ),
        (job(State.PENDING), Situation(dispatcher_trouble=AWAY), "has trouble: RabbitMQ is away: refused; since", True),
        (job(State.PENDING), Situation(ahead=1_000), "(at least 1,000 of its queue go before it)", False),
        (job(State.QUEUED), Situation(ahead=7), "(7 were sent before it)", False),
        (job(State.PENDING), Situation(paused=PAUSED), "Its queue “mail” was paused by ann (the printer)", True),
        (job(State.QUEUED), Situation(paused=PAUSED), "Its queue “mail” was paused by ann (the printer)", True),
        (job(State.QUEUED), Situation(), "In RabbitMQ", False),
        (job(State.RUNNING), Situation(), "Began", False),
        (job(State.RUNNING), Situation(worker_lives=False), "worker is lost", False),
        (job(State.RUNNING, cancel_requested_at=NOW), Situation(), "Cancel requested", False),
    ],
)
def test_reasons(row: Job, around: Situation, words: str, stuck: bool) -> None:
    reason = why(row, around, NOW)
    assert reason is not None
    assert words in reason.text
    assert reason.stuck == stuck


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.CANCELLED])
def test_a_job_that_ended_waits_for_nothing(state: State) -> None:
    assert why(job(state), Situation(), NOW) is None


@pytest.mark.django_db
def test_the_situation_is_read_from_the_tables() -> None:
    now = timezone.now()
    soon, before = now + dt.timedelta(minutes=1), now - dt.timedelta(minutes=1)
    row = Job.objects.create(kind="a.kind", queue="mail", worker=uuid.uuid4())
    assert situation(row, now) == Situation(
        dispatcher_leads=False, consumers=0, knowing=0, worker_lives=False, dispatcher_trouble="", last_outcome=""
    )
    Leader.objects.create(role="dispatcher", holder="x", lease_until=soon, trouble="t")
    for kinds, lease, stopped, paused in (
        (["a.kind"], soon, None, []),
        (["b"], soon, None, []),
        (["a.kind"], soon, None, ["mail"]),
        (["a.kind"], before, None, []),
        ([], soon, before, []),
    ):
        one = Worker(node="w", pid=1, processes=1, queues=["mail"], kinds=kinds, lease_until=lease, stopped_at=stopped)
        one.paused = paused
        one.save()
    Attempt.objects.create(job=row, number=1, outcome="lost", started_at=now, finished_at=now)
    assert situation(row, now) == Situation(
        dispatcher_trouble="t", consumers=2, knowing=1, asked_not=1, worker_lives=False, last_outcome="lost"
    )
