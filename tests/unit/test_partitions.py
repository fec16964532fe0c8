"""Queues with partitions: the declaration, the shares of workers, and the lines."""

from collections import Counter
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from furrow.conf import conf
from furrow.errors import KindError, OptionError
from furrow.kinds.kind import Kind
from furrow.partitions import Queue, from_text, part_name, routing_key, share_out
from furrow.submission.submit import submit
from furrow.worker.intake.lines import Arrived, Lines
from pytest_django import Settings

from tests import kinds

ORDERS = Queue("orders", partitions=8, key="customer_id")


def test_the_environment_says_it_in_one_word() -> None:
    assert from_text("mail") == "mail"
    assert from_text(" orders:8:customer_id") == ORDERS
    assert from_text(str(ORDERS)) == ORDERS


def test_names_are_in_the_order_of_the_partitions() -> None:
    parts = Queue("orders", 100, "key").parts
    assert parts == sorted(parts)
    assert parts[:2] == ["orders.00", "orders.01"]


@pytest.mark.parametrize(
    ("queue", "problem"),
    [
        (Queue("orders", 1, "key"), "partitions=1 must be a whole number from 2 to 100"),
        (Queue("orders", 101, "key"), "partitions=101 must be"),
        (Queue("orders", True, "key"), "partitions=True must be"),
        (from_text("orders:many:key"), "partitions='many' must be"),
        (from_text("orders:8"), "key='' must be the name of an argument"),
        (from_text("orders:8:customer id"), "key='customer id' must be"),
    ],
)
def test_a_declaration_that_cannot_work_is_refused(settings: Settings, queue: Queue, problem: str) -> None:
    settings.FURROW = {"QUEUES": ["default", queue]}
    with pytest.raises(ImproperlyConfigured) as refused:
        conf()
    text = str(refused.value)
    assert text.startswith(f"FURROW['QUEUES'], queue 'orders': {problem}")
    assert text.endswith("in the environment orders:8:customer_id.")


def test_names_that_collide_are_refused(settings: Settings) -> None:
    settings.FURROW = {"QUEUES": ["default", "orders.03", ORDERS]}
    with pytest.raises(ImproperlyConfigured, match=r"'orders.03', which is the name of a partition of 'orders'"):
        conf()
    settings.FURROW = {"QUEUES": ["orders", ORDERS]}
    with pytest.raises(ImproperlyConfigured, match="a list of different names"):
        conf()


def test_a_kind_without_the_key_is_refused_at_import_and_at_submit(settings: Settings) -> None:
    settings.FURROW = {"QUEUES": ["default", ORDERS]}

    def bill(customer_id: int) -> None:
        """Fits."""

    def send(to: str) -> None:
        """Does not."""

    def declare(handler: Any) -> Kind:
        handler.__qualname__ = handler.__name__
        return Kind(handler, submit, queue="orders")

    assert declare(bill).queue == "orders"
    with pytest.raises(KindError, match=r"queue 'orders' has partitions by the argument 'customer_id', and .*send has no such"):
        declare(send)
    with pytest.raises(OptionError) as refused:
        submit(kinds.add, {"a": 1}, queue="orders")
    assert "add it to the handler, or choose another queue" in refused.value.fields["queue"]


def test_limits_in_such_a_queue_are_refused(settings: Settings) -> None:
    settings.FURROW = {"QUEUES": ["default", ORDERS], "QUEUE_LIMITS": {"orders": 3}}
    with pytest.raises(ImproperlyConfigured, match=r"names 'orders': it has partitions, .*: leave the limit out"):
        conf()
    settings.FURROW = {"QUEUES": ["default", ORDERS]}

    def bill(customer_id: int) -> None:
        """Fits."""

    bill.__qualname__ = bill.__name__
    with pytest.raises(KindError, match="queue 'orders': it has partitions"):
        Kind(bill, submit, queue="orders", lock="{customer_id}")
    kind = Kind(bill, submit, queue="orders")
    with pytest.raises(OptionError) as refused:
        submit(kind, {"customer_id": 1}, lock="{customer_id}")
    assert "could deadlock" in refused.value.fields["queue"]


def test_a_key_of_any_length_becomes_a_short_one_that_tells_nothing() -> None:
    assert len(routing_key("x" * 10_000)) == 32
    assert routing_key("anna") != routing_key("Anna")
    assert "anna" not in routing_key("anna")


@pytest.mark.parametrize("workers", [1, 2, 3, 5, 8, 11])
def test_workers_get_even_shares_and_one_that_comes_or_goes_moves_few(workers: int) -> None:
    parts = [part_name("orders", number) for number in range(40)]
    names = [f"worker {number}" for number in range(workers)]
    shares = share_out(parts, names)
    assert list(shares) == parts
    assert share_out(parts, reversed(names)) == shares
    counts = Counter(shares.values())
    assert max(counts.values()) == -(-40 // workers)
    more = share_out(parts, [*names, "another"])
    moved = sum(more[part] != shares[part] for part in parts)
    assert moved <= 40 / (workers + 1) * 2.5


def test_without_workers_nobody_has_anything() -> None:
    assert share_out(["orders.00"], []) == {}


def arrived(id: str) -> Arrived:
    """A message."""
    return Arrived(None, 0, id, "kind")


def ready(lines: Lines) -> list[str]:
    """The jobs that may be claimed now."""
    return [found.id for _ in range(len(lines.ready)) if (found := lines.next()) is not None]


def test_of_a_line_only_the_first_may_go_and_the_next_when_it_has_left() -> None:
    lines = Lines()
    assert all(lines.add("p", key, arrived(key + number)) for number in "123" for key in "ab")
    assert ready(lines) == ["a1", "b1"]
    assert ready(lines) == []
    assert lines.leave("b1") is not None
    assert ready(lines) == ["b2"]
    # Not the first, not there, a second message: nothing changes.
    assert lines.leave("a2") is None
    assert lines.leave("x") is None
    assert not lines.add("p", "a", arrived("a2"))
    assert ready(lines) == []
    assert len(lines) == 5
    # Tried again: the first one, and only of lines that are not looked after.
    lines.try_again("a2")
    assert ready(lines) == []
    lines.again(but={"b2"})
    lines.again(but={"b2"})
    assert ready(lines) == ["a1"]


def test_a_partition_that_is_gone_takes_its_lines_along() -> None:
    lines = Lines()
    lines.add("p", "a", arrived("a1"))
    lines.add("q", "a", arrived("a2"))
    lines.drop("p")
    assert "a1" not in lines
    assert ready(lines) == ["a2"]
    assert lines.leave("a2") is not None
    assert len(lines) == 0
