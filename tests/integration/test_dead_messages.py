"""Messages that nobody can use are kept with their reason, shown, sent again, deleted; none is dropped."""

import sys
import uuid
from collections.abc import Iterator
from typing import Any

import amqp
import pytest
from config.celery import app
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from furrow import Job, State, submit
from furrow.actions import dead_letters
from furrow.errors import BrokerError, DeadMessageError
from furrow.models import DeadMessage
from kombu import Connection

from tests import kinds, services
from tests.people import login
from tests.stack import Stack, all_ended, wait_until

STRANGE = str(uuid.uuid4())


def nested(levels: int) -> Any:
    """A header within a header; py-amqp writes and reads a level with a call."""
    table: Any = 1
    for _ in range(levels):
        table = {"a": table}
    return table


#: Exchange, message, and what the reason says.
UNUSABLE: list[tuple[str, Any, str]] = [
    ("furrow", amqp.Message(b""), "names no job (no property 'message_id')"),
    ("furrow", amqp.Message(b"\xff{", content_type="application/json"), "names no job"),
    ("furrow", amqp.Message(b"", message_id="no id at all", type="kinds.add"), "badly formed"),
    ("furrow", amqp.Message(b"x" * 600_000, message_id="\u00fc" * 40, type="\u202e<b>"), "badly formed"),
    ("furrow", amqp.Message(b"", message_id=STRANGE, type="kinds.add"), f"no job {STRANGE}"),
    ("celery", amqp.Message(b"<script>alert(1)</script>\x00"), "neither a job nor a Celery task"),
    ("celery", amqp.Message(b"\xff\xfe{", content_type="application/json", application_headers={}), "cannot be decoded"),
    (
        "celery",
        amqp.Message(b"[1]", content_type="application/json", application_headers={}),
        "neither a job nor a Celery task",
    ),
    (
        "celery",
        amqp.Message(
            b"[[], {}, {}]",
            content_type="application/json",
            content_encoding="utf-8",
            application_headers={"task": "nobody.knows", "id": STRANGE},
        ),
        "no task 'nobody.knows'",
    ),
    (
        "celery",
        amqp.Message(
            b"[[], {}, {}]",
            content_type="application/json",
            content_encoding="utf-8",
            application_headers={"task": "tests.kinds.ordinary", "id": STRANGE, "timelimit": "x"},
        ),
        "its header timelimit is 'x', and not two numbers",
    ),
    (
        "celery",
        amqp.Message(
            b"{no json",
            content_type="application/json",
            content_encoding="utf-8",
            application_headers={"task": "kinds.add", "id": STRANGE},
        ),
        "It is no job of kinds.add: ",
    ),
    (
        "celery",
        amqp.Message(
            b"[[1], {}, {}]",
            content_type="application/json",
            content_encoding="utf-8",
            application_headers={"task": "kinds.add"},
        ),
        "It is no job of kinds.add: it has no id",
    ),
    *[
        (
            "celery",
            amqp.Message(
                b"[[1], {}, {}]",
                content_type="application/json",
                content_encoding="utf-8",
                application_headers={"task": "tests.kinds.ordinary", "id": STRANGE, "timelimit": [seconds, None]},
            ),
            f"its header timelimit is '[{seconds}, None]', and not two numbers",
        )
        for seconds in (-1, 10**15)
    ],
    (  # the protocol of Celery before 4
        "celery",
        amqp.Message(
            b'{"task": "tests.kinds.ordinary", "id": "old", "args": [1], "timelimit": [NaN, Infinity]}',
            content_type="application/json",
            content_encoding="utf-8",
        ),
        "its header timelimit is '[nan, inf]', and not two numbers",
    ),
    ("furrow", amqp.Message(b"", message_id=str(uuid.UUID(int=7)), type="a\x00b"), f"no job {uuid.UUID(int=7)}"),
    ("furrow", amqp.Message(b"", message_id=b"\xff\xfe", type="kinds.add"), "cannot be read: UnicodeDecodeError"),
    ("furrow", amqp.Message(b"", message_id=STRANGE, type=b"\xe9"), "cannot be read: UnicodeDecodeError"),
    ("celery", amqp.Message(b"[]", application_headers={"a": nested(1_500)}), "cannot be read: RecursionError"),
]


