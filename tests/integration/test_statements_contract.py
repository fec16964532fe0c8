"""Each statement that no other file of this suite calls by itself, on both databases: what goes in, and what comes out."""

import datetime as dt
import json
import uuid
from typing import Any

import pytest
from django.apps import apps
from django.db import Error, connection, connections, transaction
from django.db.models import Sum
from django.utils import timezone
from furrow import statements
from furrow.actions.jobs import retry
from furrow.models import Attempt, Canary, Job, LogLine, Move, Node, Queue, Rollup, Schedule, Tick, Trouble, Worker, Workflow
from furrow.models.job import new_id
from furrow.statements import Moved, NewTick, Rescheduled, guards
from furrow.statements.protocol import Statements
from furrow.states import State

from tests.rows import HOUR, WORKER, make, settle, state_of

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]

COLUMNS: dict[str, Any] = {"kind": "kinds.add", "queue": "default"}


def unique(key: str, **columns: Any) -> dict[str, Any]:
    """A row's own columns: this unique key, until it is done."""
    return {"unique_key": key, "unique_until": "done", **columns}


# --- submission ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 40])  # one INSERT, or one COPY where there is one
def test_jobs_are_inserted_with_columns_of_all_and_of_each(sql: Statements, jobs: int) -> None:
    ids = [new_id() for _ in range(jobs)]
    texts = [json.dumps({"x": number}) for number in range(jobs)]
    own = [{"batch": new_id(), "run_at": timezone.now() + number * HOUR} for number in range(jobs)]
    with transaction.atomic():
        assert sql.insert_jobs(connection, ids, texts, {**COLUMNS, "priority": 3}, own) == jobs
    rows = Job.objects.order_by("pk")
    assert [(row.pk, row.arguments, row.priority) for row in rows] == [(id, {"x": n}, 3) for n, id in enumerate(ids)]
    assert [row.batch for row in rows] == [one["batch"] for one in own]
    assert {row.state for row in rows} == {State.PENDING}


def test_an_id_that_exists_is_left_out(sql: Statements) -> None:
    there, new = make(), new_id()
    assert sql.insert_jobs(connection, [there.pk, new], ["{}", "{}"], COLUMNS) == 1
    assert set(Job.objects.values_list("pk", flat=True)) == {there.pk, new}


def test_a_unique_key_has_one_job(sql: Statements) -> None:
    first, second, third = (new_id() for _ in range(3))
    own = [unique("k"), unique("k"), unique("l")]
    assert sql.insert_unique(connection, [first, second, third], ["{}"] * 3, COLUMNS, own) == {first, third}
    assert sql.keepers(connection, ["k", "l", "m"]) == {"k": first, "l": third}


def test_keys_are_forgotten_of_jobs_that_keep_them_no_more(sql: Statements) -> None:
    keeps = make(unique_key="keeps", unique_until="done")
    make(State.SUCCEEDED, unique_key="done", unique_until="done")
    make(State.RUNNING, unique_key="started", unique_until="started")
    make(unique_key="over", unique_until="time", unique_expires_at=timezone.now() - HOUR)
    sql.forget_keys(connection, ["keeps", "done", "started", "over"])
    assert list(Job.objects.exclude(unique_key=None)) == [keeps]


def test_a_job_that_has_not_begun_is_replaced(sql: Statements) -> None:
    waits, runs = make(State.QUEUED, unique_key="w"), make(State.RUNNING, unique_key="r")
    assert sql.replace(connection, "w", '{"x": 2}', {"priority": 1}) == waits.pk
    waits.refresh_from_db()
    assert (waits.arguments, waits.priority, waits.state, waits.queued_at) == ({"x": 2}, 1, State.PENDING, None)
    assert sql.replace(connection, "r", "{}", {}) is None
    assert sql.replace(connection, "nobody's", "{}", {}) is None
    assert state_of(runs) == State.RUNNING


# --- dispatch, runs, workers --------------------------------------------------------------------------------------------------


