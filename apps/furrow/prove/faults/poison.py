"""Rubbish at every entrance: what nobody can use is kept or refused by name, and all others go on."""

import http.client
import sys
import uuid
from contextlib import suppress
from typing import Any

import amqp
import psycopg

from furrow.prove.faults.base import BROKER_AWAY, Scene, broker, command, fault
from furrow.tables import JOB

_JSON = {"content_type": "application/json", "content_encoding": "utf-8"}


def _nested(levels: int) -> Any:
    """A header within a header: py-amqp reads a level with a call."""
    table: Any = 1
    for _ in range(levels):
        table = {"a": table}
    return table


def _jobs() -> list[amqp.Message]:
    """For the jobs' exchange."""
    id = str(uuid.uuid4())
    return [
        amqp.Message(b""),
        amqp.Message(b"\xff\xfe{", **_JSON),
        amqp.Message(b"", message_id="no id at all", type="prove.noop"),
        amqp.Message(b"", message_id=id, type="prove.nobody_knows"),
        amqp.Message(b"", message_id=id, type="prove.noop"),
        amqp.Message(b"", message_id=b"\xff\xfe", type="prove.noop"),
        amqp.Message(b"", message_id=id, type=b"\xe9"),
        amqp.Message(b"[[], {}, {}]", application_headers={"task": "prove.noop", "id": 7}, content_type="application/json"),
        amqp.Message(b"x" * 1_000_000, message_id=id, type="\u00fc" * 60),
    ]


def _tasks() -> list[amqp.Message]:
    """For the queue of Celery's tasks."""
    id = str(uuid.uuid4())
    return [
        amqp.Message(b"<script>\x00"),
        amqp.Message(b"[1]", application_headers={}, **_JSON),
        amqp.Message(b"[[], {}, {}]", application_headers={"task": "nobody.knows", "id": id}, **_JSON),
        amqp.Message(b"[[], {}, {}]", application_headers={"task": "nobody.knows", "id": id, "timelimit": "x"}, **_JSON),
        amqp.Message(b"{no json", application_headers={"task": "prove.noop", "id": id}, **_JSON),
        amqp.Message(b"[[1], {}, {}]", application_headers={"task": "prove.noop"}, **_JSON),
        amqp.Message(b"[]", application_headers={"a": _nested(1_500)}, **_JSON),
    ]


def _remote() -> list[amqp.Message]:
    """For Celery's remote control."""
    return [
        amqp.Message(b"rubbish"),
        amqp.Message(b"[7]", **_JSON),
        amqp.Message(b'{"method": "nobody_knows", "arguments": 7}', **_JSON),
        amqp.Message(b'{"method": "rate_limit", "arguments": {"task_name": [], "rate_limit": {}}}', **_JSON),
        amqp.Message(b'{"method": "revoke", "arguments": {"task_id": [[]], "signal": 9}}', **_JSON),
    ]


@fault("rabbitmq")
def poison_queue(scene: Scene) -> None:
    """Messages that nobody can use or even read: on the jobs' exchange, among Celery's tasks, to its remote control."""
    queue = scene.happened.target = scene.dice.choice(scene.stack.queues)
    usual = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)  # py-amqp writes a nested header by recursion, too
    try:
        with broker(scene) as link:
            channel = link.channel()
            places = [("furrow", queue, _jobs()), ("", "celery", _tasks()), ("celery.pidbox", "", _remote())]
            for exchange, key, rubbish in places:
                for message in rubbish * 3:
                    channel.basic_publish(message, exchange=exchange, routing_key=key)
    except BROKER_AWAY:
        scene.happened.target += " (RabbitMQ was away)"
    finally:
        sys.setrecursionlimit(usual)


@fault("redis")
def poison_redis(scene: Scene) -> None:
    """Each key of Redis is replaced by a value of another type, and rubbish is published on each channel."""
    for key in filter(None, command(scene, "KEYS *").split(b"\r\n")[2::2]):
        command(scene, f"SET {key.decode(errors='replace')} rubbish")
    for name in filter(None, command(scene, "PUBSUB CHANNELS *").split(b"\r\n")[2::2]):
        command(scene, f"PUBLISH {name.decode(errors='replace')} rubbish")


#: Addresses, some of which are none.
_PATHS = [
    *("/", "/prove", "/health/ready", "/metrics", "/%00", "/admin/login/?next=%ed%a0%80"),
    "/admin/?since=0001-01-01&p=" + "9" * 26,
]


@fault("web")
def poison_web(scene: Scene) -> None:
    """Requests that are none, of every sort, to the web process."""
    scene.happened.target = "web"
    for path in _PATHS:
        for method, body in [("GET", b""), ("POST", b"\xff" * 1000), ("PUT", b"{"), ("BREW", b"")]:
            if (path, method) != ("/prove", "POST"):
                with suppress(OSError, http.client.HTTPException):
                    link = http.client.HTTPConnection("127.0.0.1", scene.stack.web_port, timeout=5)
                    link.request(method, path, body, {"Content-Type": "multipart/form-data; boundary=", "X-Nul": "\x7f"})
                    link.getresponse().read()
                    link.close()


@fault("postgres")
def poison_rows(scene: Scene) -> None:
    """INSERTs of rows that the table must refuse: states, a priority, counts and times that cannot be."""
    columns = [
        ("state", "'nonsense'"),
        ("priority", "99"),
        ("max_attempts", "0"),
        ("attempt", "-1"),
        ("state", "'running'"),
        ("finished_at", "now()"),
    ]
    taken = []
    for name, value in columns:
        with suppress(psycopg.Error):
            scene.stack.database.run(f"INSERT INTO {JOB} (id, kind, {name}) VALUES (gen_random_uuid(), 'prove.noop', {value})")
            taken.append(f"{name} = {value}")
    scene.happened.target = f"taken: {', '.join(taken)}" if taken else "all refused"
