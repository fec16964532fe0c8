"""Versions of event classes: each is published under a name of its own, the older ones with the newest."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from furrow import EventData, Job, Occurred, publish, subscribe
from furrow.errors import EventError
from furrow.events import subscribers
from furrow.models import Event

from tests import kinds
from tests.events import heard, known, outbox, outside, taken

pytestmark = pytest.mark.engine
assert known, outside  # fixtures


class Paid(EventData, name="order.paid"):
    """The first."""

    order: int


class Paid2(Paid, version=2):
    """With a currency."""

    currency: str

    def older(self) -> Paid:
        """Without."""
        return Paid(order=self.order)


class Paid3(EventData, name="order.paid", version=3):
    """Of several orders."""

    orders: list[int]
    currency: str

    def older(self) -> Paid2 | None:
        """Of the only one."""
        return Paid2(order=self.orders[0], currency=self.currency) if len(self.orders) == 1 else None


def told() -> list[tuple[str, dict[str, Any]]]:
    return list(Event.objects.order_by("pk").values_list("name", "data"))


@pytest.mark.django_db
def test_each_version_is_published_under_its_name_with_those_that_are_older() -> None:
    newest = publish(Paid3(orders=[7], currency="EUR"))
    assert told() == [
        ("order.paid.v3", {"orders": [7], "currency": "EUR"}),
        ("order.paid.v2", {"order": 7, "currency": "EUR"}),
        ("order.paid", {"order": 7}),
    ]
    assert newest == Event.objects.get(name="order.paid.v3").pk
    Event.objects.all().delete()
    publish(Paid3(orders=[7, 8], currency="EUR"))
    assert [name for name, _ in told()] == ["order.paid.v3"]
    with transaction.atomic():
        publish(Paid2(order=7, currency="EUR"))
        transaction.set_rollback(True)
    assert Event.objects.count() == 1


@pytest.mark.usefixtures("nobody_runs")
def test_a_subscriber_of_an_older_version_gets_the_older_form(outside: Any, known: Any) -> None:
    subscribe(Paid)(kinds.hears)
    old = known["kinds.hears"]
    assert old.patterns == ("order.paid",)
    publish(Paid3(orders=[7], currency="EUR"))
    assert outbox().run_once() == 3
    heard(old, 1)
    [job] = Job.objects.all()
    assert Occurred[Paid].model_validate(job.arguments["event"]).data == Paid(order=7)
    assert [event["type"] for _, event in taken(outside)] == ["order.paid.v3", "order.paid.v2", "order.paid"]
    del known["kinds.hears"]
    subscribe(Paid3, "other")(kinds.hears)
    assert subscribers.all_subscribers()[0].patterns == ("order.paid.v3", "other")


class Wrong(EventData, name="order.paid", version=2):
    """Whose older version is none."""

    def older(self) -> EventData:
        """Itself."""
        return Wrong()


class Nameless(EventData):
    """A base of others."""


def named(**options: Any) -> Callable[[], Any]:
    return lambda: type("Named", (EventData,), {}, **options)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("do", "said"),
    [
        (lambda: publish(Wrong()), "older: Wrong.older() returned Wrong, which is no older version of 'order.paid'"),
        (lambda: publish(Nameless()), "name: ''"),
        (lambda: publish("order.paid", Paid(order=7)), "data: an event whose class has the name is passed alone"),
        (lambda: publish(Paid(order=7), {}), "passed alone"),
        (named(name="job.x.failed"), "begins with 'job'"),
        (named(name="order paid"), "must be words"),
        (named(name="a" * 254, version=2), "must be words"),
        (named(name="a.b", version=0), "version: 0 of Named must be a whole number from 1 on"),
        (named(name="a.b", version=True), "version: True"),
        (named(name="a.b", version="2"), "version: '2'"),
        (named(version=2), "name"),
    ],
)
def test_what_is_no_event_class_says_why(do: Callable[[], Any], said: str) -> None:
    with pytest.raises(EventError) as caught:
        do()
    assert said in str(caught.value)
    assert not Event.objects.exists()