def test_what_is_due_and_what_is_for_later_is_counted_by_queue(sql: Statements) -> None:
    oldest = make(run_at=timezone.now() - HOUR)
    make(), make(run_at=timezone.now() + HOUR), make(queue="other", held="lock:a", limits=[]), make(State.SUCCEEDED)
    [(name, due, later, since), other] = sql.waiting(connection, ["default", "other"], 5)
    assert (name, due, later) == ("default", 2, 1)
    assert since is not None
    assert abs((since - oldest.run_at).total_seconds()) < 1
    assert other == ("other", 0, 0, None)


def test_old_jobs_are_pruned_with_all_that_belongs_to_them(sql: Statements) -> None:
    long_ago = timezone.now() - 3 * HOUR
    old = make(State.SUCCEEDED, finished_at=long_ago)
    Attempt.objects.create(job=old, number=1, worker=WORKER, outcome="succeeded", started_at=long_ago, finished_at=long_ago)
    LogLine.objects.create(job=old, attempt=1, at=long_ago, level=20, logger="x", message="y")
    others = [make(State.SUCCEEDED), make(State.FAILED, finished_at=long_ago)]
    kept = make(State.SUCCEEDED, finished_at=long_ago, unique_key="k", unique_expires_at=timezone.now() + HOUR)
    assert sql.prune(connection, State.SUCCEEDED, 3600.0, 9, 1e6) == 1
    assert set(Job.objects.all()) == {*others, kept}
    assert (Attempt.objects.count(), LogLine.objects.count()) == (0, 0)


def test_ids_that_no_job_has_are_unknown(sql: Statements) -> None:
    there, gone = str(make().pk), str(new_id())
    assert sql.unknown(connection, [there, gone]) == {gone}


def test_a_worker_owns_what_it_runs(sql: Statements) -> None:
    mine, stopping = make(State.RUNNING), make(State.RUNNING, cancel_requested_at=timezone.now())
    make(State.RUNNING, worker=new_id()), make()
    assert set(sql.owned(connection, WORKER)) == {str(mine.pk), str(stopping.pk)}
    assert sql.stop_requests(connection, WORKER) == [str(stopping.pk)]


def test_an_external_worker_is_offered_what_is_due_in_the_order_of_the_day(sql: Statements) -> None:
    there: dict[str, Any] = {"queue": "external"}
    last, let_in = make(**there), make(State.QUEUED, **there, limits=[], priority=4)
    first = make(**there, priority=0, run_at=timezone.now() - HOUR)
    second = make(**there, priority=0, run_at=timezone.now() - HOUR / 2)
    make(**there, limits=[]), make(**there, kind="kinds.noop"), make(**there, run_at=timezone.now() + HOUR), make()
    make(**there, expires_at=timezone.now() - HOUR)
    wanted = [str(job.pk) for job in (first, second, let_in, last)]
    assert sql.offered(connection, ["external", "other"], ["kinds.add"], 10) == wanted
    assert sql.offered(connection, ["external"], ["kinds.add"], 2) == wanted[:2]
    assert sql.offered(connection, ["external"], [], 10) == sql.offered(connection, [], ["kinds.add"], 10) == []
    Queue.objects.create(name="external", paused_at=timezone.now())
    assert sql.offered(connection, ["external"], ["kinds.add"], 10) == []


def test_the_key_of_a_partition_is_the_text_of_an_argument(sql: Statements) -> None:
    texts = [make(arguments={"account": value}) for value in ("a", 7)]
    others = [make(arguments={}), make(arguments={"account": None}), make(arguments={"account": "a"}, limits=[])]
    found = sql.partition_keys(connection, [job.pk for job in (*texts, *others)], "account")
    assert found == {texts[0].pk: "a", texts[1].pk: "7"}


