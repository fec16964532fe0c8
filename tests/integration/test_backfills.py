"""Backfills: rows are gone through in the order of their keys, each has one job, and how far it came is a row."""

import datetime as dt
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection, transaction
from django.db.models import Count, F
from django.utils import timezone
from furrow import ArgumentError, Job, KindError, State, backfill
from furrow.backfills import acting, moving
from furrow.backfills.declared import get_backfill, start
from furrow.backfills.progress import progress
from furrow.backfills.queries import keep, made_again
from furrow.errors import InputError
from furrow.models import Backfill, Schedule, Worker
from pytest_django import Settings

from tests.kinds import groups, groups_by_tens, renames, renames_many

pytestmark = pytest.mark.engine


def make(number: int, name: str = "group") -> list[Group]:
    """So many rows."""
    return Group.objects.bulk_create(Group(name=f"{name} {n}") for n in range(number))


def move(row: Backfill) -> int:
    """Let the leading dispatcher look at it once, whatever its time; returns how many jobs that added."""

    def failed(what: str, error: Exception) -> None:
        raise error

    Backfill.objects.filter(pk=row.pk, next_at__isnull=False).update(next_at=timezone.now() - dt.timedelta(days=1))
    added = moving.move_due(failed)
    row.refresh_from_db()
    return added


def end(row: Backfill, state: State = State.SUCCEEDED) -> None:
    """All its jobs end so."""
    unended = Job.objects.filter(batch=row.pk, state=State.PENDING)
    unended.update(state=state, finished_at=timezone.now())


def keys(row: Backfill) -> list[Any]:
    """What its jobs were given, in their order."""
    return [one.arguments[row.argument] for one in Job.objects.filter(batch=row.pk).order_by("pk")]


@pytest.mark.django_db
def test_each_row_has_one_job_in_the_order_of_keys_and_it_ends_when_these_have() -> None:
    made, other = make(5), make(2, "other")
    row = groups.start(begin="group")
    assert (row.name, row.total, row.first, row.last) == (groups.name, 5, made[0].pk, made[-1].pk)
    assert move(row) == 5
    assert keys(row) == [one.pk for one in made]
    assert (row.state, row.exhausted_at is None) == ("running", False)
    make(1, "group late")  # behind the last one that there was when it began
    assert move(row) == 0
    assert row.state == "running"
    end(row)
    move(row)
    assert (row.state, row.rows, row.made) == ("ended", 5, 5)
    assert other[0].pk not in keys(row)


@pytest.mark.django_db
def test_rows_are_put_together_and_the_rate_and_the_jobs_ahead_are_kept() -> None:
    made = make(25)
    row = groups_by_tens.start()
    assert move(row) == 3
    assert [len(part) for part in keys(row)] == [10, 10, 5]
    assert (row.reached, row.rows) == (made[-1].pk, 25)
    slow = backfill(Group.objects.all(), renames_many, batch=1, rate="4/s", ahead=6)
    began = timezone.now()
    assert move(slow) == 4  # a second's
    assert slow.next_at is not None
    assert slow.next_at > began + dt.timedelta(seconds=0.9)
    assert move(slow) == 2  # six ahead
    assert move(slow) == 0
    end(slow)
    assert move(slow) == 4
    assert [key for part in keys(slow) for key in part] == [one.pk for one in made[:10]]


@pytest.mark.django_db
def test_too_many_failures_stop_it_until_a_person_lets_it_go_on() -> None:
    make(10)
    row = backfill(Group.objects.all(), renames, ahead=4, max_failures=3)
    move(row)
    end(row, State.FAILED)
    assert move(row) == 0
    assert (row.state, row.reason, row.next_at) == ("stopped", "4 jobs failed: more than 3", None)
    assert move(row) == 0
    assert acting.resume(row)
    assert move(row) == 4
    assert acting.retry_failed(row) == 4
    assert not Job.objects.filter(batch=row.pk, state=State.FAILED).exists()


