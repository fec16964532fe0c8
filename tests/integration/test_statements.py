"""The engine's SQL on both databases: who may move a job, who wins a race, and who is too late."""

import datetime as dt
import json
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from django.db import DataError, connection, connections, transaction
from django.utils import timezone

from apps.jobs import statements
from apps.jobs.actions import cancel, retry
from apps.jobs.dispatcher.expire import Expire
from apps.jobs.dispatcher.prune import Prune
from apps.jobs.models import Attempt, Job, Leader, LogLine, Worker, WorkerRequest
from apps.jobs.models.job import new_id
from apps.jobs.statements import Answer, Asked, Group, LogRecord, Progress, Report, Settlement
from apps.jobs.states import CLAIMABLE, FINAL, MOVES, UNSTARTED, Outcome, State
from tests.stack import wait_until

pytestmark = pytest.mark.engine

WORKER = new_id()
HOUR = dt.timedelta(hours=1)


@pytest.fixture(autouse=True)
def _database(request: pytest.FixtureRequest) -> None:
    """A transaction around each test; but the races need rows that other connections see."""
    request.getfixturevalue("committed" if "committed" in request.fixturenames else "db")
    # Dispatchers and workers of other tests leave theirs.
    Leader.objects.all().delete()
    Worker.objects.all().delete()


@pytest.fixture
def sql() -> Any:
    """The statements of this database."""
    return statements.on(connection)


def make(state: State = State.PENDING, **columns: Any) -> Job:
    """A job in this state."""
    now = timezone.now()
    if state is State.RUNNING:
        columns = {"worker": WORKER, "started_at": now, "attempt": 1, **columns}
    if state in FINAL:
        columns = {"finished_at": now, "attempt": 1, **columns}
    if state is State.QUEUED:
        columns = {"queued_at": now, **columns}
    return Job.objects.create(**{"kind": "kinds.add", "state": state, "run_at": now - dt.timedelta(seconds=1), **columns})


def state_of(job: Job) -> State:
    """As the database has it."""
    return State(Job.objects.values_list("state", flat=True).get(pk=job.pk))


def claim(*jobs: Job) -> list[uuid.UUID]:
    """The jobs that could be claimed."""
    with transaction.atomic():
        return [uuid.UUID(c.id) for c in statements.on(connection).claim(connection, WORKER, [str(job.pk) for job in jobs])]


def settle(job: Job, state: State = State.SUCCEEDED, outcome: Outcome = Outcome.SUCCEEDED, **fields: Any) -> bool:
    """Whether this settled the run."""
    given = Settlement(str(job.pk), fields.pop("attempt", 1), state, outcome, **fields)
    with transaction.atomic():
        return statements.on(connection).settle(connection, [given]) == {str(job.pk)}


def lead(holder: str = "one", lease: float = 60) -> int | None:
    """The term, if this one leads."""
    term: int | None = statements.on(connection).lead(connection, "dispatcher", holder, lease)
    return term


# --- every statement follows the table of moves -----------------------------------------------------------------------------


@pytest.mark.parametrize("state", State)
def test_a_claim_takes_a_job_from_the_states_of_the_table(state: State) -> None:
    job = make(state)
    assert bool(claim(job)) == (State.RUNNING in MOVES[state]) == (state in CLAIMABLE)
    assert state_of(job) == (State.RUNNING if state in CLAIMABLE else state)


@pytest.mark.parametrize("state", State)
def test_only_a_pending_job_is_marked_queued(state: State, sql: Any) -> None:
    job, term = make(state), lead()
    assert sql.mark_queued(connection, [job.pk], term) == (State.QUEUED in MOVES[state])
    assert state_of(job) == (State.QUEUED if state is State.PENDING else state)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("target", [*FINAL, State.PENDING])
def test_only_a_running_job_is_settled(state: State, target: State) -> None:
    job = make(state, attempt=1)
    assert settle(job, target) == (state is State.RUNNING)
    assert state_of(job) == (target if state is State.RUNNING else state)
    assert Attempt.objects.count() == (state is State.RUNNING)


