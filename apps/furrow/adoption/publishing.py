"""Celery's signals of a publish. Who listens (Sentry, OpenTelemetry, …) puts headers into the message: here into the job."""

from collections.abc import Mapping
from typing import Any

from celery.signals import after_task_publish, before_task_publish

from furrow.adoption.told import KEPT

#: Headers that Celery itself makes: what else is there is the caller's, or a listener's.
OWN = frozenset(
    {*KEPT, "lang", "task", "id", "eta", "expires", "group", "retries", "timelimit", "origin"}
    | {"ignore_result", "stamped_headers", "stamps"}
)


_NOT_OF_A_MESSAGE = ("headers", "result_cls", "args", "kwargs", "task_id", "link", "link_error")


class Publish:
    """One publish as its listeners see it."""

    def __init__(self, app: Any, name: str, task_id: str, args: Any, kwargs: Any, given: Mapping[str, Any]) -> None:
        options = {key: value for key, value in given.items() if key not in _NOT_OF_A_MESSAGE}
        message = app.amqp.as_task_v2(task_id, name, args, kwargs, **options)
        self.name = name
        self.headers = message.headers | dict(given.get("headers") or {})
        self.properties, self.body = message.properties, message.body
        self.routing_key = getattr(given.get("queue"), "name", given.get("queue")) or app.conf.task_default_queue

    def before(self) -> dict[str, Any]:
        """Tell the listeners; the headers that the task gets besides Celery's own."""
        told = {"body": self.body, "headers": self.headers, "properties": self.properties}
        before_task_publish.send(
            sender=self.name, exchange="", routing_key=self.routing_key, declare=[], retry_policy={}, **told
        )
        return {key: value for key, value in self.headers.items() if key not in OWN}

    def after(self) -> None:
        """Tell the listeners that the row is written, if the caller's transaction commits."""
        after_task_publish.send(
            sender=self.name, body=self.body, headers=self.headers, exchange="", routing_key=self.routing_key
        )


def is_heard() -> bool:
    """Anybody listens: what is told takes longer than a submit."""
    return bool(before_task_publish.receivers or after_task_publish.receivers)
