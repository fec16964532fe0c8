"""Dispatchers that are killed while they add the jobs of a backfill: each row has one job, in the order of the keys."""

from collections.abc import Iterator
from functools import partial

import pytest
from django.contrib.auth.models import Group
from furrow import Job, backfill
from furrow.models import Backfill, Leader

from tests.kinds import renames
from tests.stack import Stack, wait_until

pytestmark = pytest.mark.engine

ROWS = 1_500


@pytest.fixture
def rows(bare: Stack) -> Iterator[list[int]]:
    """The keys of as many rows."""
    yield [one.pk for one in Group.objects.bulk_create(Group(name=f"killed {n}") for n in range(ROWS))]
    Group.objects.filter(name__startswith="killed").delete()


@pytest.mark.dialect
def test_a_dispatcher_that_is_killed_in_the_middle_leaves_each_row_one_job(bare: Stack, rows: list[int]) -> None:
    row = backfill(Group.objects.filter(name__startswith="killed"), renames, rate="200/s", ahead=ROWS + 1)

    def reached() -> int:
        return Backfill.objects.get(pk=row.pk).rows

    def more_than(most: int) -> bool:
        return reached() > most

    for name, most in (("first", 0), ("second", 400)):
        dispatcher = bare.dispatcher(name)
        wait_until(partial(more_than, most), what=f"jobs of more than {most} rows")
        dispatcher.kill()
        assert reached() < ROWS, "the kill came too late to be one in the middle"
        Leader.objects.all().delete()  # instead of waiting for the lease to end
    bare.dispatcher("last")
    wait_until(lambda: Backfill.objects.get(pk=row.pk).exhausted_at, what="every row had its job")
    given = [job.arguments["group"] for job in Job.objects.filter(batch=row.pk).order_by("pk")]
    assert given == rows
    assert reached() == ROWS
