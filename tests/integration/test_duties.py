"""The duties of the leading dispatcher: one that fails is named, and bars no other."""

import datetime as dt
import time
import uuid
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from furrow import Job, workflow
from furrow.diagnosis import troubles
from furrow.dispatcher import dispatch
from furrow.dispatcher.expire import Expire
from furrow.dispatcher.process import Dispatcher
from furrow.errors import BrokerError
from furrow.locks import wakeup
from furrow.models import Node, Trouble
from furrow.states import State

from tests import kinds
from tests.rows import lead, make, state_of


def leading(monkeypatch: pytest.MonkeyPatch) -> Dispatcher:
    """A dispatcher that leads, and whose messages all arrive."""

    def publish(queue: str, jobs: list[tuple[uuid.UUID, str]], *more: Any) -> list[uuid.UUID]:
        return [id for id, _ in jobs]

    dispatcher = Dispatcher()
    dispatcher.leadership.term = lead(dispatcher.leadership.holder)
    monkeypatch.setattr(dispatcher._publisher, "publish", publish)
    monkeypatch.setattr(dispatcher._publisher, "holdings", lambda *args, **options: {})
    return dispatcher


def test_a_duty_that_fails_is_named_and_the_others_are_done(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    dispatcher = Dispatcher()
    assert dispatcher.leadership.hold()
    (first,) = (duty for duty in dispatcher._duties if isinstance(duty, Expire))

    def strange() -> int:
        raise AttributeError("nobody thought of this")

    with monkeypatch.context() as broken:
        broken.setattr(first, "run_once", strange)
        dispatcher._step()
    assert {type(duty).__name__ for duty in dispatcher._next} >= {"Expire", "Pauses", "SlotReaper", "Prune", "Roll", "Sweep"}
    troubles.flush(connection)
    assert Trouble.objects.get().text == "The duty expire of the dispatcher fails: AttributeError: nobody thought of this"
    dispatcher._next.clear()
    dispatcher._step()
    troubles.flush(connection)
    assert Trouble.objects.get().count == 1


def test_duties_that_need_no_broker_are_done_while_one_that_does_fails(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    make(State.QUEUED, queued_at=timezone.now() - dt.timedelta(minutes=1))
    dispatcher = Dispatcher()
    dispatcher.leadership.term = lead()

    def away(*args: Any, **options: Any) -> Any:
        raise BrokerError("away")

    monkeypatch.setattr(dispatcher._publisher, "holdings", away)
    monkeypatch.setattr(dispatcher._publisher, "publish", away)
    dispatcher._step()
    dispatcher._step()
    done = {type(duty).__name__ for duty in dispatcher._next}
    assert done >= {"Expire", "Pauses", "SlotReaper", "Prune", "Roll", "Sweep"}
    assert "Reconcile" not in done


def test_a_round_that_saw_all_that_is_due_waits_and_looks_no_second_time(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    dispatcher = leading(monkeypatch)
    job = make()
    assert dispatcher._step() > 0
    assert state_of(job) == State.QUEUED
    for _ in range(2):
        make()
    monkeypatch.setattr(dispatch, "BATCH", 2)
    monkeypatch.setattr(dispatch, "LARGEST_BATCH", 2)
    assert dispatcher._step() == 0, "there may be more"


def test_an_end_that_lets_nothing_go_is_counted_and_the_rest_of_the_round_left_out(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    dispatcher = leading(monkeypatch)
    assert dispatcher._step() > 0
    with workflow("w") as w:
        many = w.map(kinds.noop, [{}] * 2, name="many")
        after = w.add(kinds.noop, after=[many], name="after")
    first, second = Job.objects.filter(node=many.id).order_by("pk")
    dispatcher._waiter.for_moves = True
    for job, left, state in ((first, 1, State.WAITING), (second, 0, State.QUEUED)):
        Job.objects.filter(pk=job.pk).update(state=State.SUCCEEDED, finished_at=timezone.now())
        with CaptureQueriesContext(connection) as captured:
            assert dispatcher._round() > 0
        assert (Node.objects.get(pk=many.id).open, Job.objects.get(node=after.id).state) == (left, state)
        looked = [one["sql"] for one in captured.captured_queries if "draining" in one["sql"]]  # which queues are paused
        assert not looked
    assert dispatcher._idle_until > time.monotonic()


def test_a_wake_up_for_the_ends_of_jobs_is_told_from_others() -> None:
    waiter = wakeup.Waiter()
    waiter.wait(0)
    for sent, alone in (([wakeup.MOVES] * 2, True), ([wakeup.MOVES, b""], False), ([b"x", wakeup.MOVES], False)):
        assert all(wakeup.wake(why) for why in sent)
        assert waiter.wait(10)
        found = [waiter.for_moves]
        while waiter.wait(0.2):
            found.append(waiter.for_moves)
        assert (all(found), waiter.for_moves) == (alone, False)
    waiter.close()