@pytest.mark.parametrize("state", State)
def test_cancel_ends_what_has_not_begun_and_asks_what_runs(state: State) -> None:
    job = make(state)
    assert cancel(job.pk) == (state not in FINAL)
    assert state_of(job) == (State.CANCELLED if state in UNSTARTED else state)
    job.refresh_from_db()
    assert (job.cancel_requested_at is not None) == (state is State.RUNNING)


@pytest.mark.parametrize("state", State)
def test_retry_by_hand_moves_what_has_ended(state: State) -> None:
    job = make(state, error="e", max_attempts=1)
    assert retry(job.pk) == (state in FINAL)
    job.refresh_from_db()
    assert job.state == (State.PENDING if state in FINAL else state)
    if state in FINAL:
        assert (job.finished_at, job.error, job.attempt, job.max_attempts) == (None, "", 1, 2)
        assert claim(job) == [job.pk]


@pytest.mark.parametrize("state", State)
def test_only_what_has_not_begun_expires(state: State) -> None:
    job = make(state, expires_at=timezone.now() - HOUR)
    expires = state in (State.PENDING, State.QUEUED)
    assert Expire().run_once() == expires
    assert state_of(job) == (State.CANCELLED if expires else state)


# --- claim ------------------------------------------------------------------------------------------------------------------


def test_a_claim_leaves_out_what_is_not_due_or_expired_or_gone(sql: Any) -> None:
    future, expired = make(run_at=timezone.now() + HOUR), make(expires_at=timezone.now() - HOUR)
    due, queued = make(), make(State.QUEUED)
    later = make(expires_at=timezone.now() + HOUR)
    gone = Job(pk=new_id())
    assert set(claim(future, expired, due, queued, later, gone)) == {due.pk, queued.pk, later.pk}
    assert (state_of(future), state_of(expired)) == (State.PENDING, State.PENDING)


def test_what_a_claim_returns_and_writes(sql: Any) -> None:
    before: dict[str, Any] = {"error": "x", "progress": 0.5, "progress_note": "n"}
    job = make(State.QUEUED, arguments={"a": "ü"}, attempt=3, excused=1, max_attempts=7, **before)
    with transaction.atomic():
        (claimed,) = sql.claim(connection, WORKER, [str(job.pk)])
    assert (claimed.id, claimed.kind, claimed.attempt, claimed.excused, claimed.max_attempts) == (
        str(job.pk),
        "kinds.add",
        4,
        1,
        7,
    )
    assert json.loads(claimed.arguments) == {"a": "ü"}
    job.refresh_from_db()
    assert (job.attempt, job.worker, job.error, job.progress, job.progress_note) == (4, WORKER, "", None, "")
    assert job.started_at is not None
    assert abs(timezone.now() - job.started_at) < dt.timedelta(seconds=5)


def test_nothing_is_claimed_of_nothing(sql: Any) -> None:
    with transaction.atomic():
        assert sql.claim(connection, WORKER, []) == []
        assert sql.settle(connection, []) == set()
    assert sql.write(connection, WORKER, Group()) == []
    assert sql.mark_queued(connection, [], 1) == 0


# --- settle -----------------------------------------------------------------------------------------------------------------


def test_a_stale_attempt_changes_nothing_and_leaves_no_record() -> None:
    job = make(State.RUNNING, attempt=2)
    before = Job.objects.filter(pk=job.pk).values().get()
    for attempt in (0, 1, 3):
        assert not settle(job, State.FAILED, Outcome.FAILED, attempt=attempt, error="stale", result="1")
    assert Job.objects.filter(pk=job.pk).values().get() == before
    assert Attempt.objects.count() == 0
    assert settle(job, attempt=2)


def test_a_run_is_settled_once() -> None:
    job = make(State.RUNNING)
    assert settle(job, State.SUCCEEDED, result='"first"')
    assert not settle(job, State.FAILED, Outcome.FAILED, error="second")
    job.refresh_from_db()
    assert (job.state, job.result, job.error) == (State.SUCCEEDED, "first", "")
    assert Attempt.objects.get().outcome == Outcome.SUCCEEDED