def publish(exchange: str, message: Any) -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        _publish(exchange, message)
    finally:
        sys.setrecursionlimit(limit)


def _publish(exchange: str, message: Any) -> None:
    with Connection(services.broker.url) as link:
        channel = link.channel()
        channel.confirm_select()
        channel.basic_publish_confirm(message, exchange, "default" if exchange == "furrow" else "celery", mandatory=True)


@pytest.mark.engine
def test_what_nobody_can_use_is_kept_with_its_reason_and_the_jobs_beside_it_run(stack: Stack) -> None:
    for exchange, message, _ in UNUSABLE:
        publish(exchange, message)
    job = submit(kinds.add, {"a": 1})
    all_ended()
    wait_until(lambda: DeadMessage.objects.count() >= len(UNUSABLE), what="all are kept")
    for _, _, reason in UNUSABLE:
        wait_until(DeadMessage.objects.filter(reason__contains=reason).exists, what=reason)
    large = DeadMessage.objects.get(size=600_000)
    assert (len(large.body), large.replayable) == (256 * 1024, False)
    assert bytes(DeadMessage.objects.get(reason__contains="decoded").body) == b"\xff\xfe{"
    assert Job.objects.get(pk=job.pk).state == State.SUCCEEDED


#: To a worker's remote control, and whether it is kept.
TO_REMOTE_CONTROL: list[tuple[Any, bool]] = [
    (amqp.Message(b"\xff{", content_type="application/json", content_encoding="utf-8"), True),
    (amqp.Message(b"no object"), True),
    (amqp.Message(b"{}", message_id=b"\xff\xfe", content_type="application/json", content_encoding="utf-8"), True),
    (amqp.Message(b'{"method": "ping"}', application_headers={"a": nested(1_500)}, content_type="application/json"), True),
    (amqp.Message(b'{"method": 7}', content_type="application/json", content_encoding="utf-8"), True),
    (amqp.Message(b"[" * 200_000, content_type="application/json", content_encoding="utf-8"), True),
    *[
        (
            amqp.Message(
                body,
                application_headers={"clock": clock},
                content_type="application/json",
                content_encoding="utf-8",
            ),
            False,
        )
        for body, clock in (
            (b'{"method": "ping", "destination": 5}', 1),
            (b'{"method": "ping", "arguments": [1]}', "x"),
            (b'{"method": "ping", "reply_to": "nobody"}', 2**63 - 1),
            (b'{"method": "nobody_knows", "reply_to": {"exchange": "none", "routing_key": "\\ud800"}}', -(2**62)),
        )
    ],
]


@pytest.mark.engine
def test_nothing_that_is_sent_to_remote_control_or_by_a_strange_routing_key_ends_a_worker(stack: Stack) -> None:
    worker = stack.worker_process.popen.pid
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        with Connection(services.broker.url) as link:
            channel = link.channel()
            for message, _ in TO_REMOTE_CONTROL:
                channel.basic_publish(message, "celery.pidbox", b"\xff\xfe")
                # The command behind it is not lost.
                assert app.control.ping(destination=["worker@test"], connection=link, timeout=30, limit=1)
            channel.queue_bind("celery", "amq.fanout")
            channel.basic_publish(amqp.Message(b"by a strange way"), "amq.fanout", b"\xff\xfe")
            channel.queue_unbind("celery", "amq.fanout")
    finally:
        sys.setrecursionlimit(limit)
    kept = sum(is_kept for _, is_kept in TO_REMOTE_CONTROL)
    wait_until(lambda: DeadMessage.objects.filter(exchange="celery.pidbox").count() == kept, what="these are kept")
    strange = DeadMessage.objects.filter(exchange="amq.fanout")
    wait_until(strange.exists, what="this one is kept")
    assert strange.get().routing_key == "\\xff\\xfe"
    submit(kinds.add, {"a": 1})
    all_ended()
    assert (stack.worker_process.popen.pid, stack.worker_process.popen.poll()) == (worker, None)


