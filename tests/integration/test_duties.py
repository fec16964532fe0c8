"""The duties of the leading dispatcher: one that fails is named, and bars no other."""

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from furrow.diagnosis import troubles
from furrow.dispatcher.expire import Expire
from furrow.dispatcher.process import Dispatcher
from furrow.errors import BrokerError
from furrow.models import Trouble
from furrow.states import State

from tests.rows import lead, make


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
