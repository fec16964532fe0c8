"""Loaded by ``FURROW_MODULES`` into a worker: the handler of its cold shutdown fails before it has killed anything, as Celery's
may when it speaks to RabbitMQ over a connection that it has interrupted."""

from typing import Any

from celery.worker import WorkController


def _fail(self: WorkController, *_: Any) -> None:
    raise AttributeError("'NoneType' object has no attribute 'drain_events'")


WorkController.wait_for_soft_shutdown = _fail
