"""Keyset pagination: a page is found by the key of the last row seen, so the last page of millions of rows is as quick as
the first.

A page takes a bounded time. A filter that no index serves may have to look through everything; when that would take too long,
only the rows next to the page's beginning are looked through, the page says so, and a link leads further.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from django.db import connections
from django.db.models import Model, QuerySet

from furrow.statements.bounded import TookTooLong, at_most

#: A page's query may take this long (seconds); asked to be patient, this long.
BUDGET, PATIENT_BUDGET = 0.08, 10.0
#: What is looked through when a query took too long (rows), and how long that may take (seconds).
WINDOW, PATIENT_WINDOW, WINDOW_BUDGET = 10_000, 500_000, 1.0
#: A list that is not longer is counted (rows), if that takes no longer (seconds).
COUNTED, COUNT_BUDGET = 10_000, 0.1


@dataclass
class Place:
    """Where in a list a page is, from its address."""

    after: Any = None
    before: Any = None
    patient: bool = False


@dataclass
class Page:
    """Rows, newest first, and what lies around them."""

    rows: list[Any] = field(default_factory=list)
    newer: bool = False
    older: bool = False
    #: Not all was looked through, but the rows down to this key (``None``: all was).
    searched_to: Any = None
    #: How many rows were looked through, if not all.
    searched: int = 0
    #: Not even those next to the page's beginning could be looked through in time.
    gave_up: bool = False


def page(rows: QuerySet[Any], place: Place, size: int) -> Page:
    """One page of these rows."""
    if place.before is not None:
        found = _read(rows.filter(pk__gt=place.before).order_by("pk"), size + 1, PATIENT_BUDGET if place.patient else BUDGET)
        if found is None:
            return page(rows, Place(patient=place.patient), size)
        return Page(found[:size][::-1], newer=len(found) > size, older=True)
    older = rows.order_by("-pk") if place.after is None else rows.filter(pk__lt=place.after).order_by("-pk")
    found = _read(older, size + 1, PATIENT_BUDGET if place.patient else BUDGET)
    if found is not None:
        return Page(found[:size], newer=place.after is not None, older=len(found) > size)
    return _page_of_window(older, rows.model, place, size)


def _page_of_window(rows: QuerySet[Any], model: type[Model], place: Place, size: int) -> Page:
    width = PATIENT_WINDOW if place.patient else WINDOW
    near = model._default_manager.order_by("-pk")
    if place.after is not None:
        near = near.filter(pk__lt=place.after)
    edge = near.values_list("pk", flat=True)[width - 1 : width].first()
    window = rows if edge is None else rows.filter(pk__gte=edge)
    found = _read(window, size + 1, PATIENT_BUDGET if place.patient else WINDOW_BUDGET)
    newer = place.after is not None
    if found is None:
        return Page(newer=newer, gave_up=True)
    full = len(found) > size
    return Page(found[:size], newer=newer, older=full, searched_to=None if full else edge, searched=width)


def _read(rows: QuerySet[Any], limit: int, seconds: float) -> list[Any] | None:
    try:
        with at_most(connections[rows.db], seconds):
            return list(rows[:limit])
    except TookTooLong:
        return None


def count(rows: QuerySet[Any]) -> tuple[int | None, bool]:
    """How many rows there are, and whether that is exact; beyond ``COUNTED`` it is what the planner thinks (PostgreSQL),
    ``COUNTED + 1`` when it thinks of fewer than there are, or ``None`` when nobody knows."""
    plain = rows.order_by()
    thought = _planned(plain)
    if thought is not None and thought > 2 * COUNTED:
        return thought, False
    try:
        with at_most(connections[rows.db], COUNT_BUDGET):
            counted = plain[: COUNTED + 1].count()
    except TookTooLong:
        counted = None
    if counted is not None and counted <= COUNTED:
        return counted, True
    return (None if thought is None else max(thought, counted or 0)), False


def _planned(rows: QuerySet[Any]) -> int | None:
    if connections[rows.db].vendor != "postgresql":
        return None
    return int(json.loads(rows.explain(format="json"))[0]["Plan"]["Plan Rows"])
