"""Something else answers where RabbitMQ, Redis or PostgreSQL should: who asks is told so, in bounded time."""

import uuid
from collections.abc import Iterator
from contextlib import suppress

import pytest
from celery import current_app
from django.core.management import CommandError, call_command
from django.db import DatabaseError
from django.db.utils import ConnectionHandler
from django.test import Client
from django.utils import timezone
from furrow import lock, rate_limit
from furrow.dispatcher.process import Dispatcher
from furrow.errors import BrokerError
from furrow.locks import wakeup
from furrow.locks.errors import LockUnavailable
from furrow.models import DeadMessage, Job, Leader, Worker
from furrow.monitoring.health import Command
from furrow.partitions import Queue
from furrow.rabbitmq import broker, patient
from furrow.rabbitmq.broker import Publisher
from furrow.states import State
from furrow.worker.intake.transport import JobTransport
from kombu import Connection
from pytest_django import Settings

from tests.nonsense import POSTGRES, RABBITMQ, REDIS, serving
from tests.rows import HOUR

pytestmark = pytest.mark.filterwarnings("ignore:No directory at")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (patient, broker):
        monkeypatch.setattr(module, "TIMEOUT", 0.5)


@pytest.fixture(params=RABBITMQ)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Of something that is no RabbitMQ."""
    with serving(RABBITMQ[request.param]) as port:
        yield f"amqp://furrow:secret@127.0.0.1:{port}//"


def test_what_is_no_rabbitmq_is_said_so_in_bounded_time(url: str) -> None:
    publisher = Publisher(url)
    for _ in range(2):
        with pytest.raises(BrokerError) as told:
            publisher.depth("default")
        assert str(told.value).startswith("amqp://furrow:**@")
        assert "secret" not in str(told.value)
    publisher.close()


def test_a_worker_takes_it_for_a_broker_that_is_away(url: str) -> None:
    """Celery connects again after these errors, and ends with any other."""
    link = Connection(url, connect_timeout=0.5, transport_options={"read_timeout": 0.5})
    with suppress(*link.connection_errors):
        JobTransport(link).establish_connection().collect()


@pytest.fixture
def no_rabbitmq(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What answers raises an exception in py-amqp that is none of its own."""
    with serving(RABBITMQ["a channel that is not open"]) as port:
        monkeypatch.setattr(current_app.conf, "broker_url", f"amqp://furrow:secret@127.0.0.1:{port}//")
        yield


@pytest.mark.django_db
@pytest.mark.engine
@pytest.mark.usefixtures("no_rabbitmq", "nobody_runs")
def test_the_dispatcher_says_so_and_goes_on() -> None:
    Job.objects.create(kind="k")
    dispatcher = Dispatcher()
    assert dispatcher.leadership.hold()
    dispatcher._step()
    assert "does not speak AMQP" in Leader.objects.get().trouble
    assert Job.objects.get().state == State.PENDING
    dispatcher._end()


@pytest.mark.django_db
@pytest.mark.usefixtures("no_rabbitmq")
def test_health_names_it() -> None:
    until = timezone.now() + HOUR
    worker = Worker.objects.create(
        id=uuid.uuid4(), node="w@nonsense", pid=1, processes=1, queues=["default"], lease_until=until
    )
    with pytest.raises(CommandError, match=r"RabbitMQ does not answer: .* does not speak AMQP"):
        call_command(Command(), "stores")
    with pytest.raises(CommandError, match="does not answer within"):
        call_command(Command(), "worker", "--node", worker.node)


@pytest.mark.django_db
@pytest.mark.usefixtures("no_rabbitmq")
def test_pages_and_metrics_stay(site: Client, settings: Settings) -> None:
    queues = [Queue("default", 2, "key"), "other"]
    settings.FURROW = {**settings.FURROW, "QUEUES": queues, "METRICS_TOKEN": "t"}
    message = DeadMessage.objects.create(reason="r", exchange="", routing_key="default", body=b"x", size=1)
    replayed = site.post(f"/admin/furrow/deadmessage/{message.pk}/replay/", follow=True)
    assert "does not speak AMQP" in replayed.content.decode()
    assert DeadMessage.objects.filter(pk=message.pk).exists()
    for address in ("/admin/", "/admin/furrow/queue/", "/admin/furrow/queue/default/change/", "/metrics"):
        assert site.get(address, headers={"authorization": "Bearer t"}, follow=True).status_code == 200, address


# --- Redis --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", REDIS)
def test_what_is_no_redis_is_said_so_in_bounded_time(kind: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wakeup, "_client", None)
    monkeypatch.setattr(wakeup, "_quiet_until", 0.0)
    with serving(REDIS[kind]) as port:
        redis = {"REDIS_URL": f"redis://:secret@127.0.0.1:{port}/0"}
        settings.FURROW = {**settings.FURROW, "LOCK_LEASE": 2.0, **redis}
        waiter = wakeup.Waiter()
        waiter.wait(0.01)
        waiter.close()
        wakeup.wake()
        with pytest.raises(LockUnavailable, match="Redis"), lock("nonsense", timeout=0):
            pass
        with pytest.raises(LockUnavailable, match="Redis"):
            rate_limit("nonsense", "5/s", timeout=0).take()
    wakeup._client = None


# --- PostgreSQL ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", POSTGRES)
def test_what_is_no_postgresql_is_a_database_that_is_away(kind: str) -> None:
    with serving(POSTGRES[kind]) as port:
        address = {"HOST": "127.0.0.1", "PORT": port, "NAME": "furrow", "USER": "furrow", "PASSWORD": "secret"}
        options = {"ENGINE": "django.db.backends.postgresql", "OPTIONS": {"connect_timeout": 2}}
        with pytest.raises(DatabaseError) as told:
            ConnectionHandler({"default": address | options})["default"].ensure_connection()
    assert "secret" not in str(told.value)
