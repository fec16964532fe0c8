"""Bridges: messages of queues that other programs own become jobs. The other programs use pika, and nothing of ours."""

import base64
import os
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pika
import pytest
from django.db import InternalError, OperationalError, ProgrammingError
from furrow import Job, State
from furrow.bridge import Bridge
from furrow.bridges.process import Bridges
from furrow.models import BridgedMessage, DeadMessage
from furrow.rabbitmq.inbox import Inbox, unread

from tests import bridges
from tests.bridges import read
from tests.stack import PYTHON, Process, Stack, wait_until

pytestmark = pytest.mark.engine
#: That flow while bridges are killed; by hand: FURROW_TEST_MESSAGES=50000.
MESSAGES = int(os.environ.get("FURROW_TEST_MESSAGES", "3000"))


@pytest.fixture
def stranger() -> Iterator[Any]:
    """A channel of a program that knows only RabbitMQ."""
    with bridges.stranger("hello", "bridged") as channel:
        yield channel


def started(stack: Stack, name: str = "bridges") -> Process:
    return stack.start(name, [PYTHON, "manage.py", "furrow", "bridges"])


def test_the_classic_example(bare: Stack, stranger: Any) -> None:
    """The program of RabbitMQ's first tutorial, as it stands."""
    stranger.queue_declare(queue="hello")
    stranger.basic_publish(exchange="", routing_key="hello", body="Hello")
    bare.dispatcher()
    bare.worker()
    bridges = started(bare)
    wait_until(lambda: Job.objects.filter(kind="hello.log_message", state=State.SUCCEEDED).exists())
    job = Job.objects.get()
    assert job.arguments == {"text": "Hello"}
    assert [line.message for line in job.log_lines.all()] == ["Received a message: Hello"]
    assert stranger.queue_declare(queue="hello", passive=True).method.message_count == 0
    assert bridges.stop() == 0


def test_kill_9_while_messages_flow_loses_and_doubles_none(bare: Stack, stranger: Any) -> None:
    stranger.queue_declare(queue="hello")
    publisher = threading.Thread(target=_publish, args=(MESSAGES,))
    publisher.start()
    if MESSAGES > 10_000:  # a bridge lets no more wait
        bare.dispatcher()
        bare.worker()
    for number in range(max(3, MESSAGES // 5_000)):
        bridges, before = started(bare, f"bridges-{number}"), Job.objects.count()
        wait_until(lambda before=before: Job.objects.count() > before)  # type: ignore[misc]
        bridges.kill()
    last = started(bare)
    wait_until(lambda: Job.objects.count() >= MESSAGES, seconds=60 + MESSAGES / 200, what="each message is a job")
    publisher.join()
    assert last.stop() == 0
    assert stranger.queue_declare(queue="hello", passive=True).method.message_count == 0
    assert sorted(int(job.arguments["text"]) for job in Job.objects.only("arguments")) == list(range(MESSAGES))


def _publish(count: int) -> None:
    """As another program does while they are read."""
    with bridges.stranger() as channel:
        for number in range(count):
            known_by = pika.BasicProperties(message_id=str(uuid.uuid4()))
            channel.basic_publish(exchange="", routing_key="hello", body=str(number), properties=known_by)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("bridge", "body", "properties", "arguments"),
    [
        (Bridge("bridged", "kinds.takes_text"), "Grüße".encode(), {}, {"text": "Grüße"}),
        (Bridge("bridged", "kinds.takes_text"), "Grüße".encode("latin-1"), {"content_encoding": "latin-1"}, {"text": "Grüße"}),
        (Bridge("bridged", "kinds.takes_text"), b'"x"', {"content_type": "application/json"}, {"text": "x"}),
        (Bridge("bridged", "kinds.takes_text", body="base64"), b"\xff\0", {}, {"text": base64.b64encode(b"\xff\0").decode()}),
        (Bridge("bridged", "kinds.takes_text", body="text"), b"{}", {"content_type": "application/json"}, {"text": "{}"}),
        (Bridge("bridged", "kinds.add"), b'{"a": 1, "b": 2}', {}, {"a": 1, "b": 2}),
        (Bridge("bridged", "kinds.add", argument="a"), b"7", {}, {"a": 7}),
    ],
)
def test_a_message_becomes_arguments(
    stranger: Any, bridge: Bridge, body: bytes, properties: dict[str, Any], arguments: dict[str, Any]
) -> None:
    stranger.queue_declare(queue="bridged", durable=True)
    stranger.basic_publish("", "bridged", body, pika.BasicProperties(**properties))
    read(bridge, 1)
    found = Job.objects.get().arguments
    assert {name: found[name] for name in arguments} == arguments


@pytest.mark.django_db
def test_priority_expiration_and_headers_are_mapped(stranger: Any) -> None:
    stranger.queue_declare(queue="bridged", durable=True)
    properties = pika.BasicProperties(priority=7, expiration="60000", headers={"tenant": "a", "n": 1})
    stranger.basic_publish("", "bridged", b"x", properties)
    stranger.basic_publish("", "bridged", b"y", pika.BasicProperties(headers={}))
    read(Bridge("bridged", "kinds.takes_text_and_headers", headers="headers"), 2)
    first, second = Job.objects.order_by("priority")
    assert (first.priority, first.arguments) == (2, {"text": "x", "headers": {"tenant": "a", "n": 1}})
    assert first.expires_at is not None
    assert 59 <= (first.expires_at - first.created_at).total_seconds() <= 61
    assert (second.priority, second.expires_at, second.arguments["headers"]) == (5, None, {})


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("bridge", "body", "properties", "reason"),
    [
        (Bridge("bridged", "kinds.takes_text"), b"\xff", {}, "no text in utf-8"),
        (Bridge("bridged", "kinds.takes_text"), b"x", {"content_encoding": "no such"}, "no text in no such"),
        (Bridge("bridged", "kinds.takes_text"), b"{", {"content_type": "application/json"}, "no JSON"),
        (Bridge("bridged", "kinds.takes_text"), b"a\0b", {}, "text"),
        (Bridge("bridged", "kinds.add"), b"[1]", {}, "must be a JSON object"),
        (Bridge("bridged", "kinds.add"), b'{"a": "x"}', {}, "a:"),
        (Bridge("bridged", "kinds.add"), b"[" * 100_000, {}, "no JSON"),
        (Bridge("bridged", "kinds.takes_text", known_by="id"), b"x", {}, "no message-id"),
    ],
)
def test_what_is_no_job_is_kept_with_its_reason_and_the_others_are_jobs(
    stranger: Any, bridge: Bridge, body: bytes, properties: dict[str, Any], reason: str
) -> None:
    stranger.queue_declare(queue="bridged", durable=True)
    good = b'{"a": 1}' if bridge.kind == "kinds.add" else b"good"
    stranger.basic_publish("", "bridged", body, pika.BasicProperties(**properties))
    stranger.basic_publish("", "bridged", good, pika.BasicProperties(message_id="1"))
    read(bridge, 2)
    kept = DeadMessage.objects.get()
    assert reason in kept.reason
    assert (bytes(kept.body), kept.routing_key) == (body, "bridged")
    assert Job.objects.count() == 1
    assert stranger.queue_declare(queue="bridged", passive=True).method.message_count == 0