def test_a_settled_run_and_its_record() -> None:
    job, claimed = make(State.RUNNING), 1_700_000_000.0
    Job.objects.filter(pk=job.pk).update(started_at=dt.datetime.fromtimestamp(claimed, dt.UTC))
    fields: dict[str, Any] = {
        "pid": 7,
        "started": claimed + 0.25,
        "finished": claimed + 1.5,
        "error": "e",
        "error_type": "E",
    }
    assert settle(job, State.FAILED, Outcome.TIMED_OUT, traceback="t", **fields)
    job.refresh_from_db()
    attempt = job.attempts.get()
    assert (job.state, job.error) == (State.FAILED, "e")
    assert (attempt.number, attempt.outcome, attempt.worker, attempt.pid) == (1, "timed out", WORKER, 7)
    assert (attempt.error_type, attempt.error, attempt.traceback, attempt.seconds) == ("E", "e", "t", 1.25)
    assert attempt.started_at == job.started_at == dt.datetime.fromtimestamp(claimed + 0.25, dt.UTC)


@pytest.mark.parametrize("wrong", [-86_400.0, 86_400.0])
def test_a_workers_wrong_clock_counts_only_between_the_claim_and_now(wrong: float) -> None:
    job = make(State.RUNNING)
    claimed, started = job.started_at, job.started_at.timestamp() + wrong
    assert settle(job, State.FAILED, Outcome.FAILED, started=started, finished=started + 1)
    job.refresh_from_db()
    attempt = job.attempts.get()
    assert claimed <= attempt.started_at == job.started_at <= attempt.finished_at <= timezone.now() + dt.timedelta(seconds=5)


def test_without_times_of_its_own_a_run_lasted_from_the_claim_until_now() -> None:
    job = make(State.RUNNING)
    assert settle(job, State.FAILED, Outcome.CRASHED)
    attempt = Attempt.objects.get()
    assert attempt.started_at == job.started_at
    assert abs(timezone.now() - attempt.finished_at) < dt.timedelta(seconds=5)


@pytest.mark.parametrize(
    ("outcome", "excused"), [(Outcome.FAILED, 0), (Outcome.LOST, 0), (Outcome.SNOOZED, 1), (Outcome.INTERRUPTED, 1)]
)
def test_back_to_pending_with_a_delay(outcome: Outcome, excused: int) -> None:
    job = make(State.RUNNING, queued_at=timezone.now())
    assert settle(job, State.PENDING, outcome, delay=60.0, error="later")
    job.refresh_from_db()
    assert (job.state, job.excused, job.finished_at, job.queued_at, job.error) == (State.PENDING, excused, None, None, "later")
    assert dt.timedelta(seconds=50) < job.run_at - timezone.now() <= dt.timedelta(seconds=61)
    assert claim(job) == []


def test_the_next_attempt_has_the_next_number() -> None:
    job = make()
    for number in (1, 2, 3):
        assert claim(job) == [job.pk]
        assert settle(job, State.PENDING, Outcome.FAILED, attempt=number)
    assert list(job.attempts.order_by("number").values_list("number", flat=True)) == [1, 2, 3]


def test_a_cancel_that_was_asked_for_wins_over_another_attempt() -> None:
    job, done = make(State.RUNNING), make(State.RUNNING)
    assert cancel(job.pk)
    assert cancel(done.pk)
    assert settle(job, State.PENDING, Outcome.FAILED, delay=60.0, error="e")
    assert settle(done, State.SUCCEEDED)
    job.refresh_from_db()
    assert (job.state, job.finished_at is not None) == (State.CANCELLED, True)
    assert state_of(done) == State.SUCCEEDED


def test_a_batch_of_settlements_tells_the_winners(sql: Any) -> None:
    jobs = [make(State.RUNNING) for _ in range(5)]
    given = [
        Settlement(str(job.pk), 1 + (n % 2), State.SUCCEEDED, Outcome.SUCCEEDED, result=str(n)) for n, job in enumerate(jobs)
    ]
    with transaction.atomic():
        assert sql.settle(connection, given) == {str(jobs[n].pk) for n in (0, 2, 4)}
    assert Attempt.objects.count() == 3
    assert [Job.objects.get(pk=jobs[n].pk).result for n in (0, 2, 4)] == [0, 2, 4]


