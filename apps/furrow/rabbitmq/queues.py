"""The job queues, and what the project's Celery application has to do with them: the broker, and queues of its own."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from celery import current_app
from kombu import Exchange, Queue

from furrow.conf import conf
from furrow.service_urls import unreadable

#: Topic, because Celery's delayed delivery for quorum queues wants it.
EXCHANGE = Exchange("furrow", type="topic", durable=True)


class JobQueue(Queue):  # type: ignore[misc]
    """A quorum queue: replicated, on disk, declared alike by everyone who touches it. Only RabbitMQ is told its type: to Celery
    one quorum queue among a worker's would be a reason to send the project's own tasks with a countdown another way."""

    def queue_declare(self, nowait: bool = False, passive: bool = False, channel: Any = None) -> Any:
        """Whatever the project's settings would add to the queues of its tasks."""
        return (channel or self.channel).queue_declare(
            queue=self.name,
            passive=passive,
            durable=True,
            exclusive=False,
            auto_delete=False,
            arguments={"x-queue-type": "quorum"},
            nowait=nowait,
        )


def job_queue(name: str) -> Queue:
    """The queue of this name."""
    return JobQueue(name, EXCHANGE, routing_key=name, durable=True)


def queue_names(queues: Iterable[Queue]) -> list[str]:
    """The job queues among these."""
    return sorted({queue.name for queue in queues} & set(conf().queues))


def shared_queues(app: Any) -> str:
    """What is wrong if a job queue is also one of the project's tasks; empty when none is."""
    if same := sorted({*conf().queues} & {*app.amqp.queues}):
        return (
            f"FURROW['QUEUES'] names {same[0]!r}, which is a queue of the project's Celery tasks (task_queues, "
            "task_default_queue): jobs need one of their own, so choose another name for it."
        )
    return ""


def project_app() -> Any:
    """The project's Celery application."""
    return current_app._get_current_object()


def broker_urls() -> list[str]:
    """Where the project's Celery application publishes; more than one where it has others to turn to."""
    given = current_app.conf.broker_write_url
    if given is None:
        return [current_app.connection_for_write().as_uri(include_password=True)]
    return given.split(";") if isinstance(given, str) else list(given)


def explain_url(url: str) -> str:
    """What is wrong with a broker URL; empty when it can be used."""
    if wrong := unreadable("BROKER_URL", url):
        return wrong
    port = (parts := urlsplit(url)).port
    if parts.scheme not in ("amqp", "amqps", "pyamqp"):
        return f"BROKER_URL starts with {parts.scheme or 'nothing'}://; Furrow needs RabbitMQ, amqp:// or amqps://."
    if not parts.hostname:
        return "BROKER_URL names no host."
    return "" if port is None or port > 0 else "BROKER_URL names no usable port."
