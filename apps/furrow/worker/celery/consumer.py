"""Celery's consumer with eight changes: job messages take a short way, buffered ones are dropped with their channel,
running jobs are looked after while the broker is away, also before the connection is whole, a message that Celery would drop is
kept, nothing that is sent to the worker's remote control ends it, a queue that RabbitMQ refuses does not keep it from
others, and tasks that wait for their time do not keep it from others either."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from celery.worker.consumer import Consumer
from celery.worker.consumer.control import Control
from celery.worker.consumer.delayed_delivery import DelayedDelivery
from celery.worker.consumer.tasks import Tasks
from django.db import Error

from furrow.rabbitmq.queues import EXCHANGE
from furrow.worker.celery import consumed, mailbox
from furrow.worker.celery.handling import wrong_limits
from furrow.worker.failing import Watched
from furrow.worker.intake import readable
from furrow.worker.intake.readable import UNREADABLE
from furrow.worker.intake.transport import signal_safe
from furrow.worker.ledger.dead import DeadMessages, Kept
from furrow.worker.pool.shutdown import kill_all, shutdown_requested

if TYPE_CHECKING:
    from furrow.worker.celery.bootsteps import JobWorker

logger = logging.getLogger(__name__)

#: Seconds between tries to reach the broker: the first wait, what each adds, the longest. With Celery's own (2, 2, 30) a broker
#: that was away for ten seconds would be missed for up to twenty.
RETRY = (0.5, 0.5, 5.0)


class AtOnce(DelayedDelivery):
    """Celery's delayed delivery; a broker that goes away meanwhile is a lost connection like any other. Celery sleeps and tries
    again, so long that a worker whose event loop must not hang loses its lease, and then goes on without."""

    def start(self, c: Any) -> None:
        """At every connection. Raises the connection's error."""
        self._validate_configuration(c.app)
        for url in self._validate_broker_urls(c.app.conf.broker_url):
            try:
                self._setup_delayed_delivery(c, url)
            except c.connection_errors:
                raise
            except Exception as error:
                logger.warning("Tasks with a delay cannot be sent to some queue: %s: %s", type(error).__name__, error)