@pytest.mark.django_db
@pytest.mark.parametrize("known_by", ["", "id", "body"])
def test_a_message_that_comes_again_is_no_second_job(stranger: Any, known_by: str) -> None:
    stranger.queue_declare(queue="bridged", durable=True)
    bridge = Bridge("bridged", "kinds.takes_text", known_by=known_by)
    for _ in range(2):
        for _ in range(2):
            stranger.basic_publish("", "bridged", b"same", pika.BasicProperties(message_id="m1"))
        read(bridge, 2)
    assert Job.objects.count() == BridgedMessage.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("error", [OperationalError, InternalError, ProgrammingError])
def test_what_the_database_does_not_take_comes_again(
    stranger: Any, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """It is away, read-only, or has no such table yet: no message is to blame, and none is acknowledged or kept as dead."""
    stranger.queue_declare(queue="bridged", durable=True)
    stranger.basic_publish("", "bridged", b"kept")
    bridge = Bridge("bridged", "kinds.takes_text")
    bridges = Bridges([bridge])

    def refuse(arrived: object) -> None:
        raise error("no")

    with monkeypatch.context() as patch:
        patch.setattr(bridges, "_take", refuse)
        with pytest.raises(error):
            wait_until(bridges._step)
    bridges._close()
    assert not DeadMessage.objects.exists()
    read(bridge, 1)
    assert [job.arguments for job in Job.objects.all()] == [{"text": "kept"}]


@pytest.mark.django_db
def test_a_queue_that_is_declared_otherwise_is_named_and_the_others_are_read(stranger: Any) -> None:
    stranger.queue_declare(queue="bridged", durable=True, arguments={"x-max-length": 5})
    stranger.queue_declare(queue="hello")
    other, hello = Bridge("bridged", "kinds.add"), Bridge("hello", "hello.log_message", durable=False)
    stranger.basic_publish("", "hello", b"Hello")
    inbox = Inbox([other, hello])
    try:
        assert [one.body for one in inbox.poll(10.0, 10)] == [b"Hello"]
        assert "inequivalent arg 'x-max-length'" in inbox.refused[other]
        assert "the bridge declares durable=True, auto_delete=False, arguments={}" in inbox.refused[other]
        assert [*unread([other, hello])] == ["bridged"]
        stranger.queue_delete("hello")
        inbox.poll(0.5, 10)
        assert inbox.refused[hello] == "it was deleted"
    finally:
        inbox.close()


@pytest.mark.django_db
def test_nothing_is_read_while_too_many_of_its_jobs_wait(stranger: Any) -> None:
    stranger.queue_declare(queue="bridged", durable=True)
    bridge = Bridge("bridged", "kinds.takes_text", backlog=3)
    for number in range(5):
        stranger.basic_publish("", "bridged", str(number).encode())
    bridges = Bridges([bridge])
    bridges._step()
    assert Job.objects.count() == 5
    bridges._look()
    bridges._step()
    stranger.basic_publish("", "bridged", b"late")
    bridges._step()
    assert Job.objects.count() == 5
    Job.objects.all()._raw_delete("default")
    bridges._look()
    bridges._step()
    assert [job.arguments for job in Job.objects.all()] == [{"text": "late"}]
    bridges._inbox.close()


@pytest.mark.parametrize(
    ("bridge", "problem"),
    [
        (Bridge("", "k"), "queue must have 1 to 255 bytes"),
        (Bridge("q", "k", body="xml"), "body='xml' must be 'text' or 'json' or 'base64'"),
        (Bridge("q", "k", type="quorum", durable=False), "is durable"),
        (Bridge("q", "k", prefetch=0), "prefetch=0"),
        (Bridge(7, "k"), "queue=7 must be a text"),  # type: ignore[arg-type]
    ],
)
def test_a_declaration_that_cannot_be_says_why(bridge: Bridge, problem: str) -> None:
    assert problem in bridge.problem()