@pytest.mark.engine
def test_replayed_it_is_gone_if_it_can_be_used_and_comes_back_if_not(bare: Stack) -> None:
    job = submit(kinds.add, {"a": 1})
    bare.worker()  # and no dispatcher: only the message below makes the job run
    usable = DeadMessage.objects.create(
        reason="by hand",
        exchange="furrow",
        routing_key="default",
        properties=f'{{"message_id": "{job.pk}", "type": "kinds.add"}}',
    )
    assert dead_letters.replay(usable.pk)
    assert not dead_letters.replay(usable.pk)
    all_ended()
    publish("furrow", amqp.Message(b"body", message_id="no id", type="t", application_headers={"x-death": 1, "mine": "kept"}))
    kept = DeadMessage.objects.filter(properties__contains="no id")  # and no messages of jobs of earlier tests
    wait_until(lambda: kept.count() == 1)
    first = kept.get()
    assert dead_letters.replay(first.pk)
    wait_until(lambda: kept.exclude(pk=first.pk).count() == 1, what="it came back")
    second = kept.get()
    assert (bytes(second.body), "mine" in second.properties, "x-death" in second.properties) == (b"body", True, False)


@pytest.fixture
def _broker_comes_back() -> Iterator[None]:
    yield
    services.broker.start()


@pytest.mark.django_db
@pytest.mark.usefixtures("_broker_comes_back")
def test_what_cannot_be_sent_again_is_kept() -> None:
    nowhere = DeadMessage.objects.create(reason="r", exchange="amq.topic", routing_key="no.such.queue")
    with pytest.raises(BrokerError, match=r"no queue takes a message for 'no\.such\.queue'"):
        dead_letters.replay(nowhere.pk)
    with pytest.raises(DeadMessageError, match="only the beginning"):
        dead_letters.replay(DeadMessage.objects.create(reason="r", routing_key="default", body=b"x", size=2).pk)
    with pytest.raises(DeadMessageError, match="does not exist"):
        dead_letters.replay(DeadMessage.objects.create(reason="r").pk)
    services.broker.stop()
    with pytest.raises(BrokerError) as error:
        dead_letters.replay(nowhere.pk)
    assert services.broker.password not in str(error.value)
    assert DeadMessage.objects.count() == 3


def test_kept_while_the_database_is_away_and_the_worker_dies(bare: Stack) -> None:
    if services.ON_SQLITE:
        pytest.skip("a database server is stopped")
    worker = bare.worker()
    connection.close()
    services.postgres.kill()
    try:
        publish("furrow", UNUSABLE[0][1])
        wait_until(lambda: "cannot be used and is kept" in worker.text)
        worker.kill()
    finally:
        services.postgres.start()
    assert not DeadMessage.objects.exists()
    bare.worker("second")
    wait_until(DeadMessage.objects.exists, what="the second worker kept it")


# --- The pages --------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.filterwarnings("ignore:No directory at")
def test_the_pages_show_it_harmlessly_and_only_who_may_acts(client: Client) -> None:
    hostile = "<script>alert(1)</script>\u202e\x1b[31m"
    message = DeadMessage.objects.create(
        reason=hostile,
        exchange="amq.topic",
        routing_key="no.such.queue",
        properties='{"type": "<script>\\u0000"}',
        body=hostile.encode(),
        size=33,
    )
    message.size = len(message.body)
    message.save()
    page = f"/admin/furrow/deadmessage/{message.pk}/change/"
    viewer = login(client, "view_deadmessage")
    for address in ("/admin/furrow/deadmessage/", page):
        text = viewer.get(address).content.decode()
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert" in text
        assert "Replay" not in text
    assert viewer.post(f"/admin/furrow/deadmessage/{message.pk}/replay/").status_code == 403
    assert viewer.post(f"/admin/furrow/deadmessage/{message.pk}/delete/", {"post": "yes"}).status_code == 403
    assert DeadMessage.objects.count() == 1
    User.objects.all().delete()

    actor = login(client, "view_deadmessage", "replay_deadmessage", "delete_deadmessage")
    assert "Replay" in actor.get(page).content.decode()
    assert actor.get(f"/admin/furrow/deadmessage/{message.pk}/replay/").status_code == 405
    answer = actor.post(f"/admin/furrow/deadmessage/{message.pk}/replay/", follow=True)
    assert "no queue takes a message" in answer.content.decode()
    chosen = {"action": "delete_chosen", "_selected_action": [message.pk]}
    assert "1 deleted" in actor.post("/admin/furrow/deadmessage/", chosen, follow=True).content.decode()
    assert not DeadMessage.objects.exists()
    assert "Drift" not in actor.get("/admin/").content.decode()
