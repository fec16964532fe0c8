"""What nobody thought of is told: counted in a table, shown on the first page and in the metrics until it is over, and not
taken for work by ``manage.py furrow health``."""

import datetime as dt
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery.worker import state as celery_state
from django.core.management import CommandError
from django.db import DatabaseError, connection
from django.test import Client
from django.utils import timezone
from furrow import statements
from furrow.diagnosis import troubles
from furrow.dispatcher import process
from furrow.dispatcher.leader import Leadership
from furrow.dispatcher.process import Dispatcher
from furrow.dispatcher.prune import Prune
from furrow.models import Leader, Trouble
from furrow.monitoring import health
from furrow.monitoring.troubles import of_leader, of_noted
from furrow.worker.failing import Watched
from furrow.worker.ledger.lease import Lease
from furrow.worker.ledger.ledger import Ledger
from furrow.worker.ledger.thread import LedgerThread

from tests.pages import page
from tests.rows import HOUR, everything_runs

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore:No directory at")]


@pytest.fixture(autouse=True)
def _nothing_noted() -> Iterator[None]:
    troubles._forget()
    yield
    troubles._forget()


def bug(*arguments: Any) -> Any:
    """Fails as nobody expects."""
    raise LookupError("no such thing")


# --- The table ----------------------------------------------------------------------------------------------------------------


def test_troubles_are_counted_by_name_and_begin_anew_after_a_pause() -> None:
    troubles.note("one", "It does not work.", "Mend it.")
    troubles.note("one", "It still does not work")
    troubles.note("two", "Nor this \0 \ud800")
    troubles.flush(connection)
    troubles.note("one", "Nor now")
    troubles.flush(connection)
    assert list(Trouble.objects.order_by("name").values_list("name", "text", "remedy", "count")) == [
        ("one", "Nor now", "", 3),
        ("two", "Nor this \ufffd ?", "", 1),
    ]
    Trouble.objects.update(last_at=timezone.now() - HOUR)
    assert not troubles.current().exists(), "it is over"
    troubles.note("one", "Again")
    troubles.flush(connection)
    trouble = troubles.current().get()
    assert (trouble.text, trouble.count) == ("Again", 1)
    assert trouble.since == trouble.last_at


def test_what_could_not_be_written_is_written_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*arguments: Any) -> None:
        troubles.note("one", "a second")
        raise DatabaseError

    troubles.note("one", "a first")
    with monkeypatch.context() as patch:
        patch.setattr(statements.on(connection), "tell", away)
        with pytest.raises(DatabaseError):
            troubles.flush(connection)
    troubles.flush(connection)
    assert Trouble.objects.get().count == 2


def test_a_flood_is_bounded_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    for number in range(1_000):
        troubles.note(f"name {number}", "x" * 10_000)
        troubles.failed("same", ValueError())
    troubles.flush(connection)
    assert Trouble.objects.count() == troubles.MOST
    assert len(caplog.records) == 1


def test_an_exception_that_cannot_be_told_is_told() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    troubles.failed("thing", Mute())
    troubles.flush(connection)
    assert Trouble.objects.get().text == "The thing fails: Mute: it cannot be told"


def test_old_ones_are_pruned() -> None:
    troubles.note("one", "old")
    troubles.flush(connection)
    Trouble.objects.update(last_at=timezone.now() - dt.timedelta(days=2))
    Prune().run_once()
    assert not Trouble.objects.exists()


class Duty:
    """One of the dispatcher's."""

    interval = 0.0

    def __init__(self, run_once: Callable[[], int]) -> None:
        self.run_once = run_once


# --- Who tells ----------------------------------------------------------------------------------------------------------------


def test_a_thread_that_dies_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda died: None)
    troubles.watch_threads()
    thread = threading.Thread(target=bug, name="furrow-some")
    thread.start()
    thread.join()
    troubles.flush(connection)
    assert Trouble.objects.get().text == "The thread furrow-some fails: LookupError: no such thing"


