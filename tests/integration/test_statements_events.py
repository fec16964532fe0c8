"""Each move of a job writes its event, whoever moves it, on both databases; the outbox of events."""

import datetime as dt
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import psycopg
import pytest
from django.db import Error, connection, transaction
from django.utils import timezone
from furrow import statements
from furrow.actions.jobs import cancel, change_queue, retry, run_now, snooze
from furrow.actions.queues import put_back
from furrow.dispatcher.expire import Expire
from furrow.dispatcher.leader import Leadership
from furrow.dispatcher.outbox import DENIED, Outbox
from furrow.models import Event, Job
from furrow.models.job import new_id
from furrow.statements import Group, Progress
from furrow.statements.moves import DEPTH_KEY, WORDS
from furrow.statements.protocol import Statements
from furrow.states import Outcome, State

from tests.rows import HOUR, WORKER, claim, lead, make, settle
from tests.stack import database_url

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]

ALL = ["job.%"]


@pytest.fixture
def told(sql: Statements) -> Callable[..., list[str]]:
    """The events of a job since this was called last, without what is the same in all."""
    assert sql.tell_of_jobs(connection, ALL)
    seen: set[int] = set()

    def events(*jobs: Job) -> list[str]:
        found = Event.objects.exclude(pk__in=seen).order_by("pk")
        names = [event.name.removeprefix("job.kinds.add.") for event in found]
        seen.update(found.values_list("pk", flat=True))
        return names

    return events


def released(job: Job) -> None:
    statements.on(connection).release_jobs(connection, WORKER, [str(job.pk)])


def progressed(job: Job) -> None:
    statements.on(connection).write(connection, WORKER, Group(progress=[Progress(str(job.pk), 1, 0.5, "half")]))


def marked(job: Job) -> None:
    term = lead()
    assert term
    assert statements.on(connection).mark_queued(connection, {job.pk: job.attempt}, term) == 1


def back(outcome: Outcome) -> Callable[[Job], Any]:
    return partial(settle, state=State.PENDING, outcome=outcome, delay=9.0)


def by_hand(text: str) -> Callable[[Job], None]:
    """What another program does."""

    def update(job: Job) -> None:
        with connection.cursor() as cursor:
            cursor.execute(text)

    return update


#: From which state, by what, and the event.
MOVES: dict[str, tuple[State, Callable[[Job], Any], list[str]]] = {
    "sent": (State.PENDING, marked, ["queued"]),
    "claimed from pending": (State.PENDING, claim, ["began"]),
    "claimed from queued": (State.QUEUED, claim, ["began"]),
    "progress": (State.RUNNING, progressed, ["progress"]),
    "succeeded": (State.RUNNING, settle, ["succeeded"]),
    "failed": (State.RUNNING, partial(settle, state=State.FAILED, outcome=Outcome.FAILED), ["failed"]),
    "cancelled in its run": (State.RUNNING, partial(settle, state=State.CANCELLED, outcome=Outcome.CANCELLED), ["cancelled"]),
    "failed, and tried again": (State.RUNNING, back(Outcome.FAILED), ["retried"]),
    "timed out, and tried again": (State.RUNNING, back(Outcome.TIMED_OUT), ["retried"]),
    "crashed, and tried again": (State.RUNNING, back(Outcome.CRASHED), ["retried"]),
    "snoozed by its handler": (State.RUNNING, back(Outcome.SNOOZED), ["snoozed"]),
    "interrupted": (State.RUNNING, back(Outcome.INTERRUPTED), ["interrupted"]),
    "of a lost worker": (State.RUNNING, back(Outcome.LOST), ["rescued"]),
    "of a lost worker, for the last time": (
        State.RUNNING, partial(settle, state=State.FAILED, outcome=Outcome.LOST), ["failed"],
    ),
    "taken back": (State.RUNNING, released, ["rescued"]),
    "cancelled before it began": (State.QUEUED, lambda job: cancel(job.pk), ["cancelled"]),
    "asked to stop": (State.RUNNING, lambda job: cancel(job.pk), []),
    "expired": (State.PENDING, lambda job: Expire().run_once(), ["cancelled"]),
    "retried by hand": (State.FAILED, lambda job: retry(job.pk), ["retried"]),
    "put off": (State.QUEUED, lambda job: snooze(job.pk, timezone.now() + HOUR), ["snoozed"]),
    "put off while pending": (State.PENDING, lambda job: snooze(job.pk, timezone.now() + HOUR), ["snoozed"]),
    "to run now": (State.PENDING, lambda job: run_now(job.pk), []),
    "its message was lost": (State.QUEUED, lambda job: put_back(Job.objects.filter(pk=job.pk)), []),
    "moved": (State.PENDING, lambda job: change_queue(job.pk, "other"), []),
    "another program's": (
        State.PENDING,
        by_hand("UPDATE furrow_job SET state = 'cancelled', finished_at = CURRENT_TIMESTAMP"),
        ["cancelled"],
    ),
    "nothing changed": (State.RUNNING, by_hand("UPDATE furrow_job SET error = 'x', state = state"), []),
}  # fmt: skip


