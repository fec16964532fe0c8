"""Subscribers: kinds that get a job for each event."""

import datetime as dt
import uuid
from collections.abc import Callable
from io import StringIO
from typing import Any

import pika
import pydantic
import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from furrow import Job, KindError, Occurred, State, publish, subscribe
from furrow.errors import EventError
from furrow.events import subscribers
from furrow.events.publish import MOST_DEPTH
from furrow.events.replay import replay
from furrow.events.subscribers import Subscriber
from furrow.management.commands.furrow import load
from furrow.models import DeadMessage, Event, Leader
from furrow.rabbitmq.events import declare
from furrow.statements.moves import DEPTH_KEY

from tests import kinds
from tests.events import heard, known, outbox, outside, taken
from tests.pages import page
from tests.rows import make

pytestmark = pytest.mark.engine
assert outside, known  # fixtures


class Paid(pydantic.BaseModel):
    """Data of an event."""

    order: int


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