def test_jobs_that_have_not_ended(sql: Statements) -> None:
    jobs = {state: str(make(state).pk) for state in State}
    assert sql.unended(connection, [*jobs.values(), str(new_id())]) == {
        jobs[state] for state in (State.WAITING, State.PENDING, State.QUEUED, State.RUNNING)
    }


def test_the_workers_of_a_queue_live_consume_it_and_have_not_paused_it(sql: Statements) -> None:
    until = timezone.now() + HOUR
    common: dict[str, Any] = {"pid": 1, "processes": 1, "queues": ["default"], "lease_until": until}
    good = Worker.objects.create(node="good", **common)
    Worker.objects.create(node="of another queue", **{**common, "queues": ["other"]})
    Worker.objects.create(node="paused", **common, paused=["default"])
    Worker.objects.create(node="stopped", **common, stopped_at=until)
    Worker.objects.create(node="lost", **{**common, "lease_until": timezone.now() - HOUR})
    assert sql.workers_of(connection, "default") == [good.pk]


# --- locks, counts, clock -----------------------------------------------------------------------------------------------------


def test_nobody_has_locked_a_row_that_nobody_has_locked(sql: Statements) -> None:
    job = make()
    with transaction.atomic():
        assert sql.locked(connection, [str(job.pk)]) == set()
    assert sql.locker(connection, job.pk) is None
    assert sql.lockers(connection, 3600.0) == []