@pytest.mark.parametrize(("state", "move", "words"), MOVES.values(), ids=MOVES)
def test_a_move_writes_its_event(
    told: Callable[..., list[str]], state: State, move: Callable[[Job], Any], words: list[str]
) -> None:
    late = {"expires_at": timezone.now() - HOUR} if move is MOVES["expired"][1] else {}
    job = make(state, **late)
    assert told() == ["submitted"]
    move(job)
    assert told() == words
    last = Event.objects.latest("pk")
    assert (last.job, last.number) == (job.pk, 1 + len(words))
    job.refresh_from_db()
    assert (last.data["job"], last.data["kind"], last.data["queue"]) == (str(job.pk), job.kind, "default")
    assert last.data.get("previous") == (state if words else None)
    if words:
        assert (last.data["state"], last.data["attempt"]) == (job.state, job.attempt)


def test_every_word_is_one_of_the_list_and_each_occurs() -> None:
    assert {word for _, _, words in MOVES.values() for word in words} | {"submitted"} == set(WORDS)


@pytest.mark.parametrize("many", [1, 40])  # one INSERT, or one COPY where there is one
def test_jobs_that_are_submitted_together_have_an_event_each(sql: Statements, told: Any, many: int) -> None:
    ids = [new_id() for _ in range(many)]
    with transaction.atomic():
        sql.insert_jobs(connection, ids, ["{}"] * many, {"kind": "kinds.add", "queue": "default"})
    assert told() == ["submitted"] * many
    assert list(Event.objects.order_by("pk").values_list("job", "number")) == [(id, 1) for id in ids]


def test_what_another_program_inserts_has_an_event(told: Any) -> None:
    id = new_id()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO furrow_job (id, kind) VALUES (%s, 'it''s.strange')",
            [id if connection.vendor == "postgresql" else id.hex],
        )
    assert told() == ["job.it's.strange.submitted"]
    assert Event.objects.get().data == {
        "job": str(id),
        "kind": "it's.strange",
        "queue": "default",
        "state": "pending",
        "attempt": 0,
    }


def test_many_moves_of_one_statement_have_an_event_each(sql: Statements, told: Any) -> None:
    jobs = [make() for _ in range(30)]
    told()
    claim(*jobs)
    assert told() == ["began"] * 30
    ends = [
        (State.SUCCEEDED, Outcome.SUCCEEDED), (State.FAILED, Outcome.FAILED), (State.PENDING, Outcome.SNOOZED),
    ]  # fmt: skip
    given = [
        statements.Settlement(str(job.pk), 1, *ends[n % 3], delay=1.0 if n % 3 == 2 else None) for n, job in enumerate(jobs)
    ]
    with transaction.atomic():
        sql.settle(connection, given)
    assert sorted(told()) == ["failed"] * 10 + ["snoozed"] * 10 + ["succeeded"] * 10
    assert [*Event.objects.order_by("number").values_list("number", flat=True)] == [1] * 30 + [2] * 30 + [3] * 30


