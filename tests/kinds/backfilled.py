"""Backfills over Django's groups."""

from typing import Any

from django.contrib.auth.models import Group
from django.db.models import QuerySet
from furrow import backfill

from tests.kinds.declared import QUICK, job


@job(retry=QUICK)
def renames(group: int, word: str = "") -> None:
    """Fail for the groups that are called so."""
    name = Group.objects.filter(pk=group).values_list("name", flat=True).first() or ""
    if name.startswith("bad"):
        raise ValueError(f"group {name} is bad")


@job(retry=QUICK)
def renames_many(groups: list[int]) -> int:
    """How many they were."""
    return len(groups)


@backfill(renames, max_failures=3)
def groups(begin: str = "") -> QuerySet[Any]:
    """The groups whose names begin so.

    Args:
        begin: the beginning.
    """
    return Group.objects.filter(name__startswith=begin)


@backfill(renames_many, name="groups by tens", batch=10, rate="1000/s")
def groups_by_tens() -> QuerySet[Any]:
    """All groups, ten in a job."""
    return Group.objects.all()
