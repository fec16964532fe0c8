"""Ordinary Celery tasks in a worker that runs jobs besides: what they get is what a worker of Celery's own gives them."""

from collections.abc import Iterator
from itertools import accumulate

import pytest
from django_celery_results.models import TaskResult
from furrow.celery import Celery
from kombu import Connection

from tests import kinds, services
from tests.stack import Stack, wait_until

PATIENCE = 60


@pytest.fixture(autouse=True)
def _forget(live_db: None) -> Iterator[None]:
    yield
    TaskResult.objects.all().delete()


def test_the_queue_of_tasks_is_as_a_client_without_settings_declares_it(stack: Stack) -> None:
    """RabbitMQ refuses any other arguments, and with them Celery's own application."""
    with Celery("stock", broker=services.broker.url, set_as_current=False) as stock, Connection(services.broker.url) as link:
        for queue in stock.amqp.queues.values():
            queue(link.channel()).declare()


def test_a_countdown_of_less_than_a_second_is_kept(stack: Stack) -> None:
    assert kinds.ordinary.apply_async((4,), countdown=0.3).get(timeout=PATIENCE) == 8


def test_tasks_that_wait_for_their_time_keep_no_others_from_running(bare: Stack) -> None:
    """More of them than the worker takes at once."""
    worker = bare.worker(processes=1)
    for number in range(30):
        kinds.ordinary.apply_async((number,), countdown=3600)
    try:
        assert kinds.ordinary.delay(5).get(timeout=PATIENCE) == 10
    finally:
        worker.stop()
        with Connection(services.broker.url) as link:
            back = accumulate(iter(lambda: link.channel().queue_purge("celery"), None))
            wait_until(lambda: next(back) >= 30, what="they went back to the queue")


def test_what_celery_shows_of_the_settings_has_no_password_of_ours() -> None:
    app = Celery("shop", set_as_current=False)
    app.conf.FURROW = {
        "REDIS_URL": "redis://:hunter2@store/0",
        "FLOWER_BASIC_AUTH": "flower:hunter2",
        "METRICS_TOKEN": "hunter2",
        "QUEUES": ["default"],
    }
    shown = app.conf.table(with_defaults=True, censored=True)["FURROW"]
    assert "hunter2" not in repr(shown)
    assert (shown["QUEUES"], shown["REDIS_URL"]) == (["default"], "redis://:********@store/0")