def test_progress_is_told_once_until_that_is_published(sql: Statements, told: Any) -> None:
    job = make(State.RUNNING)

    def report(fraction: float) -> None:
        sql.write(connection, WORKER, Group(progress=[Progress(str(job.pk), 1, fraction, "")]))

    told(), report(0.1), report(0.1), report(0.2)
    assert told() == ["progress"]
    term = lead()
    assert term
    sql.mark_published(connection, list(Event.objects.values_list("pk", flat=True)), term)
    report(0.3)
    assert told() == ["progress"]
    assert Event.objects.latest("pk").data["progress"] == 0.3


def test_only_what_is_wanted_is_written_and_off_means_no_triggers(sql: Statements) -> None:
    assert sql.tell_of_jobs(connection, ["job.%failed", r"job.kinds.add\_%"])
    assert not sql.tell_of_jobs(connection, [r"job.kinds.add\_%", "job.%failed"])
    job = make(State.RUNNING)
    settle(job, State.FAILED, Outcome.FAILED)
    make(kind="kinds.add_two"), make(kind="kinds.addition")
    assert [event.name for event in Event.objects.order_by("pk")] == ["job.kinds.add.failed", "job.kinds.add_two.submitted"]
    assert sql.tell_of_jobs(connection, [])
    assert not sql.tell_of_jobs(connection, [])
    make()
    assert Event.objects.count() == 2
    assert triggers() == []


def triggers() -> list[Any]:
    catalogue = {"postgresql": "SELECT tgname FROM pg_trigger WHERE tgname LIKE 'furrow_tell%'"}.get(
        connection.vendor, "SELECT name FROM sqlite_master WHERE name LIKE 'furrow_tell%'"
    )
    with connection.cursor() as cursor:
        cursor.execute(catalogue)
        return list(cursor.fetchall())


def test_what_is_rolled_back_has_no_event(told: Any) -> None:
    with transaction.atomic():
        make()
        transaction.set_rollback(True)
    assert told() == []


@pytest.mark.parametrize(
    ("meta", "depth"), [({DEPTH_KEY: 3}, 3), ({DEPTH_KEY: "x"}, 0), ({DEPTH_KEY: 1e9}, 1000), (None, 0), ({}, 0)]
)
def test_how_many_subscribers_led_to_a_job_is_told(told: Any, meta: Any, depth: int) -> None:
    make(meta=meta)
    assert Event.objects.get().depth == depth


def test_the_outbox_is_emptied_in_order_and_marked_by_the_leader_alone(sql: Statements) -> None:
    first, second = Event.objects.create(name="a", data={"n": 1}), Event.objects.create(name="b")
    one, two = sql.unpublished(connection, 9)
    assert (one.id, one.name, one.job, one.number, json.loads(one.data), one.depth) == (first.pk, "a", None, None, {"n": 1}, 0)
    assert abs((one.at - timezone.now()).total_seconds()) < 60
    assert [event.id for event in sql.unpublished(connection, 1)] == [first.pk]
    term = lead()
    assert term
    assert sql.mark_published(connection, [one.id], term - 1) == 0
    assert sql.mark_published(connection, [one.id], term) == 1
    assert sql.mark_published(connection, [one.id], term) == 0
    assert [event.id for event in sql.unpublished(connection, 9)] == [second.pk] == [two.id]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL's columns have types")
def test_what_is_no_name_and_no_job_is_passed_by(sql: Statements) -> None:
    with connection.cursor() as cursor:
        for values in ("x'ff00', NULL", "'a.b', 'garbage'", "'a.b', x'00ff'", "'a.b', 7", f"'a.b', '{'g' * 32}'"):
            cursor.execute(f"INSERT INTO furrow_event (name, job, data) VALUES ({values}, '{{}}')")
        cursor.execute(f"INSERT INTO furrow_event (name, job, number, data) VALUES ('a.b', '{new_id()}', 1, '{{}}')")
    event = Event.objects.create(name="order.paid")
    assert [one.name for one in sql.unpublished(connection, 9)] == ["a.b", "order.paid"]
    assert sql.unpublished(connection, 9)[-1].id == event.pk


