"""Events: published after the commit, at least once, in order per job; subscribers, outside and as jobs."""

import datetime as dt
import json
import os
import re
import subprocess
import sys
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pika
import pydantic
import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from furrow import Job, KindError, Occurred, State, publish, statements, submit_many, subscribe
from furrow.bridges.process import Bridges
from furrow.dispatcher.leader import Leadership
from furrow.dispatcher.outbox import Outbox, in_order
from furrow.errors import BrokerError, EventError
from furrow.events import subscribers
from furrow.events.publish import MOST_DEPTH
from furrow.events.replay import replay
from furrow.events.subscribers import Subscriber
from furrow.management.commands.furrow import load
from furrow.models import BridgedMessage, DeadMessage, Event, Leader
from furrow.rabbitmq.events import EventPublisher, declare, routing_key
from furrow.statements import Outgoing
from furrow.statements.moves import DEPTH_KEY
from furrow.topics import like, matches
from pika.exceptions import ChannelClosedByBroker

from tests import go, kinds, node, services
from tests.pages import page
from tests.rows import make
from tests.stack import Stack, all_ended, wait_until

pytestmark = pytest.mark.engine

URL = services.broker.url.removesuffix("/") + "%2F"
QUEUES = ("told", "full", "listener", "listener.node", "listener.go")


@pytest.fixture
def outside() -> Iterator[Any]:
    """A channel of a program that knows only RabbitMQ, with a queue ``told`` that gets every event."""
    link = pika.BlockingConnection(pika.URLParameters(URL))
    channel = link.channel()
    channel.exchange_declare("furrow.events", "topic", durable=True)
    channel.queue_declare("told", durable=True)
    channel.queue_bind("told", "furrow.events", "#")
    yield channel
    for queue in (*QUEUES, *(f"furrow.events.kinds.{name}" for name in ("hears", "hears_and_says"))):
        link.channel().queue_delete(queue)
    link.close()


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> dict[str, Subscriber]:
    """The subscribers of this process: only those of the test."""
    found: dict[str, Subscriber] = {}
    monkeypatch.setattr(subscribers, "_subscribers", found)
    return found


@pytest.fixture
def no_triggers(live_db: None) -> Iterator[None]:
    """Nobody wants events of jobs any more, after the test."""
    yield
    statements.on(connection).tell_of_jobs(connection, [])
    BridgedMessage.objects.all().delete()


def outbox() -> Outbox:
    """One that leads."""
    Leader.objects.all().delete()
    leadership = Leadership()
    assert leadership.hold()
    return Outbox(leadership)


def taken(channel: Any, queue: str = "told") -> list[tuple[Any, dict[str, Any]]]:
    """All that is in a queue: properties and event."""
    found: list[tuple[Any, dict[str, Any]]] = []
    while True:
        delivery, properties, body = channel.basic_get(queue, auto_ack=True)
        if delivery is None:
            return found
        found.append((properties, json.loads(body)))


def consumed(channel: Any, queue: str) -> bool:
    """Whether a queue is there, and somebody reads it."""
    try:
        with channel.connection.channel() as asking:
            return bool(asking.queue_declare(queue, passive=True).method.consumer_count)
    except ChannelClosedByBroker:
        return False


def heard(subscriber: Subscriber, messages: int) -> None:
    """Let it take so many messages of its queue, in this process."""
    bridges = Bridges([subscriber.bridge])
    try:
        while messages > 0:
            arrived = bridges._inbox.poll(30.0, 200)
            assert arrived, f"{messages} messages have not arrived"
            bridges.take(arrived)
            bridges._inbox.acknowledge(arrived)
            messages -= len(arrived)
    finally:
        bridges._inbox.close()


