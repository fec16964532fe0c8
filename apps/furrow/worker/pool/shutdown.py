"""The end of a worker: Celery's loop has ended, and what still runs is listened to from here."""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import amqp
import psutil
from celery.worker import state as celery_state

from furrow.diagnosis import troubles
from furrow.states import Outcome
from furrow.worker import offspring
from furrow.worker.pool.supervisor import PoolSupervisor

logger = logging.getLogger(__name__)

#: Seconds for which the hub sleeps at most while nothing happens: by itself up to ten, whatever the time that is left.
TICK = 0.25
#: Seconds that pool processes get to end once they are killed, or once nothing runs in them.
LINGER = 5.0
#: Why a job goes back.
STOPPED = "the worker stopped before it began"


def shutdown_requested() -> bool:
    """The worker has been told to end, warm or cold."""
    return celery_state.should_stop is not None or celery_state.should_terminate is not None


def cold_shutdown_requested() -> bool:
    """The worker has been told to end at once."""
    return celery_state.should_terminate is not None


def leave(supervisor: PoolSupervisor, worker: Any, grace: float) -> None:
    """Hand back what has not begun, wait up to ``grace`` seconds for what has, and interrupt the rest; at once when a cold
    shutdown is requested meanwhile.

    The pool takes nothing new by now; the hub is driven from here until all is told.
    """
    supervisor.assigned.close()
    supervisor.read()
    supervisor.return_unbegun(STOPPED)
    _serve(supervisor, worker, grace, cold_shutdown_requested)
    supervisor.read()
    for running in list(supervisor.running.values()):
        running.kill(running.kill_reason or Outcome.INTERRUPTED)
    _serve(supervisor, worker, LINGER, lambda: False)
    if supervisor.killed:
        for pid in list(supervisor.running):
            supervisor.on_process_gone(pid, None)
    for job in supervisor.assigned.give_up():
        supervisor.hand_back(job, STOPPED)


def kill_all(supervisor: PoolSupervisor, pool: Any) -> None:
    """Kill all pool processes, and settle nothing: a signal's handler calls this, in the middle of anything."""
    supervisor.give_up_pool()
    for process in list(pool._pool._pool) if pool._pool is not None else ():
        with suppress(ProcessLookupError):
            offspring.kill(process.pid)


def _serve(supervisor: PoolSupervisor, worker: Any, seconds: float, enough: Callable[[], bool]) -> None:
    """Drive the hub, for reports and for the pool's own results, until nothing runs, the time is over, all processes are
    killed, or it is ``enough``.

    A signal's handler may raise in here: Celery's talks to RabbitMQ over a connection that is just being used or closed, and
    may fail before it comes to :func:`kill_all`. What it asked for is known by then.
    """
    deadline = time.monotonic() + seconds
    loop, ticking = worker.hub.create_loop(), worker.hub.call_repeatedly(TICK, int)
    while (supervisor.running or supervisor.assigned.busy) and time.monotonic() < deadline:
        if supervisor.killed or enough():
            break
        try:
            _look_for_deaths(supervisor, worker.pool._pool)
            next(loop)
        except Exception as error:
            if not isinstance(error, (OSError, amqp.AMQPError)):  # RabbitMQ is away
                troubles.failed("shutdown of the worker", error)
            loop = worker.hub.create_loop()
            supervisor.read()
    ticking.cancel()


def see_out(pids: Iterable[int]) -> None:
    """From now on, in a thread: kill pool processes that do not end though nothing runs in them, stuck in what is done at the
    start or the end of a process, say. Celery would wait for them for ever. For its own tasks it still does."""
    processes = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            processes.append(psutil.Process(pid))
    threading.Thread(target=_see_out, args=(processes,), name="furrow-leaving", daemon=True).start()


def _see_out(processes: list[psutil.Process]) -> None:
    deadline = time.monotonic() + LINGER
    while time.monotonic() < deadline:
        time.sleep(TICK)  # waiting for the processes would reap them: that is for Celery to do
        # Tasks of Celery's own, until they have ended. Before Celery 5.7 the shutdown empties the first of these sets.
        if (celery_state.reserved_requests or celery_state.active_requests) and not cold_shutdown_requested():
            deadline = time.monotonic() + LINGER
    for process in processes:
        with suppress(psutil.NoSuchProcess, ProcessLookupError):  # a process that has the pid of another by now counts as none
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                logger.error("Pool process %d runs nothing and does not end: it is killed.", process.pid)
                offspring.kill(process.pid)


def _look_for_deaths(supervisor: PoolSupervisor, pool: Any) -> None:
    """A closed pool tells nobody that a process ended."""
    exitcodes = {process.pid: process.exitcode for process in pool._pool}
    for pid in supervisor.assigned.draining | set(supervisor.running):
        if pid not in exitcodes or exitcodes[pid] is not None:
            supervisor.on_process_gone(pid, exitcodes.get(pid))
