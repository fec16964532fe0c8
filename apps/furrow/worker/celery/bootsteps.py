"""How the job engine sits in a Celery worker: one step of the worker, one of its consumer."""

import json
import logging
import platform
import socket
import time
from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, assert_never

from celery import VERSION_BANNER as CELERY_VERSION
from celery import bootsteps
from django.db import connections

from furrow import middleware
from furrow.announcer import Announcer
from furrow.conf import conf
from furrow.diagnosis import troubles
from furrow.kinds.kind import all_kinds
from furrow.statements import Report, sessions
from furrow.worker import channel, stacks
from furrow.worker.celery import remote_control
from furrow.worker.celery.autoscaler import JobAutoscaler
from furrow.worker.celery.consumer import JobConsumer, watch_the_dying
from furrow.worker.celery.handling import Handling
from furrow.worker.celery.worker import refuse_what_cannot_run_jobs, runs_jobs, with_jobs
from furrow.worker.events import Events
from furrow.worker.failing import Watched
from furrow.worker.intake.intake import Intake
from furrow.worker.intake.partitions import Partitions
from furrow.worker.intake.requests import Requests, job_queues
from furrow.worker.intake.takeover import TakeOver
from furrow.worker.ledger.lease import RENEWALS, Lease
from furrow.worker.ledger.ledger import Ledger
from furrow.worker.ledger.thread import LedgerThread
from furrow.worker.news import HandedOver, Mail, News, Owned, Reply, Requested, StopRequested
from furrow.worker.older_celery import let_threads_wake
from furrow.worker.pool.forking import Forking
from furrow.worker.pool.process_stats import ProcessStats
from furrow.worker.pool.shutdown import leave, see_out, shutdown_requested
from furrow.worker.pool.supervisor import PoolSupervisor

logger = logging.getLogger(__name__)

#: Seconds between two looks at timeouts, the lease and what got lost.
TICK = 0.25


class JobWorker(bootsteps.StartStopStep):
    """Builds the engine's parts before the pool forks, starts the ledger after it, and ends them in order."""

    requires = ("celery.worker.components:Hub", "celery.worker.components:Pool")

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        super().__init__(worker, **kwargs)
        self.worker = worker
        if self.include_if(worker):
            refuse_what_cannot_run_jobs(worker)
            consumer, autoscaler = "celery.worker.consumer:Consumer", "celery.worker.autoscale:Autoscaler"
            worker.consumer_cls = with_jobs("worker_consumer", worker.consumer_cls, consumer, JobConsumer)
            if worker.autoscale:
                worker.autoscaler_cls = with_jobs("worker_autoscaler", worker.autoscaler_cls, autoscaler, JobAutoscaler)
            worker.jobs = self

    def include_if(self, worker: Any) -> bool:
        """A worker that consumes no job queue is Celery's own."""
        return runs_jobs(worker)

    def create(self, worker: Any) -> None:
        """Before the pool processes are forked."""
        middleware.chains()  # refused here, and not in every pool process
        troubles.watch_threads()
        let_threads_wake(worker.hub)
        remote_control.install()
        channel.open_channels()
        stacks.open_file()
        connections.close_all()
        self.announcer = Announcer()
        self.announcer.start()
        lease = Lease(worker.hostname, lambda: self._describe(worker), self._report)
        sessions.give_name(lease.session)
        self.mail = Mail(worker.hub, self._receive)
        self.ledger = Ledger(lease, self._on_settle if conf().partitioned else None)
        self.events = Events(worker.hostname, lambda: getattr(worker.consumer, "event_dispatcher", None))
        self.supervisor = PoolSupervisor(worker, self.ledger, self.events, self._on_room)
        self.intake = Intake(worker.hub, self.supervisor)
        self.handling = Handling(worker, self.intake.dead, self.intake.others)
        self.partitions = Partitions(self.supervisor)
        self.take_over = TakeOver(worker, self.supervisor, self.intake)
        self.requests = Requests(worker, self.supervisor, self.intake)
        self.ledger_thread = LedgerThread(self.ledger, self.mail.post, self.supervisor.running, self.take_over)
        pool = worker.pool
        self.stats = ProcessStats(conf().worker_lease / RENEWALS, lambda: _pids(pool), self._runs)

    def _on_room(self) -> None:
        self.partitions.pump()
        self.intake.pump()
        self.take_over.look()

    def _on_settle(self, id: str) -> None:
        self.partitions.on_settle(id)

    def _receive(self, news: News) -> None:
        if isinstance(news, Reply):  # first, and no case: most news are replies, and a pattern takes them apart slowly
            news.callback(*news.answer)
            return
        match news:
            case Owned(ids):
                self.supervisor.orphans.compare(ids)
            case HandedOver(jobs):
                self.take_over.take(jobs)
            case StopRequested(ids):
                self.supervisor.stop_requested(ids)
            case Requested(requests):
                self.requests.take(requests)
            case _:
                assert_never(news)

    def start(self, worker: Any) -> None:
        """After they are."""
        Forking(worker.pool._pool)
        self.stats.start()
        self.ledger_thread.start()
        self.supervisor.locks.start()

    def stop(self, worker: Any) -> None:
        """Warm: running jobs get their grace. The consumer has stopped, the pool has not."""
        self._end(conf().shutdown_grace)

    def terminate(self, worker: Any) -> None:
        """Cold: running jobs are interrupted at once and handed back."""
        self._end(0.0)

    def _end(self, grace: float) -> None:
        deadline = time.monotonic() + 5
        under_way = (self.intake, self.partitions, self.take_over)
        for one in under_way:
            one.close()
        while any(one.claiming for one in under_way) and self.ledger_thread.is_alive() and time.monotonic() < deadline:
            self.mail.deliver()
            self.ledger_thread.join(0.02)
        self.mail.deliver()
        self._listen()
        leave(self.supervisor, self.worker, grace)
        self.supervisor.locks.stop()
        if not self.ledger_thread.stop(timeout=5):
            logger.error("The database is away: the ends of some runs could not be recorded; these jobs will run again.")
        self.announcer.stop()
        see_out(_pids(self.worker.pool))

    def _listen(self) -> None:
        """Have the hub watch the pool processes. Celery ends that when the broker is lost, until the next connection: now there
        is none."""
        pool, hub = self.worker.pool, self.worker.hub
        if pool._pool is not None and channel.reports.fileno() not in hub.readers:
            watch_the_dying(pool._pool)
            pool.register_with_event_loop(hub)
            hub.add_reader(channel.reports, self.supervisor.read_reports)

    def watch_processes(self) -> None:
        """Be told of every pool process that ends. Celery sets its own hook anew at every reconnect; this wraps it."""
        pool = self.worker.pool._pool
        inner = pool.on_process_down

        def on_process_down(process: Any) -> None:
            inner(process)
            if not self.supervisor.killed:  # in a signal's handler, then: see shutdown.py
                Watched(self.supervisor.on_process_gone, "settling of a pool process's end")(process.pid, process.exitcode)

        pool.on_process_down = on_process_down

    def _describe(self, worker: Any) -> dict[str, Any]:
        return {
            "host": socket.gethostname(),
            "version": _release(),
            "code_version": conf().version,
            "queues": job_queues(worker),
            "kinds": [kind.name for kind in all_kinds()],
        }

    def _report(self) -> Report:
        supervisor, stats = self.supervisor, {**self.stats.latest, "waiting": self.intake.waiting}
        with troubles.watched("report of a worker"):
            if locked := self.ledger.put_off.ends:
                stats["locked"] = locked
            if conf().partitioned:
                stats["lines"] = self.partitions.standing()
        return Report(
            json.dumps(stats),
            json.dumps(sorted(supervisor.paused)),
            supervisor.ended,
            supervisor.failed,
            supervisor.capacity.processes,
        )

    def _runs(self) -> dict[int, tuple[str, str, float]]:
        running = self.supervisor.running.copy()  # at once: another thread changes it
        return {pid: (run.job.id, run.job.kind, run.began) for pid, run in running.items()}