# --- the order of the day ---------------------------------------------------------------------------------------------------


def test_due_is_ordered_by_priority_then_time_then_id(sql: Any) -> None:
    now = timezone.now()
    expected = [
        make(priority=0, run_at=now - dt.timedelta(seconds=1)),
        make(priority=5, run_at=now - 2 * HOUR),
        make(priority=5, run_at=now - HOUR),
        make(priority=5, run_at=now - HOUR),
        make(priority=9, run_at=now - 3 * HOUR),
    ]
    make(priority=0, run_at=now + HOUR)
    make(State.QUEUED)
    make(State.RUNNING)
    make(State.WAITING)
    other = make(queue="other")
    assert sql.due(connection, "default", 100).jobs == [(job.pk, "kinds.add") for job in expected]
    for limit in range(1, 5):
        assert [id for id, _ in sql.due(connection, "default", limit).jobs] == [job.pk for job in expected[:limit]]
    assert [id for id, _ in sql.due(connection, "other", 5).jobs] == [other.pk]
    assert sql.due(connection, "empty", 5).jobs == []


def test_due_looks_behind_the_position_that_was_reached(sql: Any) -> None:
    """Which is a hint: SQLite, where it brings nothing, begins at the beginning."""
    now = timezone.now()
    early, late = make(run_at=now - HOUR), make(run_at=now - HOUR / 2)
    urgent = make(priority=0)
    first = sql.due(connection, "default", 2)
    assert [id for id, _ in first.jobs] == [urgent.pk, early.pk]
    rest = sql.due(connection, "default", 5, first.reached)
    if connection.vendor == "sqlite":
        assert len(rest.jobs) == 3
        return
    assert first.reached[5] == (early.run_at, early.pk)
    assert [id for id, _ in rest.jobs] == [late.pk]
    # With nothing left everything up to now lies behind; what is due later does not.
    assert rest.reached[0][0] == rest.reached[9][0] >= now
    later = make(run_at=timezone.now() + HOUR)
    make(run_at=now - HOUR)
    assert 3500 < sql.seconds_until_due(connection, "default", rest.reached) <= 3600
    Job.objects.filter(pk=later.pk).update(run_at=rest.reached[9][0] + dt.timedelta(microseconds=1))
    assert [id for id, _ in sql.due(connection, "default", 5, rest.reached).jobs] == [later.pk]


def test_the_seconds_until_the_next_is_due(sql: Any) -> None:
    assert sql.seconds_until_due(connection, "default") is None
    make(queue="elsewhere")
    assert sql.seconds_until_due(connection, "default") is None
    make(run_at=timezone.now() + 2 * HOUR)
    make(priority=9, run_at=timezone.now() + HOUR)
    assert 3500 < sql.seconds_until_due(connection, "default") <= 3600
    make(run_at=timezone.now() - dt.timedelta(seconds=5))
    assert -60 < sql.seconds_until_due(connection, "default") < -4


def test_the_window(sql: Any) -> None:
    assert sql.window(connection, "default")[:2] == (0, 0.0)
    make(State.QUEUED, queued_at=timezone.now() - dt.timedelta(seconds=30))
    newer = make(State.QUEUED)
    make(State.QUEUED, queue="other", queued_at=timezone.now() - HOUR)
    make()
    held = sql.window(connection, "default")
    assert held.queued == 2
    assert 29 < held.oldest_age < 60
    if connection.vendor == "postgresql":
        assert sql.window(connection, "default", held.oldest).queued == 2
        assert sql.window(connection, "default", newer.queued_at).queued == 1


