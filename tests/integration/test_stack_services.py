"""The private servers: real ones, killed, frozen and started again in a folder whose name has a space."""

import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import amqp
import psutil
import psycopg
import pytest
import redis
from deploy import ports
from deploy.services import Postgres, RabbitMQ, Redis, Service

KEPT = "kept"


def redis_put(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.set(KEPT, KEPT)


def redis_get(url: str) -> str:
    with redis.Redis.from_url(url) as client:
        return str(client.get(KEPT).decode())


def postgres_put(url: str) -> None:
    with psycopg.connect(url, connect_timeout=5) as link:
        link.execute("CREATE TABLE IF NOT EXISTS kept AS SELECT 'kept' AS value")


def postgres_get(url: str) -> str:
    with psycopg.connect(url, connect_timeout=5) as link:
        [(value,)] = link.execute("SELECT value FROM kept").fetchall()
        return str(value)


def broker(url: str) -> amqp.Connection:
    parts = urlsplit(url)
    return amqp.Connection(
        f"{parts.hostname}:{parts.port}",
        userid=parts.username,
        password=parts.password,
        confirm_publish=True,
        connect_timeout=5,
        read_timeout=5,
    )


def rabbitmq_put(url: str) -> None:
    with broker(url) as connection, connection.channel() as channel:
        channel.queue_declare(KEPT, durable=True, auto_delete=False)
        channel.basic_publish_confirm(amqp.Message(KEPT, delivery_mode=2), routing_key=KEPT)


def rabbitmq_get(url: str) -> str:
    with broker(url) as connection, connection.channel() as channel:
        return str(channel.basic_get(KEPT).body)  # not acknowledged, so it goes back


@dataclass
class Case:
    """One kind of server and how to use it."""

    service: Service
    put: Callable[[str], None]
    get: Callable[[str], str]
    refusal: type[Exception]


CASES = {
    Redis: (redis_put, redis_get, redis.AuthenticationError),
    Postgres: (postgres_put, postgres_get, psycopg.OperationalError),
    RabbitMQ: (rabbitmq_put, rabbitmq_get, amqp.AccessRefused),
}


@pytest.fixture(scope="module", params=CASES, ids=lambda kind: kind.name)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    service = request.param(tmp_path_factory.mktemp("a folder"))
    Service.start(service)  # as `map(Service.start, …)` calls it: nothing of a kind of server may be passed over
    yield Case(service, *CASES[request.param])
    service.destroy()
    assert not service.folder.exists()


@pytest.mark.thorough
def test_data_address_and_password_outlive_a_kill(case: Case) -> None:
    url = case.service.url
    case.put(url)
    if isinstance(case.service, RabbitMQ):
        case.service.ctl("eval", "mnesia:sync_log().")  # else a new queue is on disk up to two seconds late
    case.service.kill()
    assert not case.service.alive
    case.service.start()
    assert case.service.url == url
    assert case.get(url) == KEPT


def test_a_second_object_on_the_folder_is_the_same_server(case: Case) -> None:
    same = type(case.service)(case.service.folder)
    same.start()
    assert (same.url, same.daemon.pid) == (case.service.url, case.service.daemon.pid)


def test_nobody_gets_in_without_the_password(case: Case) -> None:
    case.put(case.service.url)
    with pytest.raises(case.refusal):
        case.get(case.service.url.replace(case.service.password, "guest"))


def test_only_loopback_is_listened_on(case: Case) -> None:
    daemons = [case.service.daemon, *([case.service.mapper] if isinstance(case.service, RabbitMQ) else [])]
    listening = {
        connection.laddr.ip
        for daemon in daemons
        for connection in psutil.Process(daemon.pid).net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening <= {"127.0.0.1", "::1"}
    assert "127.0.0.1" in listening


def test_a_frozen_server_lives_but_does_not_answer(case: Case) -> None:
    case.service.freeze()
    try:
        assert case.service.alive
        assert not answers(case.service)
    finally:
        case.service.thaw()
    case.put(case.service.url)


def answers(service: Service) -> bool:
    try:
        return service.ready()
    except OSError:
        return False


def test_a_server_that_takes_the_port_is_left_alone(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        taken = foreign.getsockname()[1]
        service = Redis(tmp_path / "redis")
        service._remember(port=taken)
        with service:
            assert service.port != taken
            assert redis.Redis.from_url(service.url).ping()
        assert not ports.is_free(taken)


def test_a_cluster_that_was_left_half_made_is_made_anew(tmp_path: Path) -> None:
    half = tmp_path / "postgres" / "cluster" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("15\n")
    service = Postgres(tmp_path / "postgres", durable=False)
    with service:
        postgres_put(service.url)
    service.destroy()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to hand PostgreSQL to another user")
def test_postgres_started_by_root_where_its_user_cannot_go(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    service = Postgres(hidden / "postgres", durable=False)
    try:
        service.start()
        data = Path(service._state["data"])
        assert psutil.Process(service.daemon.pid).uids().real != 0
        assert data.exists()
        assert hidden not in data.parents
    finally:
        service.destroy()
    assert not data.parent.exists()