def test_a_step_of_the_dispatchers_round_that_fails_is_told_and_the_others_go_on() -> None:
    dispatcher = Dispatcher()
    done: list[str] = []
    dispatcher._duties = [Duty(bug), Duty(lambda: done.append("next") or 0)]
    dispatcher._do_duties()
    assert done == ["next"]
    troubles.flush(connection)
    assert Trouble.objects.get().name == "duty duty of the dispatcher"


def test_a_dispatcher_whose_rounds_fail_ends_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "RETRY", 0.0)
    monkeypatch.setattr(connection, "close", lambda: None)
    dispatcher = Dispatcher()
    monkeypatch.setattr(dispatcher, "_step", bug)
    with pytest.raises(LookupError):
        dispatcher.run()
    assert dispatcher._failed > process.FAILED
    leader = Leader.objects.get()
    assert leader.progressed_at is None
    with pytest.raises(CommandError, match="has not completed a round yet: see its log"):
        health.dispatcher()


@pytest.mark.django_db(transaction=True)
def test_a_ledger_that_fails_is_told_and_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(celery_state, "should_stop", None)
    nobody: Any = None
    ledger = LedgerThread(Ledger(Lease("w@here", bug)), lambda news: None, (), hands_over=nobody)
    ledger.start()
    ledger.join(10)
    assert not ledger.is_alive()
    assert celery_state.should_stop == 1, "the exit code"
    assert Trouble.objects.get().text == "The ledger of a worker fails: LookupError: no such thing"


def test_what_the_workers_loop_calls_may_fail_but_not_for_ever(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.setattr(celery_state, "should_stop", None)
    fails = True
    watched = Watched(lambda: bug() if fails else None, "tick of a worker")
    watched()
    watched._fails_since -= 1_000
    fails = False
    watched()
    fails = True
    watched()
    assert celery_state.should_stop is None, "it has worked meanwhile"
    watched._fails_since -= 1_000
    watched()
    assert celery_state.should_stop == 1
    with pytest.raises(ConnectionError):
        Watched(lambda: (_ for _ in ()).throw(ConnectionError()), "x")()


# --- Who shows it -------------------------------------------------------------------------------------------------------------


def test_the_first_page_and_the_metrics_show_it_until_it_is_over(admin_client: Client) -> None:
    everything_runs()
    assert "duty prune" not in page(admin_client)
    for _ in range(3):
        troubles.failed("duty prune of the dispatcher", LookupError("a <b>"))
    troubles.flush(connection)
    text = page(admin_client)
    assert "The duty prune of the dispatcher fails: LookupError: a &lt;b&gt;; 3 times, the last " in text
    assert "The log has the traceback." in text
    assert 'furrow_trouble{what="duty prune of the dispatcher"} 3.0' in admin_client.get("/metrics").content.decode()
    Trouble.objects.update(last_at=timezone.now() - HOUR)
    assert "duty prune" not in page(admin_client)


def test_one_that_occurred_once() -> None:
    (shown,) = of_noted([Trouble(name="x", text="It fails", count=1, last_at=timezone.now())])
    assert shown.text == "It fails; once,"


def test_health_does_not_go_by_the_lease_alone() -> None:
    leadership = Leadership()
    assert leadership.hold()
    with pytest.raises(CommandError, match="leads, but has not completed a round yet"):
        health.dispatcher()
    (trouble,) = of_leader(Leader.objects.get(), timezone.now())
    assert trouble.text == "The dispatcher leads, but its rounds do not complete: due jobs wait in the database."
    leadership.progressed()
    assert "leads (term 1)" in health.dispatcher()
    Leader.objects.update(progressed_at=timezone.now() - HOUR)
    with pytest.raises(CommandError, match="has not completed a round since"):
        health.dispatcher()
    leadership.progressed()
    leadership.doubt()
    leadership.hold()
    assert "leads (term 1)" in health.dispatcher()
    troubles.failed("dispatch of queue mail of the dispatcher", LookupError("no"))
    troubles.flush(connection)
    with pytest.raises(CommandError, match="The dispatch of queue mail of the dispatcher fails: LookupError: no"):
        health.dispatcher()


def test_the_log_says_it_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR), troubles.watched("thing"):
        bug()
    assert "The thing failed." in caplog.text
    assert "LookupError: no such thing" in caplog.text