def test_mark_queued_is_guarded_by_the_term_and_the_time(sql: Any) -> None:
    job, future, term = make(), make(run_at=timezone.now() + HOUR), lead()
    assert term is not None
    for wrong in (term - 1, term + 1):
        assert sql.mark_queued(connection, [job.pk, future.pk], wrong) == 0
    assert sql.mark_queued(connection, [job.pk, future.pk, new_id()], term) == 1
    job.refresh_from_db()
    assert (job.state, job.queued_at is not None, state_of(future)) == (State.QUEUED, True, State.PENDING)


def test_nothing_is_marked_without_a_leader(sql: Any) -> None:
    assert sql.mark_queued(connection, [make().pk], 0) == 0


def test_prune_deletes_what_ended_long_ago_with_all_that_belongs_to_it(settings: Any) -> None:
    settings.FURROW = {**settings.FURROW, "KEEP_SUCCEEDED": 3600.0, "KEEP_FAILED": 7200.0}
    ago = timezone.now() - 1.5 * HOUR
    old = [make(State.SUCCEEDED, finished_at=ago) for _ in range(3)]
    kept = [
        *(make(State.SUCCEEDED), make(State.FAILED, finished_at=ago), make(State.CANCELLED, finished_at=ago)),
        *(make(created_at=ago), make(State.RUNNING, started_at=ago)),
    ]
    for job in (*old, *kept):
        Attempt.objects.create(job=job, number=1, outcome=Outcome.SUCCEEDED, started_at=ago, finished_at=ago)
        LogLine.objects.create(job=job, attempt=1, at=ago, level=20, message="m")
    assert Prune().run_once() == 3
    for model in (Attempt, LogLine):
        assert set(model.objects.values_list("job_id", flat=True)) == {job.pk for job in kept}
    assert set(Job.objects.values_list("pk", flat=True)) == {job.pk for job in kept}
    settings.FURROW = {**settings.FURROW, "KEEP_SUCCEEDED": 0.0, "KEEP_FAILED": 0.0}
    assert Prune().run_once() == 3
    assert Prune().run_once() == 0


# --- who leads --------------------------------------------------------------------------------------------------------------


def test_one_leads_and_keeps_its_term() -> None:
    assert lead("one") == 1
    assert lead("two") is None
    assert [lead("one"), lead("one")] == [1, 1]
    assert Leader.objects.get().holder == "one"


def test_another_takes_over_once_the_lease_is_over_and_the_term_grows() -> None:
    assert lead("one") == 1
    Leader.objects.update(lease_until=timezone.now() - dt.timedelta(seconds=1))
    assert lead("two") == 2
    assert lead("one") is None
    assert Leader.objects.get().holder == "two"


def test_a_leader_that_slept_through_its_lease_gets_a_new_term() -> None:
    assert lead("one") == 1
    Leader.objects.update(lease_until=timezone.now() - dt.timedelta(seconds=1))
    assert lead("one") == 2


def test_roles_are_apart(sql: Any) -> None:
    assert lead("one") == 1
    assert sql.lead(connection, "schedules", "two", 60) == 1


# --- a worker's lease -------------------------------------------------------------------------------------------------------

DESCRIPTION = {
    "node": "w@host",
    "host": "host",
    "version": "1",
    "pid": 1,
    "processes": 2,
    "queues": ["default"],
    "kinds": ["kinds.add"],
}


def test_a_workers_life(sql: Any) -> None:
    worker = new_id()
    assert not sql.renew(connection, worker, 60)
    sql.register_worker(connection, worker, 60, DESCRIPTION)
    row = Worker.objects.get(pk=worker)
    assert (row.node, row.pid, row.processes, row.queues, row.kinds) == ("w@host", 1, 2, ["default"], ["kinds.add"])
    assert (row.host, row.version, row.vitals, row.paused, row.ended) == ("host", "1", {}, [], 0)
    assert (row.stopped_at, row.lost) == (None, False)
    assert sql.renew(connection, worker, 120, Report('{"at": 1}', '["default"]', 5, 2))
    row.refresh_from_db()
    assert dt.timedelta(seconds=100) < row.lease_until - timezone.now() <= dt.timedelta(seconds=121)
    assert (row.vitals, row.paused, row.ended, row.failed) == ({"at": 1}, ["default"], 5, 2)
    sql.stop_worker(connection, worker, Report(ended=6, failed=3))
    assert not sql.renew(connection, worker, 60)
    row.refresh_from_db()
    assert row.stopped_at is not None
    assert (row.lost, row.ended, row.failed) == (False, 6, 3)