def test_what_was_cancelled_before_it_began_is_counted_and_rolled_up(sql: Statements) -> None:
    Rollup.objects.all().delete()
    jobs = [make(State.CANCELLED) for _ in range(3)]
    sql.count_cancelled(connection, [job.pk for job in jobs])

    def counted() -> Any:
        return Rollup.objects.filter(kind="kinds.add", measure="cancelled").aggregate(count=Sum("count"))["count"]

    assert counted() == 3
    Rollup.objects.update(at=int(timezone.now().timestamp()) // 86_400 * 86_400 - 3 * 86_400)
    assert sql.roll(connection) > 0
    assert counted() == 3


def test_the_clock_tells_the_time(sql: Statements) -> None:
    assert abs(sql.clock(connection) - dt.datetime.now(dt.UTC)) < dt.timedelta(seconds=30)


def test_what_lies_in_the_future_after_a_step_back_counts_from_now(sql: Statements) -> None:
    before = timezone.now() + HOUR  # the clock showed this, and was set back by an hour
    sent = make(State.QUEUED, run_at=before - HOUR / 4, queued_at=before - HOUR / 4)
    Job.objects.filter(pk=(fresh := make(run_at=before - HOUR / 2)).pk).update(created_at=before - HOUR / 2)
    later = make(run_at=before + HOUR)
    assert sql.set_back(connection, before) == 1
    assert sql.make_due(connection, before, 9) == 1
    assert sql.make_due(connection, before, 9) == 0
    for job in (sent, fresh, later):
        job.refresh_from_db()
    now = timezone.now()
    assert sent.queued_at is not None
    assert max(sent.run_at, sent.queued_at, fresh.run_at) <= now
    assert later.run_at > before


# --- the session --------------------------------------------------------------------------------------------------------------


def test_a_connection_is_prepared_and_named_and_works(sql: Statements) -> None:
    other = connections["default"].copy()
    try:
        other.ensure_connection()
        sql.prepare(other, statements.BRIEF)
        sql.name_session(other, "0123abcd", 1.0)
        with other.cursor() as cursor:
            cursor.execute("SELECT 1")
            assert cursor.fetchone() == (1,)
    finally:
        other.close()
    assert sql.end_sessions(connection, ["of nobody"]) == 0


def test_a_time_that_python_does_not_know_is_read_as_one_that_it_does(sql: Statements) -> None:
    job = make()
    guarded = guards.guarded(apps.get_models())
    for table in guarded:
        sql.unguard(connection, table)
    far = "'infinity'" if connection.vendor == "postgresql" else "'no time at all'"
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE furrow_job SET run_at = {far}")
    sql.read_any_time(connection)
    assert isinstance(Job.objects.get(pk=job.pk).run_at, dt.datetime)
    Job.objects.all().delete()
    for table in guarded:
        sql.guard(connection, table)
    insert = f"INSERT INTO furrow_job (id, kind, run_at) VALUES ('{uuid.uuid4().hex}', 'k', {far})"
    with pytest.raises(Error, match=r"furrow_job\.run_at"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(insert)


def test_troubles_are_counted_and_begin_anew(sql: Statements) -> None:
    sql.tell(connection, [("a", "once", "r", 1), ("b", "other", "r", 2)], 60.0)
    sql.tell(connection, [("a", "twice", "s", 3)], 60.0)
    assert set(Trouble.objects.values_list("name", "text", "remedy", "count")) == {
        ("a", "twice", "s", 4),
        ("b", "other", "r", 2),
    }
    Trouble.objects.filter(name="a").update(last_at=timezone.now() - HOUR)
    sql.tell(connection, [("a", "again", "s", 1)], 60.0)
    assert Trouble.objects.get(name="a").count == 1


# --- workflows ----------------------------------------------------------------------------------------------------------------


def test_each_end_of_a_nodes_job_leaves_a_move_and_is_taken_once(sql: Statements) -> None:
    flow = Workflow.objects.create(name="w")
    node = Node.objects.create(workflow=flow, name="n", sort="map", jobs=3, open=3)
    done, failed, gone = (make(State.RUNNING, node=node.pk) for _ in range(3))
    make(State.RUNNING)  # of no node
    settle(done)
    settle(failed, State.FAILED)
    gone.delete()
    with transaction.atomic():
        assert sql.take_moves(connection, 2) == [Moved(node.pk, -2, 1, 0)]
        assert sql.take_moves(connection, 9) == [Moved(node.pk, -1, 0, 1)]
        assert sql.take_moves(connection, 9) == []
    retry(failed.pk)
    failed.refresh_from_db()
    failed.delete()
    sql.unfollow_nodes(connection)
    retry(done.pk)
    sql.follow_nodes(connection)
    with transaction.atomic():
        assert sql.take_moves(connection, 9) == [Moved(node.pk, 0, -1, 1, asked=True)]


# --- schedules ----------------------------------------------------------------------------------------------------------------


def test_a_time_of_a_schedule_has_one_tick(sql: Statements) -> None:
    row = Schedule.objects.create(name="a", kind="kinds.noop", timing="@daily")
    moment, jobs = timezone.now(), [new_id(), new_id()]
    first = NewTick(row.pk, moment, jobs[0], "fired", "time", 3, "")
    missed = NewTick(row.pk, moment + HOUR, None, "missed", "time", 0, "why")
    assert sql.insert_ticks(connection, [first, missed]) == {jobs[0]}
    assert sql.insert_ticks(connection, [first._replace(job=jobs[1]), missed._replace(job=jobs[1])]) == set()
    found = Tick.objects.order_by("due_at").values_list("schedule", "due_at", "job", "outcome", "origin", "missed", "note")
    assert list(found) == [tuple(first), tuple(missed)]


def test_schedules_move_on(sql: Statements) -> None:
    moment, job = timezone.now(), new_id()
    one, two = (Schedule.objects.create(name=name, kind="kinds.noop", timing="@daily", held="why") for name in "ab")
    later = moment + HOUR
    sql.move_schedules(
        connection, [Rescheduled(one.pk, moment, later, moment, job, ""), Rescheduled(two.pk, None, None, None, None, "no")]
    )
    stays = Rescheduled(two.pk, None, None, None, None, "no")
    sql.move_schedules(connection, [Rescheduled(one.pk, moment, later, moment, job, ""), stays])
    sql.move_schedules(connection, [Rescheduled(one.pk, later, later, None, None, "")])
    rows = Schedule.objects.order_by("name").values_list("next_at", "fire_at", "last_at", "last_job", "held")
    assert list(rows) == [(later, later, moment, job, ""), (None, None, None, None, "no")]


def test_waiting_jobs_of_a_node_are_freed_so_many_at_once(sql: Statements) -> None:
    flow = Workflow.objects.create(name="w")
    node = Node.objects.create(workflow=flow, name="n", sort="map", jobs=4, open=4)
    later = timezone.now() + HOUR
    jobs = [
        make(State.WAITING, node=node.pk),
        make(State.WAITING, node=node.pk, run_at=later),
        make(State.WAITING, node=node.pk),
    ]
    done, other = make(State.SUCCEEDED, node=node.pk), make(State.WAITING, node=new_id())
    assert sql.free_nodes(connection, [node.pk], 2) == {"default": 2}
    assert [state_of(job) for job in [*jobs, done, other]] == ["pending", "pending", "waiting", "succeeded", "waiting"]
    for job in jobs:
        job.refresh_from_db()
    assert jobs[0].run_at > jobs[2].run_at
    assert abs((jobs[1].run_at - later).total_seconds()) < 1
    Job.objects.filter(pk=jobs[2].pk).update(queue="other")
    assert [sql.free_nodes(connection, [node.pk], 9) for _ in range(2)] == [{"other": 1}, {}]
    assert not sql.moves_wait(connection)
    done.delete()
    jobs[0].delete()
    assert sql.moves_wait(connection)


def test_moves_of_nodes_that_are_gone_are_deleted(sql: Statements) -> None:
    flow = Workflow.objects.create(name="w")
    kept, gone = (Node.objects.create(workflow=flow, name=name) for name in "ab")
    lost = Node.objects.create(workflow=Workflow(pk=new_id(), name="never written"), name="c")
    for node in (kept, gone, lost):
        Move.objects.create(node=node.pk)
    gone.delete()
    assert (sql.drop_lost_moves(connection, 9), sql.drop_lost_moves(connection, 9)) == (2, 0)
    assert list(Move.objects.values_list("node", flat=True)) == [kept.pk]


def test_jobs_of_a_node_that_were_deleted_past_the_trigger_are_counted_as_cancelled_once(sql: Statements) -> None:
    flow = Workflow.objects.create(name="w")
    lost, some, told, ended = (Node.objects.create(workflow=flow, name=name, sort="map", jobs=2, open=2) for name in "abcd")
    make(State.RUNNING, node=some.pk)
    Move.objects.create(node=told.pk, open=-2)
    Node.objects.filter(pk=ended.pk).update(state="succeeded", open=0)
    assert (sql.count_lost_jobs(connection, 9), sql.count_lost_jobs(connection, 9)) == (1, 0)
    assert list(Move.objects.filter(node=lost.pk).values_list("open", "failed", "cancelled")) == [(-2, 0, 2)]


def test_arguments_are_put_over_those_of_a_nodes_jobs(sql: Statements) -> None:
    node = new_id()
    first, second = (make(State.WAITING, node=node, arguments={"a": 1, "b": {"c": [1]}}) for _ in range(2))
    done, other = make(State.SUCCEEDED, node=node, arguments={}), make(State.WAITING, node=new_id(), arguments={})
    given = {"b": {"d": None}, "größe": ["\u00e4", True, 1.5], "text": 'a "quoted" one', "nothing": None}
    assert sql.fill_in(connection, node, json.dumps(given)) == 2
    assert [Job.objects.get(pk=job.pk).arguments for job in (first, second, done, other)] == [{"a": 1, **given}] * 2 + [{}, {}]
    assert sql.fill_in(connection, node, "{}", State.SUCCEEDED) == 1


def test_canaries_are_read_with_the_versions_that_living_workers_have(sql: Statements) -> None:
    assert sql.canaries(connection) == ([], frozenset())
    Canary.objects.create(kind="kinds.noop", version="2", share=0.25)
    assert sql.canaries(connection) == ([("kinds.noop", "2", 0.25)], frozenset())
