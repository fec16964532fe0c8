"""Fixtures. ``stack``: dispatcher, worker, web and Flower, running. ``bare``: none of them; the test starts and kills its own.

Tests with either write to the database for real; what they leave is deleted. Tests that only need the database use
pytest-django's ``db``.
"""

from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module

import pytest
from amqp.exceptions import NotFound
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import setup_databases, teardown_databases
from django.utils import timezone
from kombu import Connection
from pytest_django.plugin import DjangoDbBlocker

from tests import services
from tests.stack import Stack, wait_until


def pytest_sessionstart() -> None:
    """The URLs, and with them the classes of the admin, are there, as in the web server."""
    import_module("config.urls")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what starts processes of its own."""
    if "faults" in item.path.parts or "bare" in item.fixturenames:  # type: ignore[attr-defined]
        item.add_marker("bare")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First what runs without our processes, then what starts its own, last what shares one ``stack``: that starts once."""
    items.sort(key=lambda item: ["stack" in item.fixturenames, "bare" in item.fixturenames])  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def django_db_setup(django_test_environment: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The test database. pytest-django's own fixture makes none for tests that are not marked with ``django_db``."""
    with django_db_blocker.unblock():
        made = setup_databases(verbosity=0, interactive=False)
        yield
        teardown_databases(made, verbosity=0)


@pytest.fixture(scope="session")
def _stack(django_db_setup: None) -> Iterator[Stack]:
    stack = Stack()
    yield stack
    stack.stop()


@pytest.fixture
def live_db(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The database without a transaction around the test; jobs are deleted afterwards."""
    with django_db_blocker.unblock():
        _delete_jobs()
        yield
        _delete_jobs()
        connection.close()


@pytest.fixture
def stack(_stack: Stack, live_db: None) -> Iterator[Stack]:
    """Everything runs. ``web_url``, ``flower_url``, ``flower_auth``, ``admin``: where, and as whom."""
    user = get_user_model().objects.filter(username=_stack.admin[0]).first()
    if user is None:
        get_user_model().objects.create_superuser(*[_stack.admin[0], "admin@example.com", _stack.admin[1]])
    running = {process.name for process in _stack.processes if process.popen.poll() is None}
    if running != {"dispatcher", "worker", "web", "flower"}:
        _stack.stop()
        _purge()
        _stack.dispatcher()
        _stack.web()
        _stack.flower()
        _stack.worker()
    wait_until(_worker_is_known, what="the worker holds its lease, also after a test that emptied the tables")
    yield _stack
    _settle_down()


def _worker_is_known() -> bool:
    from furrow.diagnosis.explain import living_workers

    return living_workers(timezone.now()).filter(node="worker@test").exists()


@pytest.fixture
def bare(_stack: Stack, live_db: None) -> Iterator[Stack]:
    """Nothing runs; the test starts what it needs."""
    _stack.stop()
    _purge()
    yield _stack
    _stack.stop()


def _purge() -> None:
    """Messages that earlier tests left: their jobs are deleted, so that a worker would keep each as one that nobody can use."""
    from furrow.conf import CELERY_QUEUE, conf

    with Connection(services.broker.url) as link:
        for queue in (*conf().queues, CELERY_QUEUE):
            with suppress(NotFound):
                link.channel().queue_purge(queue)


def _settle_down() -> None:
    """Let running jobs end, and stop the rest, before the next test."""
    from furrow.actions.jobs import cancel
    from furrow.models import Job
    from furrow.states import FINAL

    for job in Job.objects.exclude(state__in=FINAL):
        cancel(job.pk)
    wait_until(lambda: not Job.objects.exclude(state__in=FINAL).exists(), what="jobs of this test ended")


def _delete_jobs() -> None:
    from furrow.models import (
        Attempt,
        AuditEntry,
        Backfill,
        BridgedMessage,
        BridgeReader,
        Canary,
        DeadMessage,
        Edge,
        ErrorCount,
        ErrorGroup,
        Event,
        Job,
        LogLine,
        Move,
        Node,
        Queue,
        Reply,
        Rollup,
        Schedule,
        Signal,
        Step,
        StreamPlace,
        Tick,
        Trouble,
        WorkerRequest,
        Workflow,
    )

    bridges = (BridgedMessage, BridgeReader, Reply, StreamPlace)
    jobs = (
        AuditEntry,
        DeadMessage,
        Event,
        LogLine,
        Attempt,
        Job,
        Queue,
        WorkerRequest,
        Rollup,
        ErrorCount,
        ErrorGroup,
        Trouble,
    )
    workflows = (Move, Edge, Node, Workflow)  # behind jobs, whose deletion leaves moves
    for model in (*bridges, Backfill, Canary, Tick, Schedule, Signal, Step, *jobs, *workflows):
        model.objects.all()._raw_delete(connection.alias)


__all__ = ["bare", "live_db", "stack", "wait_until"]