def test_old_events_go_and_numbers_go_on(sql: Statements, told: Any) -> None:
    job, gone = make(State.RUNNING), make()
    settle(job)
    Event.objects.create(name="order.paid")
    Event.objects.update(published_at=timezone.now() - dt.timedelta(days=2))
    gone.delete()
    recent, unsent = Event.objects.create(name="x", published_at=timezone.now()), Event.objects.create(name="y")
    Event.objects.filter(pk=unsent.pk).update(created_at=timezone.now() - dt.timedelta(days=2))
    deleted, reached = sql.prune_events(connection, 86400.0, 0, 2)
    assert deleted == 2  # the job's first, and what is gone
    assert sql.prune_events(connection, 86400.0, reached, 9)[0] == 1
    left = Event.objects.exclude(pk__in=[recent.pk, unsent.pk]).get()
    assert (left.job, left.number) == (job.pk, 2)
    assert sql.prune_events(connection, 86400.0, 0, 9) == (0, left.pk)
    assert sql.prune_events(connection, 86400.0, left.pk, 9) == (0, left.pk)
    retry(job.pk)
    assert Event.objects.get(job=job.pk, number=3).name.endswith(".retried")


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite commits to the disk")
def test_what_is_taken_from_the_outbox_is_on_disk(nobody_runs: None) -> None:
    """A claim's commit, by which its event is written, does not wait for the disk: a crash could give its id to another."""
    outbox = connection.copy()  # outside of the test's transaction
    with psycopg.connect(database_url(), autocommit=True) as link:
        link.execute("SET synchronous_commit = off")
        try:
            for _ in range(5):
                link.execute("INSERT INTO furrow_event (name, data) VALUES ('x', '{}')")
                (written,) = link.execute("SELECT pg_current_wal_insert_lsn()").fetchone() or ("",)
                assert statements.on(outbox).unpublished(outbox, 1)
                assert link.execute("SELECT pg_current_wal_flush_lsn() >= %s::pg_lsn", [written]).fetchone() == (True,)
        finally:
            outbox.close()
            link.execute("DELETE FROM furrow_event")


@pytest.fixture
def stranger(sql: Statements) -> Iterator[str]:
    """A role that may do nothing but INSERT and UPDATE jobs."""
    with connection.cursor() as cursor:
        cursor.execute("DROP ROLE IF EXISTS furrow_stranger; CREATE ROLE furrow_stranger")
        cursor.execute("GRANT INSERT, UPDATE, SELECT ON furrow_job TO furrow_stranger")
        cursor.execute("GRANT USAGE ON SCHEMA public TO furrow_stranger")
        yield "furrow_stranger"
        cursor.execute("RESET ROLE; RESET search_path")


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has neither roles nor schemas")
def test_a_program_without_rights_and_with_another_search_path_writes_events_too(told: Any, stranger: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET ROLE {stranger}; SET search_path = pg_catalog")
        cursor.execute("INSERT INTO public.furrow_job (id, kind) VALUES (gen_random_uuid(), 'kinds.add')")
        cursor.execute("UPDATE public.furrow_job SET state = 'cancelled', finished_at = now()")
        cursor.execute("RESET ROLE; RESET search_path")
    assert told() == ["submitted", "cancelled"]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no roles")
def test_a_role_that_does_not_own_the_table_is_denied_the_triggers(stranger: str) -> None:
    outbox = Outbox(Leadership())
    outbox._patterns = frozenset(ALL)
    with connection.cursor() as cursor:
        cursor.execute(f"SET ROLE {stranger}")
        with pytest.raises(Error) as denied, transaction.atomic():
            outbox.keep_triggers()
        cursor.execute("RESET ROLE")
    assert getattr(denied.value.__cause__, "sqlstate", "") == DENIED