class JobConsumer(Consumer):
    """The consumer of a worker that runs jobs."""

    class Blueprint(Consumer.Blueprint):
        """Its steps."""

        default_steps = (
            *(step for step in Consumer.Blueprint.default_steps if not step.endswith(":DelayedDelivery")),
            AtOnce,
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        readable.install()
        consumed.install()
        self.refused = consumed.Refused(self.hostname, self.app.amqp.queues)
        #: For what comes over other channels than that of the tasks.
        self.dead_elsewhere = DeadMessages(self.jobs.ledger.keep, self.hostname, set())
        for step in self.steps:
            if isinstance(step, Control):
                mailbox.guard(step.box, self.dead_elsewhere)
            if isinstance(step, Tasks):
                step.qos_global = lambda consumer: False  # quorum queues, which the job queues are, take no other
                step.start = _with_room(step.start)

    @property
    def jobs(self) -> JobWorker:
        """The parts of the engine."""
        parts: JobWorker = self.controller.jobs
        return parts

    def connection_for_read(self, heartbeat: Any = None) -> Any:
        """For messages. A queue that RabbitMQ refuses is left out from here on."""
        connection = signal_safe(self.app.connection_for_read(heartbeat=heartbeat))
        self.refused.leave_out(self.ensure_connected(connection))
        return connection

    def connection_for_write(self, url: Any = None, heartbeat: Any = None) -> Any:
        """For events: fire and forget. Waiting for a confirm of each would hold up the event loop."""
        connection = signal_safe(self.app.connection_for_write(url=url, heartbeat=heartbeat))
        connection.transport_options = {**connection.transport_options, "confirm_publish": False}
        return self.ensure_connected(connection)

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, for as long as it takes; meanwhile serve the pool processes, since no event loop does."""
        jobs, connect = self.jobs, conn.ensure_connection

        def connect_and_serve(errback: Any, max_retries: Any, callback: Any = None) -> Any:
            def meanwhile() -> None:
                if callback is not None:
                    callback()
                jobs.mail.deliver()
                jobs.supervisor.tick()

            return connect(errback, max_retries, *RETRY, callback=meanwhile)

        conn.ensure_connection = connect_and_serve
        return super().ensure_connected(conn)

    def on_connection_error_after_connected(self, exc: BaseException) -> None:
        """Or the end of a channel, perhaps by a queue that may not be consumed."""
        self.refused.doubt(exc)
        super().on_connection_error_after_connected(exc)

    def cancel_active_requests(self) -> None:
        """A cold shutdown: asked for by the signal's handler, which then waits for the pool. So all processes are killed here;
        what becomes of their jobs is settled when the worker's steps end: the handler may have interrupted anything."""
        try:
            super().cancel_active_requests()
        finally:
            kill_all(self.jobs.supervisor, self.pool)

    def cancel_all_unacked_requests(self) -> None:
        """The same, by the name that it has in Celery 5.5."""
        try:
            super().cancel_all_unacked_requests()
        finally:
            kill_all(self.controller.jobs.supervisor, self.pool)

    def on_close(self) -> None:
        """The connection is gone. Celery flushes the pool."""
        super().on_close()
        self.jobs.intake.drop()
        self.jobs.partitions.drop()
        self.jobs.supervisor.assigned.pool_forgot()

    def loop_args(self) -> Any:
        """Asked for right before the event loop begins, at every connection."""
        watch_the_dying(self.pool._pool)
        return super().loop_args()

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """Neither a job nor a task."""
        super().on_unknown_message(body, self._kept(message, "It is neither a job nor a Celery task."))

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """A task that this worker has not; whoever waits for its result is told by Celery."""
        kept = self._kept(message, f"There is no task {exc}: its module is not imported by this worker.")
        try:
            super().on_unknown_task(body, kept, exc)
        except Error as error:
            logger.warning("The failure of an unknown task was not recorded: the database is away (%s).", str(error).strip())

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """A task's message that lacks something."""
        super().on_invalid_task(body, self._kept(message, f"It is no valid task: {exc}"), exc)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """A body that cannot be read."""
        super().on_decode_error(self._kept(message, f"It cannot be decoded: {type(exc).__name__}: {exc}"), exc)

    def _kept(self, message: Any, reason: str) -> Any:
        of_a_task = self.task_consumer is not None and message.channel is self.task_consumer.channel
        return Kept(message, self.jobs.intake.dead if of_a_task else self.dead_elsewhere, reason)

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Any:
        """What comes over the jobs' exchange goes to the intake, also when its kind is unknown here (of an older or newer
        release): the claim makes it ours, and the pool process hands it back with the reason."""
        jobs = self.jobs
        intake, handling = jobs.intake, jobs.handling
        ordinary = super().create_task_handler(*args, **kwargs)
        self.connection.transport.accept = intake.accept

        def handle(message: Any) -> None:
            if wrong := message.properties.get(UNREADABLE) or wrong_limits(message.headers.get("timelimit")):
                intake.dead.keep(message, f"It cannot be read: {wrong}")
            elif message.delivery_info["exchange"] == EXCHANGE.name:
                intake.accept_message(message)
            else:
                ordinary(message)

        return handling.over(handle)


def _with_room(start: Callable[[Any], None]) -> Callable[[Any], None]:
    """Celery takes one message more for each task that it holds until its time has come, by the limit of the whole channel. The
    limit of each consumer holds for consumers that begin later: so the project's queues are consumed anew."""

    def start_with_room(consumer: JobConsumer) -> None:
        start(consumer)
        qos, begun, asked = consumer.qos, consumer.qos.value, False
        increment = qos.increment_eventually

        def increment_eventually(n: int = 1) -> int:
            nonlocal asked
            before, after = qos.value, int(increment(n))
            if after > before and not asked:
                asked = True
                consumer.hub.call_soon(Watched(renew, "room for tasks of a worker"))
            return after

        def renew() -> None:
            nonlocal asked
            asked = False
            if consumer.qos is qos and consumer.task_consumer is not None and not shutdown_requested():
                consumer.jobs.intake.consume_tasks_anew(consumer, begun)

        qos.callback, qos.increment_eventually = lambda prefetch_count: None, increment_eventually

    return start_with_room


def watch_the_dying(pool: Any) -> None:
    """Let the event loop watch a process again that it has seen end, and that cannot be reaped yet. At the next connection
    Celery 5.7 would fall over it (``ValueError: file descriptor is None``), and the worker would end."""
    for process in pool._pool:
        if getattr(process, "_sentinel_poll", 0) is None:
            del process._sentinel_poll
