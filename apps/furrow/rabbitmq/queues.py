"""Job queues and the project's Celery application: its broker URL, and the queues of its tasks."""

import os
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from celery import current_app
from django.conf import settings
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
            "task_default_queue): jobs need a queue of their own: choose another name."
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


def broker_setting() -> str:
    """What the project calls the URL of its broker: the variable or setting that its Celery application reads."""
    app, names = project_app(), ("BROKER_WRITE_URL", "BROKER_URL")
    variables = [f"CELERY_{name}" for name in names]
    if read := [name for name in variables if os.environ.get(name)]:
        return read[0]
    namespace = f"{app.namespace}_" if app.namespace else ""
    given = [name for name in (*(f"{namespace}{name}" for name in names), "BROKER_URL") if hasattr(settings, name)]
    if given or namespace:
        return given[0] if given else f"{namespace}BROKER_URL"
    return f"broker_url of the Celery application {app.main!r}"


def explain_url(url: str) -> str:
    """What is wrong with a broker URL; empty when it can be used."""
    name = broker_setting()
    if wrong := unreadable(name, url):
        return wrong
    port = (parts := urlsplit(url)).port
    if parts.scheme not in ("amqp", "amqps", "pyamqp"):
        return f"{name} starts with {parts.scheme or 'nothing'}://; Furrow needs RabbitMQ, amqp:// or amqps://."
    if not parts.hostname:
        return f"{name} names no host."
    return "" if port is None or port > 0 else f"{name} names no usable port."