def test_what_is_asked_of_a_worker_is_taken_once_and_answered_once(sql: Any) -> None:
    asked = [
        WorkerRequest.objects.create(worker=WORKER, action="pause", subject="default", asked_by="ann", asked_at=timezone.now()),
        WorkerRequest.objects.create(worker=WORKER, action="shutdown", asked_at=timezone.now()),
    ]
    WorkerRequest.objects.create(worker=new_id(), action="shutdown", asked_at=timezone.now())
    assert sql.asked(connection, WORKER) == [
        Asked(str(asked[0].pk), "pause", "default", "ann"),
        Asked(str(asked[1].pk), "shutdown", "", ""),
    ]
    assert sql.asked(connection, WORKER) == []
    sql.answer(connection, [Answer(str(asked[0].pk), True, "done\0"), Answer(str(asked[1].pk), False, "no")])
    sql.answer(connection, [Answer(str(asked[0].pk), False, "too late")])
    rows = WorkerRequest.objects.filter(worker=WORKER).order_by("pk")
    assert list(rows.values_list("succeeded", "answer")) == [(True, "done"), (False, "no")]
    assert all(row.taken_at <= row.answered_at for row in rows)


@pytest.mark.parametrize("change", [{"stopped_at": timezone.now(), "lost": True}, {"lease_until": timezone.now() - HOUR}])
def test_a_lost_lease_is_not_renewed(sql: Any, change: dict[str, Any]) -> None:
    worker = new_id()
    sql.register_worker(connection, worker, 60, DESCRIPTION)
    Worker.objects.filter(pk=worker).update(**change)
    before = Worker.objects.filter(pk=worker).values().get()
    assert not sql.renew(connection, worker, 60)
    assert Worker.objects.filter(pk=worker).values().get() == before


# --- log lines and progress -------------------------------------------------------------------------------------------------


def test_log_lines_keep_their_order(sql: Any) -> None:
    job = make(State.RUNNING)
    at = 1_700_000_000.5
    sql.write(connection, WORKER, Group(logs=[LogRecord(str(job.pk), 1, at, 20, "logger", f"line {n} ü") for n in range(50)]))
    lines = list(LogLine.objects.order_by("id"))
    assert [line.message for line in lines] == [f"line {n} ü" for n in range(50)]
    assert (lines[0].attempt, lines[0].level, lines[0].logger, lines[0].job_id) == (1, 20, "logger", job.pk)
    assert lines[0].at == dt.datetime.fromtimestamp(at, dt.UTC)


def test_a_group_is_written_at_once_or_not_at_all(committed: None, sql: Any) -> None:
    ends, waits = make(State.RUNNING), make(State.QUEUED)
    bad = LogRecord(str(ends.pk), 1, 0.0, 20, "x" * 300, "its logger has more than 200 characters")
    settlement = Settlement(str(ends.pk), 1, State.SUCCEEDED, Outcome.SUCCEEDED)
    if connection.vendor == "postgresql":
        with pytest.raises(DataError):
            sql.write(connection, WORKER, Group(settlements=[settlement], logs=[bad], claims=[str(waits.pk)]))
        connection.close()
        assert (state_of(ends), state_of(waits)) == (State.RUNNING, State.QUEUED)
    (claimed,) = sql.write(connection, WORKER, Group(settlements=[settlement], claims=[str(waits.pk)]))
    assert claimed.id == str(waits.pk)
    assert (state_of(ends), state_of(waits)) == (State.SUCCEEDED, State.RUNNING)


