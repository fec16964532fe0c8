"""Answers to messages that have a ``reply_to``: from the record, at least once."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pika
import pytest
from django.utils import timezone
from furrow import Job, State
from furrow.bridge import Bridge
from furrow.bridges.answers import Answers
from furrow.errors import BrokerError
from furrow.models import DeadMessage, Reply
from furrow.rabbitmq.answers import Post

from tests.bridges import read, stranger

pytestmark = [pytest.mark.engine, pytest.mark.django_db]

ADD = Bridge("bridged", "kinds.add")


@pytest.fixture
def asker() -> Iterator[Any]:
    """Has the queue of the bridge, and ``answers``, its own."""
    with stranger("bridged", "answers") as channel:
        channel.queue_declare("bridged", durable=True)
        channel.queue_declare("answers")
        yield channel


def ask(asker: Any, body: bytes = b'{"a": 2}', *, reply_to: str = "answers", **properties: Any) -> None:
    asker.basic_publish("", "bridged", body, pika.BasicProperties(reply_to=reply_to, **properties))


def end(state: State = State.SUCCEEDED, **columns: Any) -> None:
    """All jobs have ended so."""
    Job.objects.update(state=state, finished_at=timezone.now(), **columns)


def send() -> None:
    answers = Answers()
    answers.send_due()
    answers.close()


def got(asker: Any) -> list[tuple[Any, ...]]:
    """Type, correlation id and body of each answer."""
    found: list[tuple[Any, ...]] = []
    while (answer := asker.basic_get("answers", auto_ack=True))[0] is not None:
        found.append((answer[1].type, answer[1].correlation_id, json.loads(answer[2])))
    return found


@pytest.mark.parametrize(
    ("state", "columns", "body"),
    [
        (State.SUCCEEDED, {"result": {"sum": 3}}, {"sum": 3}),
        (State.SUCCEEDED, {"result": None}, None),
        (State.FAILED, {"error": "ValueError: no"}, {"error": "ValueError: no"}),
        (State.CANCELLED, {}, {"error": "cancelled"}),
    ],
)
def test_an_answer_says_how_the_job_ended(asker: Any, state: State, columns: dict[str, Any], body: Any) -> None:
    ask(asker, correlation_id="c1")
    ask(asker, b'{"a": 5}', reply_to="")
    read(ADD, 2)
    send()
    assert got(asker) == []
    end(state, **columns)
    send()
    assert got(asker) == [(state, "c1", body)]
    assert not Reply.objects.exists()


def test_a_job_that_was_deleted_is_answered(asker: Any) -> None:
    ask(asker)
    read(ADD, 1)
    Job.objects.all()._raw_delete("default")
    send()
    assert got(asker) == [("gone", None, {"error": "the job was deleted"})]


def test_what_is_no_job_is_answered_with_the_reason(asker: Any) -> None:
    ask(asker, b"[1]", correlation_id="c1")
    read(ADD, 1)
    send()
    ((kind, correlation, body),) = got(asker)
    assert (kind, correlation) == ("refused", "c1")
    assert "must be a JSON object" in body["error"]


@pytest.mark.parametrize(("reply_to", "correlation_id"), [("default", "c"), ("celery", "c"), ("answers", "c\0")])
def test_an_answer_that_cannot_be_is_refused_with_the_message(asker: Any, reply_to: str, correlation_id: str) -> None:
    ask(asker, reply_to=reply_to, correlation_id=correlation_id)
    read(ADD, 1)
    assert not Reply.objects.exists()
    assert "reply_to" in DeadMessage.objects.get().reason


def test_who_asks_for_a_known_message_again_is_answered_too(asker: Any) -> None:
    for correlation in ("c1", "c2", "c2"):
        ask(asker, message_id="m1", correlation_id=correlation)
    read(ADD, 3)
    ask(asker, message_id="m1", correlation_id="c3")
    read(ADD, 1)
    end(result=3)
    send()
    assert Job.objects.count() == 1
    assert sorted(got(asker)) == [("succeeded", name, 3) for name in ("c1", "c2", "c3")]


def test_an_answer_without_a_queue_is_dropped_and_the_others_arrive(asker: Any, caplog: pytest.LogCaptureFixture) -> None:
    ask(asker, reply_to="nowhere", correlation_id="c1")
    ask(asker, correlation_id="c2")
    read(ADD, 2)
    end(result=3)
    with caplog.at_level(logging.WARNING):
        send()
    assert [answer[1] for answer in got(asker)] == ["c2"]
    assert "there is no queue 'nowhere' any more" in caplog.text
    assert not Reply.objects.exists()


def test_an_answer_outlives_its_process_and_rabbitmq(asker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who dies after sending it, before the commit, has another one send it again, under the same message-id."""
    ask(asker, correlation_id="c1")
    read(ADD, 1)
    end(result=3)
    sent = Post.send

    def send_and_die(post: Post, answers: Any) -> set[str]:
        sent(post, answers)
        raise BrokerError("RabbitMQ went away")

    with monkeypatch.context() as patch:
        patch.setattr(Post, "send", send_and_die)
        with pytest.raises(BrokerError):
            send()
    (first,) = (asker.basic_get("answers", auto_ack=True)[1],)
    send()
    (second,) = (asker.basic_get("answers", auto_ack=True)[1],)
    assert (first.message_id, first.correlation_id) == (second.message_id, second.correlation_id)
    assert got(asker) == []


def test_direct_reply_to_is_answered_while_the_connection_lives(asker: Any) -> None:
    with stranger() as gone:
        for channel, correlation in ((gone, "late"), (asker, "c1")):
            channel.basic_consume("amq.rabbitmq.reply-to", lambda *answer: found.append(answer), auto_ack=True)
            ask(channel, reply_to="amq.rabbitmq.reply-to", correlation_id=correlation)
    found: list[Any] = []
    read(ADD, 2)
    end(result=3)
    send()
    while not found:
        asker.connection.process_data_events(10)
    assert [(answer[2].correlation_id, answer[3]) for answer in found] == [("c1", b"3")]
    assert not Reply.objects.exists()