@pytest.mark.usefixtures("nobody_runs")
def test_an_event_is_published_as_a_cloud_event(outside: Any) -> None:
    id = publish("order.paid", {"order": 7, "to": "Jürgen"})
    job = make()
    of_job = Event.objects.create(name="job.kinds.add.failed", job=job.pk, number=3, data={"state": "failed"})
    publisher = outbox()
    assert publisher.run_once() == 2
    assert publisher.run_once() == 0
    (properties, own), (_, other) = taken(outside)
    assert (properties.content_type, properties.message_id) == ("application/cloudevents+json", str(id))
    assert own.pop("time").endswith("Z")
    assert own == {
        "specversion": "1.0",
        "id": str(id),
        "source": "furrow",
        "type": "order.paid",
        "datacontenttype": "application/json",
        "data": {"order": 7, "to": "Jürgen"},
    }
    assert (other["id"], other["subject"], other["number"]) == (str(of_job.pk), str(job.pk), 3)
    assert not Event.objects.filter(published_at=None).exists()


@pytest.mark.usefixtures("nobody_runs")
def test_what_was_published_and_not_marked_is_published_again(outside: Any) -> None:
    """The dispatcher died between the two."""
    ids = [publish("a.b", {"n": n}) for n in range(3)]
    assert EventPublisher({}).send(statements.on(connection).unpublished(connection, 9)) == {*ids}
    assert outbox().run_once() == 3
    assert [event["id"] for _, event in taken(outside)] == [*map(str, ids)] * 2


