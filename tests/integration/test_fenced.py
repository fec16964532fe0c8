"""Fenced writes: a row takes no write under an older token than it has."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, models
from furrow import FencedModel, Held, LockError, LockLost, StaleFence
from furrow.locks.keeper import Holding

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("live_db")]


class Order(FencedModel):
    """A row that is written under a lock."""

    name = models.CharField(max_length=20)
    total = models.IntegerField(default=0)

    class Meta:
        app_label = "tests"


@pytest.fixture(autouse=True)
def _table(live_db: None) -> Iterator[None]:
    with connection.schema_editor() as editor:
        editor.create_model(Order)
    Order.objects.create(pk=7, name="seven")
    Order.objects.create(pk=8, name="eight")
    yield
    with connection.schema_editor() as editor:
        editor.delete_model(Order)


def rows() -> list[tuple[Any, ...]]:
    """What is in the table."""
    return list(Order.objects.order_by("pk").values_list("pk", "name", "total", "fence"))


UNTOUCHED = (8, "eight", 0, 0)


def test_update() -> None:
    assert Order.objects.fenced(5).filter(pk=7).update(total=1) == 1
    assert Order.objects.filter(pk=7).fenced(5).update(total=2) == 1  # as often as it likes
    with pytest.raises(StaleFence, match="order 7 was written under the newer token 5; yours is 4"):
        Order.objects.fenced(4).filter(pk=7).update(total=9)
    assert rows() == [(7, "seven", 2, 5), UNTOUCHED]
    with pytest.raises(StaleFence):
        Order.objects.fenced(4).update(total=9)
    assert rows() == [(7, "seven", 2, 5), UNTOUCHED], "all or nothing"
    assert Order.objects.fenced(4).filter(pk=99).update(total=9) == 0
    assert Order.objects.fenced(6).filter(total=2).update(total=3) == 1, "also when the filter finds it no more afterwards"
    assert Order.objects.filter(pk=7).update(total=4) == 1, "who names no holder is not fenced"
    assert rows() == [(7, "seven", 4, 6), UNTOUCHED]


def test_claim_keeps_earlier_holders_out_before_the_first_write() -> None:
    assert Order.objects.fenced(5).filter(pk=7).claim() == 1
    with pytest.raises(StaleFence):
        Order.objects.fenced(4).filter(pk=7).update(total=9)
    assert rows() == [(7, "seven", 0, 5), UNTOUCHED]


def test_save() -> None:
    early, late = Order.objects.get(pk=7), Order.objects.get(pk=7)
    late.total = 2
    late.save(fence=5)
    early.total = 1
    with pytest.raises(StaleFence, match="yours is 4"):
        early.save(fence=4)
    assert rows() == [(7, "seven", 2, 5), UNTOUCHED]
    early.save()
    assert rows() == [(7, "seven", 1, 5), UNTOUCHED], "a plain save is not fenced, and leaves the token"
    late.total = 3
    late.save(fence=5, update_fields=["total"])
    assert (late.fence, rows()[0]) == (5, (7, "seven", 3, 5))
    new = Order(pk=9, name="nine")
    new.save(fence=6)
    assert rows()[-1] == (9, "nine", 0, 6)
    Order.objects.filter(pk=9).delete()
    with pytest.raises(Order.DoesNotExist, match="order 9 was deleted"):
        new.save(fence=7)


def test_create_and_delete() -> None:
    assert Order.objects.fenced(5).create(name="new").fence == 5
    assert Order.objects.fenced(5).get_or_create(name="newer", defaults={"total": 1})[0].fence == 5
    with pytest.raises(StaleFence):
        Order.objects.fenced(4).filter(name="new").delete()
    assert Order.objects.fenced(5).filter(name__startswith="new").delete()[0] == 2
    order = Order.objects.get(pk=7)
    order.total = 5
    Order.objects.fenced(5).bulk_update([order], ["total"])
    assert rows() == [(7, "seven", 5, 5), UNTOUCHED]
    writes: list[Any] = [lambda q: q.update_or_create(pk=1), lambda q: q.bulk_create([order])]
    for refused in writes:
        with pytest.raises(LockError, match=r"cannot be fenced: use .*create\(\)"):
            refused(Order.objects.fenced(6))


def test_who_knows_that_the_lock_is_lost_does_not_even_try() -> None:
    held = Held(Holding("lock:order:7", "somebody", 5, 0, until=0.0))
    with pytest.raises(LockLost, match=r"lock:order:7 \(token 5\) is lost"):
        Order.objects.fenced(held)
    with pytest.raises(LockError, match="fence: 'x' must be the object of"):
        Order.objects.fenced("x")  # type: ignore[arg-type]