@pytest.mark.django_db
def test_a_share_that_may_fail_is_looked_at_when_enough_have_ended() -> None:
    make(60)
    row = backfill(Group.objects.all(), renames, ahead=10, max_failures=0.2)
    for state in (State.FAILED, State.SUCCEEDED):
        assert move(row) == 10
        end(row, state)
    assert move(row) == 0
    assert row.reason == "10 of 20 jobs failed: more than 20.0%"


@pytest.mark.django_db
def test_it_is_paused_resumed_and_cancelled_with_its_jobs() -> None:
    make(10)
    row = backfill(Group.objects.all(), renames, ahead=4)
    assert move(row) == 4
    assert acting.pause(row, reason="lunch")
    assert not acting.pause(row)
    assert move(row) == 0
    end(row)
    assert acting.resume(row)
    assert move(row) == 4
    assert acting.cancel(row)
    assert not acting.cancel(row)
    assert not acting.resume(row)
    assert move(row) == 0
    states = Job.objects.filter(batch=row.pk).values_list("state").annotate(n=Count("pk")).order_by("state")
    assert dict(states) == {"cancelled": 4, "succeeded": 4}
    told = progress(row, timezone.now())
    assert (told.cancelled, told.succeeded(row), told.share) == (4, 4, 0.8)


@pytest.mark.django_db
def test_what_cannot_go_on_is_held_where_it_is_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    make(3)
    row = groups.start(begin="group")
    Backfill.objects.filter(pk=row.pk).update(kind="kinds.gone")
    assert move(row) == 0
    assert "There is no kind 'kinds.gone'" in row.held
    Backfill.objects.filter(pk=row.pk).update(kind="kinds.renames", name="gone")
    assert move(row) == 0
    assert "the code has no backfill 'gone'" in row.held
    Backfill.objects.filter(pk=row.pk).update(name=groups.name, parameters={"end": "x"})
    assert move(row) == 0
    assert "end: is not an argument" in row.held
    Backfill.objects.filter(pk=row.pk).update(parameters={"begin": "group"})
    assert move(row) == 3
    assert (row.held, row.rows) == ("", 3)


@pytest.mark.django_db
def test_the_same_rows_are_not_begun_twice_while_one_is_under_way() -> None:
    make(2)
    row = groups.start(begin="group")
    with pytest.raises(InputError, match=f"the same is under way .{row.pk}"):
        groups.start(begin="group")
    other = groups.start(begin="")
    acting.cancel(row)
    assert groups.start(begin="group").pk not in (row.pk, other.pk)


@pytest.mark.django_db
def test_a_start_that_is_rolled_back_leaves_nothing_and_one_without_rows_ends() -> None:
    with transaction.atomic():
        groups.start()
        transaction.set_rollback(True)
    assert not Backfill.objects.exists()
    row = groups.start(begin="nobody")
    move(row)
    assert (row.state, row.total, row.made) == ("ended", 0, 0)