def _pids(pool: Any) -> list[int]:
    """The pool processes; none when the pool has ended."""
    return [child.pid for child in pool._pool._pool] if pool._pool is not None else []


@cache
def _release() -> str:
    """Of Furrow, Celery and Python; read once, at the start: later there may be no descriptor for it."""
    try:
        own = version("furrow-jobs")
    except PackageNotFoundError:  # run from its folder, not installed
        own = "not installed"
    return f"{own}, Celery {CELERY_VERSION.split()[0]}, Python {platform.python_version()}"


class JobReports(bootsteps.StartStopStep):
    """Registers the reports channel and the ticks with the event loop, again at every reconnect."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        self._timers: list[Any] = []

    def include_if(self, consumer: Any) -> bool:
        """Of a worker that runs jobs."""
        return runs_jobs(consumer.controller)

    def stop(self, consumer: Any) -> None:
        """At every reconnect, and at the end: then before running jobs get their grace."""
        if shutdown_requested():
            jobs: JobWorker = consumer.controller.jobs
            jobs.partitions.leave()

    def register_with_event_loop(self, consumer: Any, hub: Any) -> None:
        """Celery calls it when the loop starts."""
        for timer in self._timers:  # of the connection before: Celery leaves them there before 5.7
            timer.cancel()
        self._timers.clear()

        def every(seconds: float, function: Callable[..., Any], *arguments: Any) -> None:
            self._timers.append(hub.call_repeatedly(seconds, function, *arguments))

        jobs: JobWorker = consumer.controller.jobs
        jobs.watch_processes()
        hub.add_reader(channel.reports, Watched(jobs.supervisor.read_reports, "reading of reports"))
        every(TICK, Watched(jobs.supervisor.tick, "tick of a worker"))
        look = Watched(jobs.intake.look, "worker's choice of queues")
        hub.call_soon(look, consumer)
        every(TICK, look, consumer)
        every(1.0, Watched(jobs.intake.pump, "claims of a worker"))
        every(1.0, Watched(consumer.refused.look_again, "worker's look for refused queues"), consumer.connection)
        if consumer.controller.autoscaler is not None:
            every(1.0, Watched(consumer.controller.autoscaler.maybe_scale, "autoscaler of a worker"))
        if conf().partitioned:
            look = Watched(jobs.partitions.look, "worker's look at its partitions")
            hub.call_soon(look, consumer)
            every(TICK, look, consumer)