def test_progress_of_a_stale_or_ended_run_is_dropped(sql: Any) -> None:
    runs, stale, ended = make(State.RUNNING), make(State.RUNNING, attempt=2), make(State.SUCCEEDED)
    sql.write(connection, WORKER, Group(progress=[Progress(str(job.pk), 1, 0.5, "half") for job in (runs, stale, ended)]))
    notes = dict(Job.objects.values_list("pk", "progress_note"))
    assert [notes[job.pk] for job in (runs, stale, ended)] == ["half", "", ""]
    assert Job.objects.get(pk=runs.pk).progress == 0.5


# --- races, on connections of their own -------------------------------------------------------------------------------------


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Run each call in a thread of its own, with a connection of its own, all at once; what they returned."""
    start, results = threading.Barrier(len(calls)), [None] * len(calls)

    def run(number: int, call: Callable[[], Any]) -> None:
        try:
            connections["default"].ensure_connection()
            start.wait(10)
            results[number] = call()
        finally:
            connections["default"].close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    return results


@pytest.fixture
def committed(live_db: None) -> Iterator[None]:
    """The test's rows are seen by every connection; leaders and workers are deleted afterwards."""
    Leader.objects.all().delete()
    yield
    Leader.objects.all().delete()
    Worker.objects.all().delete()


@pytest.mark.usefixtures("committed")
def test_of_many_claims_of_one_job_one_wins() -> None:
    for _ in range(10):
        job = make()
        results = together(*[partial(claim, job)] * 4)
        assert sorted(map(len, results)) == [0, 0, 0, 1]
        job.refresh_from_db()
        assert (job.state, job.attempt) == (State.RUNNING, 1)


@pytest.mark.usefixtures("committed")
def test_overlapping_claims_neither_deadlock_nor_share() -> None:
    jobs = [make() for _ in range(60)]
    orders = [jobs, jobs[::-1], jobs[30:] + jobs[:30]]
    results = together(*(partial(claim, *order) for order in orders))
    counts = Counter(id for claimed in results for id in claimed)
    assert counts == {job.pk: 1 for job in jobs}


@pytest.mark.usefixtures("committed")
def test_of_two_settlements_of_one_run_one_wins() -> None:
    for _ in range(10):
        job = make(State.RUNNING)
        results = together(partial(settle, job, result="1"), partial(settle, job, State.FAILED, Outcome.LOST, error="lost"))
        assert sorted(results) == [False, True]
        assert state_of(job) == (State.SUCCEEDED if results[0] else State.FAILED)
        assert job.attempts.count() == 1


@pytest.mark.usefixtures("committed")
def test_cancel_against_claim() -> None:
    for _ in range(10):
        job = make(State.QUEUED)
        claimed, cancelled = together(partial(claim, job), partial(cancel, job.pk))
        job.refresh_from_db()
        assert cancelled
        if claimed:
            assert (job.state, job.cancel_requested_at is not None) == (State.RUNNING, True)
        else:
            assert job.state == State.CANCELLED


@pytest.mark.usefixtures("committed")
def test_of_two_that_want_to_lead_one_does() -> None:
    for _ in range(5):
        Leader.objects.all().delete()
        assert sorted(map(str, together(*(partial(lead, f"holder {n}") for n in range(3))))) == ["1", "None", "None"]
        Leader.objects.update(lease_until=timezone.now() - HOUR)
        assert sorted(map(str, together(*(partial(lead, f"other {n}") for n in range(3))))) == ["2", "None", "None"]


@pytest.mark.usefixtures("committed")
def test_a_claim_that_waits_for_a_cancel_sees_what_was_committed() -> None:
    job = make()
    locked, go = threading.Event(), threading.Event()

    def cancel_slowly() -> bool:
        with transaction.atomic():
            done = cancel(job.pk)
            locked.set()
            go.wait(10)
        return done

    def claim_meanwhile() -> list[uuid.UUID]:
        locked.wait(10)
        if connection.vendor == "postgresql":
            threading.Thread(target=lambda: (wait_until(lambda: _somebody_waits(), seconds=10), go.set())).start()
        else:
            go.set()
        return claim(job)

    assert together(cancel_slowly, claim_meanwhile) == [True, []]
    assert state_of(job) == State.CANCELLED


def _somebody_waits() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            return bool(cursor.fetchone()[0])
    finally:
        connection.close()