@pytest.mark.usefixtures("nobody_runs")
def test_who_dies_before_rabbitmq_has_an_event_loses_none(outside: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    id, dying = publish("a.b"), outbox()
    with monkeypatch.context() as patch:
        patch.setattr(dying._publisher, "send", _die)
        with pytest.raises(KeyboardInterrupt):
            dying.run_once()
    assert outbox().run_once() == 1
    assert [event["id"] for _, event in taken(outside)] == [str(id)]


def _die(events: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.usefixtures("nobody_runs")
def test_nobody_hears_of_an_event_before_its_commit(outside: Any) -> None:
    with transaction.atomic():
        id = publish("order.paid")
        assert taken(outside) == []
    with transaction.atomic():
        publish("order.lost")
        transaction.set_rollback(True)
    assert outbox().run_once() == 1
    assert [event["id"] for _, event in taken(outside)] == [str(id)]


@pytest.mark.usefixtures("nobody_runs")
def test_what_rabbitmq_refuses_stays_and_is_published_again(outside: Any) -> None:
    outside.queue_declare("full", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    outside.queue_bind("full", "furrow.events", "full.*")
    outside.basic_publish("", "full", b"x")
    refused, other = publish("full.up"), publish("other.thing")
    publisher = outbox()
    with pytest.raises(BrokerError, match="refused 1 of 2 events"):
        publisher.run_once()
    assert list(Event.objects.filter(published_at=None).values_list("pk", flat=True)) == [refused]
    outside.queue_purge("full")
    assert publisher.run_once() == 1
    assert {event["id"] for _, event in taken(outside)} == {str(refused), str(other)}


def test_later_events_of_a_job_wait_for_one_that_was_refused() -> None:
    def event(id: int, job: str | None) -> Outgoing:
        return Outgoing(id, "n", job, 1, "{}", 0, Event().created_at)

    found = [event(1, "a"), event(2, "b"), event(3, "a"), event(4, None), event(5, "b")]
    assert in_order(found, {2, 3, 4, 5}) == [2, 4, 5]
    assert in_order(found, {1, 2, 3, 5}) == [1, 2, 3, 5]


@pytest.mark.usefixtures("db")
def test_what_is_rolled_back_is_not_published() -> None:
    with transaction.atomic():
        publish("order.paid")
        transaction.set_rollback(True)
    assert not Event.objects.exists()


class Paid(pydantic.BaseModel):
    """Data of an event."""

    order: int


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("order paid", {}, "name: 'order paid' must be words"),
        ("", {}, "name"),
        ("job.x.failed", {}, "begins with 'job'"),
        ("a" * 256, {}, "name"),
        (7, {}, "name"),
        ("a.b", {"x": object()}, "data"),
        ("a.b", {"x": float("nan")}, "data"),
        ("a.b", {1: 2}, "texts as keys"),
        ("a.b", {"x": "y" * 70_000}, "at most 65,536"),
        ("a.b", {"x": "a\0b"}, "data"),
    ],
)
def test_what_cannot_be_an_event_says_why(name: Any, data: Any, reason: str) -> None:
    with pytest.raises(EventError) as caught:
        publish(name, data)
    assert reason in str(caught.value)
    assert not Event.objects.exists()


@pytest.mark.usefixtures("nobody_runs")
def test_a_subscriber_gets_one_job_for_each_event(outside: Any, known: Any) -> None:
    subscribe("told.*", "also")(kinds.hears)
    subscriber = known["kinds.hears"]
    for name in ("told.a", "told.a.b", "also", "other"):
        publish(name, Paid(order=7))
    assert outbox().run_once() == 4
    heard(subscriber, 2)
    assert [job.arguments["event"]["type"] for job in Job.objects.order_by("pk")] == ["told.a", "also"]
    Event.objects.update(published_at=None)
    assert outbox().run_once() == 4
    heard(subscriber, 2)
    assert Job.objects.count() == 2
    job = Job.objects.earliest("pk")
    assert (job.kind, job.arguments["event"]["data"], job.meta) == ("kinds.hears", {"order": 7}, {DEPTH_KEY: 1})
    assert Occurred[Paid].model_validate(job.arguments["event"]).data.order == 7


@pytest.mark.usefixtures("nobody_runs")
def test_what_a_subscriber_cannot_read_is_kept_and_what_it_does_not_want_is_dropped(outside: Any, known: Any) -> None:
    subscribe("told.*")(kinds.hears)
    subscriber = known["kinds.hears"]
    declare(subscribers.queues())
    outside.queue_bind(subscriber.queue, "furrow.events", "older")  # of an older pattern
    for body in ('{"type": "older"}', "[]", '{"type": "told.x"}'):
        outside.basic_publish("", subscriber.queue, body.encode(), pika.BasicProperties(message_id=str(uuid.uuid4())))
    heard(subscriber, 3)
    assert not Job.objects.exists()
    first, second = DeadMessage.objects.order_by("pk")
    assert "no event in CloudEvents' JSON" in first.reason
    assert "event" in second.reason


@pytest.mark.usefixtures("nobody_runs")
def test_a_subscriber_that_publishes_what_it_hears_comes_to_an_end(
    outside: Any, known: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from furrow.testing import drain

    subscribe("told.again")(kinds.hears_and_says)
    publish("told.again")
    publisher, rounds = outbox(), 0
    while publisher.run_once():
        heard(known["kinds.hears_and_says"], 1)
        Leader.objects.all().delete()
        drain(raise_on_failure=False)
        publisher, rounds = outbox(), rounds + 1
        assert rounds < 20
    assert rounds == MOST_DEPTH + 1
    last = Job.objects.latest("pk")
    assert last.state in (State.FAILED, State.PENDING)
    assert f"is the end of {MOST_DEPTH + 1} events in a row" in last.error


def test_jobs_of_subscribers_are_told_to_those_alone_that_name_them() -> None:
    every, named = Subscriber(kinds.hears, ("job.#",)), Subscriber(kinds.hears, ("job.kinds.add.*",))
    assert every.wants("job.kinds.add.failed", 0)
    assert not every.wants("job.kinds.add.failed", 1)
    assert named.wants("job.kinds.add.failed", 1)
    assert Subscriber(kinds.hears, ("#",)).wants("order.paid", 3)


@pytest.mark.parametrize(
    ("declare_it", "reason"),
    [
        (lambda: subscribe("a b")(kinds.hears), "is no word of a pattern"),
        (lambda: subscribe("a.#b")(kinds.hears), "is no word of a pattern"),
        (lambda: subscribe("")(kinds.hears), "must be a text"),
        (lambda: subscribe()(kinds.hears), "needs a pattern"),
        (lambda: subscribe(kinds.hears), "needs a pattern"),  # type: ignore[arg-type]
        (lambda: subscribe("a")(kinds.takes_text_and_headers), "takes one argument"),
        (lambda: subscribe("a", queue="default")(kinds.hears), "takes no option"),
        (lambda: [subscribe("a")(kinds.hears), subscribe("b")(kinds.hears)], "subscribes twice"),
    ],
)
def test_a_subscription_that_cannot_work_is_refused_at_import(known: Any, declare_it: Callable[[], Any], reason: str) -> None:
    with pytest.raises(KindError, match=reason):
        declare_it()


@pytest.mark.parametrize(
    ("pattern", "name", "does"),
    [
        ("order.*", "order.paid", True),
        ("order.*", "order.paid.twice", False),
        ("order.#", "order", True),
        ("job.#.failed", "job.failed", True),
        ("job.#.failed", "job.a.b.failed", True),
        ("job.*.failed", "job.a.b.failed", False),
        ("#", "x", True),
        ("a_b.*", "aXb.c", False),
    ],
)
def test_patterns_match_as_in_rabbitmq_and_sql_finds_no_less(pattern: str, name: str, does: bool) -> None:
    assert matches(pattern, name) is does
    sql = re.escape(like(pattern).replace("\\_", "_")).replace("%", ".*")
    assert not does or re.fullmatch(sql, name)


def test_a_name_that_is_too_long_for_amqp_keeps_its_last_word() -> None:
    key = routing_key(f"job.{'ü' * 200}.failed")
    assert key.endswith("ü.failed")
    assert len(key.encode()) <= 255


@pytest.mark.usefixtures("nobody_runs")
def test_the_documented_program_for_node_hears_of_events(outside: Any) -> None:
    (program,) = re.findall(r"^```js\n(// listen\.mjs\n.*?)^```$", (services.ROOT / "docs/events.md").read_text(), re.M | re.S)
    outside.queue_declare("listener.node", durable=True)
    outside.queue_bind("listener.node", "furrow.events", "order.*")
    ids = [publish(name, {"order": 7}) for name in ("order.paid", "stock.low", "order.sent")]
    assert outbox().run_once() == 3
    assert node.run(program, URL, "2") == f"{ids[0]} order.paid \n{ids[2]} order.sent \n"
    assert outside.queue_declare("listener.node", passive=True).method.message_count == 0


@pytest.mark.usefixtures("nobody_runs")
def test_the_documented_program_for_go_hears_of_events(outside: Any) -> None:
    if services.ON_SQLITE:
        pytest.skip("compiled once: it sees no database")
    (program,) = re.findall(r"^```go\n(// listen\.go\n.*?)^```$", (services.ROOT / "docs/events.md").read_text(), re.M | re.S)
    job = make()
    listener = subprocess.Popen([str(go.built(program, "listen")), URL], stdout=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: consumed(outside, "listener.go"), what="the program listens")
        id = Event.objects.create(name="job.kinds.add.failed", job=job.pk, number=1).pk
        publish("order.paid")
        assert outbox().run_once() == 2
        assert listener.stdout is not None
        assert listener.stdout.readline() == f"{id} job.kinds.add.failed {job.pk}\n"
        wait_until(lambda: not outside.queue_declare("listener.go", passive=True).method.message_count, what="all is taken")
    finally:
        listener.kill()
        listener.wait()


@pytest.mark.usefixtures("no_triggers")
def test_events_survive_kill_9_in_order_and_a_stopped_subscriber_gets_each_once(
    bare: Stack, outside: Any, known: Any, tmp_path: Path
) -> None:
    """Dispatchers die while jobs flow; the subscriber is away until the end; the documented program listens outside."""
    subscribe("job.kinds.noop.#")(kinds.hears)
    declare(subscribers.queues())
    blocks = re.findall(r"^```python\n(# listen\.py\n.*?)^```$", (services.ROOT / "docs/events.md").read_text(), re.M | re.S)
    (tmp_path / "listen.py").write_text(blocks[0])
    dispatcher = bare.dispatcher(FURROW_EVENTS="job.kinds.noop.#")
    wait_until(lambda: "written from now on" in dispatcher.text, what="there are triggers")
    bare.worker()
    with (tmp_path / "out").open("wb") as out:
        listener = subprocess.Popen(
            [sys.executable, str(tmp_path / "listen.py")], stdout=out, env={**os.environ, "BROKER_URL": URL}
        )
    try:
        wait_until(lambda: consumed(outside, "listener"), what="the program outside listens")
        for number in range(3):
            submit_many(kinds.noop, [{"n": n} for n in range(100)])
            wait_until(lambda: Event.objects.exclude(published_at=None).exists(), what="some are published")
            dispatcher.kill()
            bare.expire(dispatcher)
            dispatcher = bare.dispatcher(f"dispatcher-{number}", FURROW_EVENTS="job.kinds.noop.#")
        all_ended()
        wait_until(lambda: not Event.objects.filter(published_at=None).exists(), what="all are published")
        written = {(event.job, event.number) for event in Event.objects.all()}
        assert len(written) >= 3 * 300  # what is claimed before it was marked has no "queued"
        wait_until(
            lambda: len({line.split()[0] for line in (tmp_path / "out").read_text().splitlines()}) >= len(written),
            what="the program outside has them all",
        )
    finally:
        listener.kill()
        listener.wait(10)
    numbers: defaultdict[str, list[int]] = defaultdict(list)
    published = taken(outside)
    for _, event in published:
        assert Event.objects.filter(pk=event["id"], job=event["subject"]).exists()
        if event["number"] not in numbers[event["subject"]]:
            numbers[event["subject"]].append(event["number"])
    assert {(uuid.UUID(job), number) for job, found in numbers.items() for number in found} == written
    assert [found for found in numbers.values() if found != list(range(1, len(found) + 1))] == []
    bare.stop()
    heard(known["kinds.hears"], len(published))
    told: defaultdict[str, list[int]] = defaultdict(list)
    for job in Job.objects.filter(kind="kinds.hears").order_by("pk"):
        told[job.arguments["event"]["subject"]].append(job.arguments["event"]["number"])
    assert told == numbers


@pytest.mark.django_db
def test_the_page_of_events_finds_them_by_name_job_and_time_and_names_who_subscribes(site: Client, known: Any) -> None:
    subscribe("order.*")(kinds.hears)
    paid, old = Event.objects.create(name="order.paid", data={"order": 7}), Event.objects.create(name="order.sent")
    Event.objects.filter(pk=old.pk).update(created_at=timezone.now() - dt.timedelta(days=30))
    job = make()
    Event.objects.create(name="job.kinds.add.failed", job=job.pk, number=2, published_at=timezone.now())

    def names(query: str) -> set[str]:
        text = page(site, f"furrow/event/?{query}")
        return {name for name in ("order.paid", "order.sent", "job.kinds.add.failed") if f"<b>{name}</b>" in text}

    assert names("") == {"order.paid", "order.sent", "job.kinds.add.failed"}
    assert names("name=order.") == {"order.paid", "order.sent"}
    assert names(f"job={job.pk}") == names(f"q={job.pk}") == names("q=failed") == {"job.kinds.add.failed"}
    assert names("name=order.&at=24h") == {"order.paid"}
    text = page(site, f"furrow/event/{paid.pk}/change/")
    assert "furrow.events.kinds.hears" in text
    assert "&quot;order&quot;: 7" in text
    assert "waits" in text


@pytest.mark.usefixtures("nobody_runs")
def test_a_subscriber_is_given_what_is_kept_and_no_event_twice(outside: Any, known: Any) -> None:
    old, first, _other = publish("told.old"), publish("told.a", {"n": 1}), publish("other")
    Event.objects.filter(pk=old).update(created_at=timezone.now() - dt.timedelta(hours=3))
    assert outbox().run_once() == 3
    taken(outside)
    subscribe("told.*")(kinds.hears)  # it comes later
    second = publish("told.b")
    assert outbox().run_once() == 1
    subscriber = known["kinds.hears"]
    heard(subscriber, 1)
    said = StringIO()
    call_command(load("replay"), "kinds.hears", "--since", "2h", stdout=said)
    assert said.getvalue() == "2 events sent to kinds.hears.\n"
    heard(subscriber, 2)
    assert [job.arguments["event"]["id"] for job in Job.objects.order_by("pk")] == [str(second), str(first)]
    assert [event["id"] for _, event in taken(outside)] == [str(second)]
    with pytest.raises(EventError, match=r"no kind 'kinds.her' subscribes to events; did you mean 'kinds.hears'"):
        replay("kinds.her", timezone.now())
    with pytest.raises(EventError, match="has no time zone"):
        replay("kinds.hears", dt.datetime(2026, 1, 1))
