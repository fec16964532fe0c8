"""What the engine does itself because Celery before 5.7 does not."""

import errno
import importlib
import socket
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker import state as celery_state
from django.core.exceptions import ImproperlyConfigured
from furrow.worker import channel, older_celery
from furrow.worker.celery.bootsteps import JobReports
from furrow.worker.celery.worker import refuse_what_cannot_run_jobs
from furrow.worker.older_celery import let_threads_wake, tasks_may_be_unsettled
from furrow.worker.pool.shutdown import cold_shutdown_requested
from kombu.asynchronous import Hub


def test_a_call_from_another_thread_ends_the_event_loops_wait() -> None:
    hub, called = Hub(), threading.Event()
    let_threads_wake(hub)
    hub.reset()  # as at a lost connection
    quiet, silent = socket.socketpair()
    hub.add_reader(quiet, int)
    due: list[bool] = []
    hub.call_later(1.5, due.append, True)  # what the loop would wait for otherwise
    loop = hub.create_loop()
    thread = threading.Timer(0.1, hub.call_soon, [called.set])
    thread.start()
    while not called.is_set():
        next(loop)
    thread.join()
    assert not due
    hub.close()
    quiet.close()
    silent.close()


def test_a_celery_that_counts_no_scheduled_tasks_may_hold_some(monkeypatch: pytest.MonkeyPatch) -> None:
    if hasattr(celery_state, "scheduled_requests"):
        assert not tasks_may_be_unsettled()
    monkeypatch.delattr(celery_state, "scheduled_requests", raising=False)
    importlib.reload(older_celery)
    try:
        assert older_celery.tasks_may_be_unsettled(), "one acknowledgement for all would settle those as well"
    finally:
        monkeypatch.undo()
        importlib.reload(older_celery)


def test_a_new_connection_leaves_no_timers_of_the_one_before() -> None:
    channel.open_channels()
    hub, nothing = Hub(), SimpleNamespace(look=int, pump=int, tick=int, read_reports=int, look_again=int)
    jobs = SimpleNamespace(watch_processes=int, supervisor=nothing, intake=nothing, partitions=nothing)
    consumer: Any = SimpleNamespace(controller=SimpleNamespace(jobs=jobs, autoscaler=None), refused=nothing, connection=None)
    step = JobReports.__new__(JobReports)
    step._timers = []
    counts = []
    for _ in range(3):
        step.register_with_event_loop(consumer, hub)
        counts.append(sum(not timer.entry.canceled for timer in hub.timer.queue))
        hub.reset()
    assert counts[0] == counts[1] == counts[2] > 0
    hub.close()


@pytest.mark.parametrize(("release", "noted"), [((5, 6, 3, "", ""), True), ((5, 7, 0, "", ""), False)])
def test_a_cold_shutdown_is_known_before_celerys_handler_may_fail(
    monkeypatch: pytest.MonkeyPatch, release: tuple[Any, ...], noted: bool
) -> None:
    monkeypatch.setattr(older_celery, "VERSION", release)
    monkeypatch.setattr(celery_state, "should_terminate", None)
    older_celery.note_cold_shutdown()
    assert cold_shutdown_requested() == noted


@pytest.mark.parametrize("number", [errno.EPROTONOSUPPORT, errno.EOPNOTSUPP])
def test_a_system_without_packet_sockets_is_told_why_and_what_to_do(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def socketpair(*args: Any) -> Any:
        raise OSError(number, "not supported")

    monkeypatch.setattr(socket, "socketpair", socketpair)
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    with pytest.raises(ImproperlyConfigured, match=r"SOCK_SEQPACKET.*Darwin lacks: run the worker in a Linux container"):
        refuse_what_cannot_run_jobs(SimpleNamespace())


def test_a_shortage_of_descriptors_is_no_missing_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    def socketpair(*args: Any) -> Any:
        raise OSError(errno.EMFILE, "too many")

    monkeypatch.setattr(socket, "socketpair", socketpair)
    assert channel.is_possible()
