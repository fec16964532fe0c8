"""Events: published after the commit, at least once, in order per job."""

import re
from typing import Any

import pytest
from django.db import connection, transaction
from furrow import publish, statements
from furrow.dispatcher.outbox import in_order
from furrow.errors import BrokerError, EventError
from furrow.models import Event
from furrow.rabbitmq.events import EventPublisher, routing_key
from furrow.statements import Outgoing
from furrow.topics import like, matches

from tests.events import outbox, outside, taken
from tests.rows import make

pytestmark = pytest.mark.engine
assert outside  # fixtures


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