@pytest.mark.django_db
def test_what_a_kind_does_not_take_is_refused_at_the_start() -> None:
    make(2)
    for wrong, text in (
        ({"batch": 2}, "group: "),
        ({"batch": 0}, "batch: 0 must be a whole number from 1"),
        ({"rate": "fast"}, "rate: 'fast' must be a number of starts"),
        ({"max_failures": -1}, "max_failures: -1 must be"),
        ({"ahead": True}, "ahead: True must be"),
        ({"argument": "word2"}, "'word2' is no argument of kinds.renames; did you mean 'word'"),
        ({"arguments": {"group": 1}}, "group: is given the keys of the rows"),
        ({"queue": "nowhere"}, "queue: 'nowhere' is unknown"),
    ):
        with pytest.raises(ValueError, match=text):
            backfill(Group.objects.all(), renames, **wrong)
    with pytest.raises(ArgumentError, match="until: is not an argument"):
        groups.start(until="x")
    with pytest.raises(KindError, match="give a kind"):
        backfill("kinds.renames")  # type: ignore[call-overload]
    with pytest.raises(InputError, match="did you mean 'groups by tens'"):
        get_backfill("groups by ten")
    with pytest.raises(InputError, match="'x' must be a number of starts"):
        start("groups by tens", {}, changes={"rate": "x"})
    assert not Backfill.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "rows",
    [
        lambda: Group.objects.all(),
        lambda: Group.objects.filter(name="x", pk__gt=3).exclude(name__in=["a", "b"]),
        lambda: User.objects.filter(date_joined__year=2026) | User.objects.filter(last_login=None),
        lambda: User.objects.filter(date_joined__lt=dt.datetime(2026, 1, 2, 3, 4, 5, 6, dt.UTC), is_staff=True),
        lambda: Schedule.objects.filter(jitter__gte=0.5, name__iregex="^a").using("default"),
        lambda: Worker.objects.filter(started_at__date=dt.date(2026, 1, 1)),
        lambda: Job.objects.filter(pk="01a205c0-f458-76a1-9ac2-f6a18457f66a", submitted_by=7),
    ],
    ids=str,
)
def test_a_queryset_is_kept_as_its_filters(rows: Callable[[], Any]) -> None:
    kept = json.loads(json.dumps(keep(rows())))
    assert str(made_again(kept).order_by("pk").query) == str(rows().order_by("pk").query)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("rows", "text"),
    [
        (lambda: User.objects.filter(groups__name="x"), "another table"),
        (lambda: User.objects.filter(last_login__gt=F("date_joined")), "have Col in them"),
        (lambda: User.objects.filter(pk__in=Group.objects.values("pk")), "have Query in them"),
        (lambda: Group.objects.annotate(n=Count("user")).filter(n__gt=1), "in them"),
        (lambda: Group.objects.all()[:5], "is sliced"),
        (lambda: Group.objects.filter(pk=1).union(Group.objects.all()), "is a union"),
        (lambda: Group.objects.none(), "in them"),
    ],
    ids=str,
)
def test_what_is_more_than_filters_is_refused_by_name(rows: Callable[[], Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        backfill(rows(), renames)


@pytest.mark.django_db
def test_a_row_that_a_join_gives_twice_has_one_job(monkeypatch: pytest.MonkeyPatch) -> None:
    made = make(3)
    people = [User.objects.create(username=f"user {number}") for number in range(3)]
    for group in made:
        group.user_set.set(people)
    monkeypatch.setattr(groups, "function", lambda begin: Group.objects.filter(user__username__startswith="user"))
    row = groups.start()
    Backfill.objects.filter(pk=row.pk).update(ahead=4)
    while move(row):
        end(row)
    assert (row.total, keys(row)) == (3, [one.pk for one in made])


@pytest.mark.usefixtures("committed")
def test_two_that_believe_to_lead_give_each_row_one_job(settings: Settings) -> None:
    made = make(300)
    row = backfill(Group.objects.all(), renames, rate="40/s")

    def lead() -> None:
        try:
            for _ in range(30):
                Backfill.objects.filter(pk=row.pk).update(next_at=timezone.now() - dt.timedelta(hours=1))
                moving.move_due(lambda what, error: None)
        finally:
            connection.close()

    try:
        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(lead) for _ in range(2)]:
                done.result(timeout=60)
        row.refresh_from_db()
        assert keys(row) == [one.pk for one in made][: row.rows]
        assert row.rows == row.made == Job.objects.count() > 0
    finally:
        Group.objects.all().delete()


@pytest.mark.django_db
def test_the_example_of_the_documentation_runs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "backfills.md").read_text()
    example: dict[str, Any] = {"__name__": "accounts.tasks"}
    exec(page.partition("```python\n")[2].partition("```")[0], example)
    people = [User.objects.create(username=name, email=f"{name}@Example.com") for name in ("Ann", "Ben")]
    User.objects.create(username="Cy", email="Cy@Elsewhere.com")
    row = example["lower_emails"].start(domain="@Example.com")
    assert move(row) == 2
    for key in keys(row):
        example["lower_email"](key)
    assert keys(row) == [one.pk for one in people]
    assert [*User.objects.order_by("pk").values_list("email", flat=True)] == [
        "ann@example.com",
        "ben@example.com",
        "Cy@Elsewhere.com",
    ]
