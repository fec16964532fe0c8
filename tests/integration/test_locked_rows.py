"""A row that another transaction has locked: that job waits, and everything else goes on as if nothing were.

On SQLite nobody locks rows: there a transaction that writes has the whole file.
"""

import datetime as dt
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import ProgrammingError, connection, transaction
from django.utils import timezone
from furrow import statements
from furrow.actions import bulk
from furrow.actions import jobs as actions
from furrow.conf import conf
from furrow.dispatcher import process
from furrow.dispatcher.admission import Admission
from furrow.dispatcher.expire import Expire
from furrow.dispatcher.locked_rows import LockedRows
from furrow.dispatcher.pauses import Pauses
from furrow.dispatcher.prune import Prune
from furrow.dispatcher.rescue import Rescue
from furrow.dispatcher.turns import Turns
from furrow.errors import Snooze
from furrow.external.claims import SPARE
from furrow.external.claims import claim as claim_elsewhere
from furrow.external.ends import End, RowsLocked
from furrow.external.ends import finish as finish_elsewhere
from furrow.external.fence import Run
from furrow.external.presence import Introduction, come
from furrow.external.reports import Step
from furrow.external.reports import progress as report_progress
from furrow.limits.limit import Limit
from furrow.limits.stored import read
from furrow.models import AuditEntry, Drift, Hold, Job, Queue, Worker
from furrow.models.job import new_id
from furrow.statements import Progress, Sendable, Settlement
from furrow.states import Outcome, State
from furrow.submission.submit import submit
from furrow.worker.ledger.batch import Batch
from furrow.worker.ledger.put_off import PutOff

from tests import external_kinds, kinds
from tests.integration.test_bulk import run
from tests.locked_rows import elsewhere, impatient, limited, lock, only_postgresql
from tests.rows import HOUR, WORKER, lead, make, state_of
from tests.stack import Stack, wait_until

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("only_postgresql", "live_db")]
assert all((elsewhere, impatient, only_postgresql))  # fixtures


@pytest.mark.usefixtures("committed")
def test_locked_jobs_keep_no_other_from_a_worker_elsewhere(elsewhere: psycopg.Connection[Any]) -> None:
    external_kinds.forget()
    with external_kinds.known():
        queue, kind = conf().external_queues[0], external_kinds.plain.name
        worker = come(None, Introduction("resizer", [kind], [queue], pid=77))
        *locked, free = (make(kind=kind, queue=queue, arguments={}) for _ in range(SPARE[0] + 2))
        for job in locked:
            lock(elsewhere, job)
        assert [job.id for job in claim_elsewhere(worker, [kind], 1)] == [free.pk]
        assert claim_elsewhere(worker, [kind], 1) == []


@pytest.mark.usefixtures("committed")
def test_a_locked_row_holds_up_the_end_and_progress_of_its_own_run_elsewhere(elsewhere: psycopg.Connection[Any]) -> None:
    external_kinds.forget()
    with external_kinds.known():
        queue, kind = conf().external_queues[0], external_kinds.plain.name
        worker = come(None, Introduction("resizer", [kind], [queue], pid=77))
        for _ in range(2):
            make(kind=kind, queue=queue, arguments={})
        runs = [Run(job.id, job.attempt) for job in claim_elsewhere(worker, [kind], 2)]
        locked, free = runs
        lock(elsewhere, Job.objects.get(pk=locked.id))
        assert report_progress([Step(run, 0.5) for run in runs], [kind]) == []
        told = [End(run=run, outcome=Outcome.FAILED, retryable=False) for run in runs]
        for _ in range(2):
            with pytest.raises(RowsLocked) as error:
                finish_elsewhere(told, [kind])
            assert error.value.runs == [locked]
        states = dict(Job.objects.values_list("pk", "state"))
        assert (states[locked.id], states[free.id]) == (State.RUNNING, State.FAILED)
        assert dict(Job.objects.values_list("pk", "progress")) == {locked.id: None, free.id: 0.5}
        elsewhere.rollback()
        settled, stale = finish_elsewhere(told, [kind])
        assert ({one.run: one.state for one in settled}, stale) == (dict.fromkeys(runs, State.FAILED), [])


# --- the dispatcher's statements ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("impatient")
def test_a_mark_leaves_out_what_is_locked(elsewhere: psycopg.Connection[Any]) -> None:
    mine, other = make(), make()
    lock(elsewhere, mine)
    term, rows = lead(), LockedRows()
    rows.mark({mine.pk: 0, other.pk: 0}, term or 0)
    assert (state_of(mine), state_of(other)) == (State.PENDING, State.QUEUED)
    jobs = [Sendable(mine.pk, "a", 0), Sendable(other.pk, "a", 0)]
    assert rows.without(jobs) == jobs[1:]
    elsewhere.rollback()
    rows.met(())
    assert rows.without(jobs) == jobs


@pytest.mark.usefixtures("impatient")
def test_expire_leaves_out_what_is_locked(elsewhere: psycopg.Connection[Any]) -> None:
    late = timezone.now() - HOUR
    mine, other = make(expires_at=late), make(State.QUEUED, expires_at=late)
    lock(elsewhere, mine)
    assert Expire().run_once() == 1
    assert (state_of(mine), state_of(other)) == (State.PENDING, State.CANCELLED)


@pytest.mark.usefixtures("impatient")
def test_a_pause_leaves_out_what_is_locked(elsewhere: psycopg.Connection[Any]) -> None:
    mine, other = make(State.QUEUED), make(State.QUEUED)
    Queue.objects.update_or_create(name="default", defaults={"paused_at": timezone.now(), "draining": False})
    try:
        lock(elsewhere, mine)
        pauses = Pauses()
        pauses.look()
        assert pauses.run_once() == 1
    finally:
        Queue.objects.all().delete()
    assert (state_of(mine), state_of(other)) == (State.QUEUED, State.PENDING)


@pytest.mark.usefixtures("impatient")
def test_rescue_leaves_out_what_is_locked(elsewhere: psycopg.Connection[Any]) -> None:
    long_ago = timezone.now() - HOUR
    workers = [Worker.objects.create(node=f"w{n}@here", pid=1, processes=1, queues=[], lease_until=long_ago) for n in range(2)]
    mine, other = (make(State.RUNNING, worker=worker.pk) for worker in workers)
    lock(elsewhere, mine)
    elsewhere.execute("SELECT 1 FROM furrow_worker WHERE node = 'w0@here' FOR UPDATE")
    rescue = Rescue()
    rescue.run_once()
    assert (state_of(mine), state_of(other)) == (State.RUNNING, State.PENDING)
    elsewhere.rollback()
    rescue.run_once()
    assert state_of(mine) == State.PENDING


@pytest.mark.usefixtures("impatient")
def test_admission_gives_no_slot_to_what_is_locked(elsewhere: psycopg.Connection[Any]) -> None:
    one = Limit("lock:a")
    mine, other, third = limited(one), limited(one), limited(one)
    lock(elsewhere, mine)
    found = statements.on(connection).candidates(connection, "default", 100)
    sent = Admission().admit(found, lambda candidate: read(candidate.limits), lead() or 0)
    assert [job.id for job in sent] == [other.pk]
    assert list(Hold.objects.values_list("job", flat=True)) == [other.pk]
    assert Job.objects.get(pk=third.pk).held == "lock:a"


@pytest.mark.usefixtures("impatient")
def test_slots_pass_by_what_is_locked_and_an_order_does_not(elsewhere: psycopg.Connection[Any]) -> None:
    sql, ordered = statements.on(connection), Limit("order:a", ordered=True)
    first, second = limited(ordered, held="order:a"), limited(ordered, held="order:a")
    free, taken = limited(Limit("lock:b"), held="lock:b"), limited(Limit("lock:c"), held="lock:c")
    gone = new_id()
    Hold.objects.create(key="lock:d", slot=0, job=gone)
    Hold.objects.create(key="lock:e", slot=0, job=gone)
    lock(elsewhere, first)
    lock(elsewhere, taken)
    elsewhere.execute("SELECT 1 FROM furrow_hold WHERE key = 'lock:d' FOR UPDATE")
    with transaction.atomic():
        assert sql.sweep(connection) == 1
    with transaction.atomic():
        assert sql.release(connection) == 1
    held = {job: Job.objects.get(pk=job.pk).held for job in (first, second, free, taken)}
    assert held == {first: "order:a", second: "order:a", free: "", taken: "lock:c"}


@pytest.mark.usefixtures("impatient")
def test_turns_pass_by_what_is_locked(elsewhere: psycopg.Connection[Any]) -> None:
    mine, other = (make(limits=[], fair_key="a", held="fair") for _ in range(2))
    lock(elsewhere, mine)
    assert Turns("default").take(10, lead() or 0) == 1
    assert [Job.objects.get(pk=job.pk).held for job in (mine, other)] == ["fair", ""]


@pytest.mark.usefixtures("impatient")
def test_prune_leaves_out_what_is_locked(elsewhere: psycopg.Connection[Any]) -> None:
    long_ago = timezone.now() - dt.timedelta(days=400)
    workers = [
        Worker.objects.create(node=f"w{n}@here", pid=1, processes=1, lease_until=long_ago, stopped_at=long_ago)
        for n in range(2)
    ]
    mine, other = make(State.FAILED, finished_at=long_ago), make(State.FAILED, finished_at=long_ago)
    lock(elsewhere, mine)
    elsewhere.execute("SELECT 1 FROM furrow_worker WHERE id = %s FOR UPDATE", [workers[0].pk])
    Prune().run_once()
    assert list(Job.objects.filter(pk__in=[mine.pk, other.pk])) == [mine]
    assert list(Worker.objects.filter(node__in=["w0@here", "w1@here"])) == workers[:1]


@pytest.mark.usefixtures("impatient")
def test_rolling_leaves_out_what_is_locked(elsewhere: psycopg.Connection[Any]) -> None:
    """Somebody cancels in a transaction that stays open: their count is locked."""
    job = make()
    actions.cancel(job.pk)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE furrow_rollup SET at = at - 7200")
    elsewhere.execute("SELECT 1 FROM furrow_rollup FOR UPDATE")
    assert statements.on(connection).roll(connection) == 0


@pytest.mark.usefixtures("impatient")
def test_a_step_that_meets_a_lock_leaves_the_other_steps_of_a_round_alone(elsewhere: psycopg.Connection[Any]) -> None:
    job = make()
    lock(elsewhere, job)
    assert process._past_locks(lambda: Job.objects.filter(pk=job.pk).update(priority=1)) == 0
    elsewhere.rollback()
    assert process._past_locks(lambda: Job.objects.filter(pk=job.pk).update(priority=1)) == 1
    with pytest.raises(ProgrammingError):
        process._past_locks(lambda: Job.objects.extra(where=["nonsense"]).count())


# --- the worker's ledger --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("committed")
def test_a_worker_puts_off_what_is_locked(elsewhere: psycopg.Connection[Any]) -> None:
    """The end of a run is kept, the latest progress too; a claim is given up, and its job becomes pending again."""
    ended, other, wanted, free = (make(State.RUNNING), make(State.RUNNING), make(State.QUEUED), make(State.QUEUED))
    lock(elsewhere, ended)
    lock(elsewhere, wanted)
    batch, put_off, answers = Batch(), PutOff(), list[Any]()
    ends = [Settlement(str(job.pk), 1, State.SUCCEEDED, Outcome.SUCCEEDED) for job in (ended, other)]
    batch.settlements = list(ends)
    batch.progress = {str(ended.pk): Progress(str(ended.pk), 1, 0.5, "half")}
    batch.claims = [({str(wanted.pk): "a", str(free.pk): "a"}, answers.append)]
    put_off.sort_out(connection, batch, all=True)
    assert (batch.settlements, batch.progress) == ([ends[1]], {})
    assert [jobs for jobs, _ in batch.claims] == [{str(free.pk): "a"}]
    assert (len(put_off), put_off.ends) == (2, 1)
    known = Batch()
    known.claims = [({str(wanted.pk): "a"}, answers.append)]
    put_off.sort_out(connection, known, all=False)
    assert [jobs for jobs, _ in known.claims] == [{}], "known to be locked: no statement waits for it again"
    elsewhere.rollback()
    wait_until(lambda: put_off.due)
    later = put_off.take()
    put_off.sort_out(connection, later, all=False)
    assert (later.settlements, list(later.progress), later.unqueued) == ([ends[0]], [str(ended.pk)], {str(wanted.pk)})
    statements.on(connection).write(connection, WORKER, later.group([], [], None))
    assert (state_of(ended), state_of(wanted)) == (State.SUCCEEDED, State.PENDING)
    assert len(put_off) == 0


@pytest.mark.usefixtures("committed")
def test_a_lock_is_remembered_until_the_row_is_seen_free(elsewhere: psycopg.Connection[Any]) -> None:
    """Also while others are looked at; no statement runs into it meanwhile."""
    one, other = make(State.RUNNING), make(State.RUNNING)
    put_off = PutOff()

    def kept(*jobs: Job, all: bool = False) -> set[str]:
        """Of these, those that would be written."""
        batch = Batch()
        batch.progress = {str(job.pk): Progress(str(job.pk), 1, 0.5, "half") for job in jobs}
        put_off.sort_out(connection, batch, all=all)
        return batch.jobs

    for job in (one, other):
        lock(elsewhere, job)
    assert kept(one, other, all=True) == kept(one) == kept(other) == set()
    elsewhere.rollback()
    assert (kept(one), kept(other)) == ({str(one.pk)}, {str(other.pk)})
    assert len(put_off) == 2, "what was put off is written when its time has come"


# --- what people do -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("impatient")
def test_an_action_on_many_leaves_out_what_is_locked(elsewhere: psycopg.Connection[Any]) -> None:
    jobs = [make(State.FAILED) for _ in range(3)]
    lock(elsewhere, jobs[1])
    done = bulk.perform("retry", [job.pk for job in jobs], {})
    assert done == (2, [jobs[1].pk])
    elsewhere.rollback()
    assert bulk.perform("retry", [job.pk for job in jobs], {}) == (1, [])


@pytest.mark.usefixtures("impatient")
def test_a_bulk_action_tries_again_what_is_locked_and_names_it(elsewhere: psycopg.Connection[Any]) -> None:
    jobs = [make(State.FAILED, kind="kinds.noop", finished_at=timezone.now() - HOUR) for _ in range(3)]
    lock(elsewhere, jobs[1])
    action = bulk.start("retry", {"kind": "kinds.noop"}, by="ann", origin="command line")
    for _ in bulk.TRIES:
        with pytest.raises(Snooze, match=str(jobs[1].pk)):
            run(action)
    assert run(action) == {"changed": 2, "left alone": 0, "locked": 1, "some locked": [str(jobs[1].pk)]}
    entry = AuditEntry.objects.get(job=action.pk)
    assert (entry.count, entry.selection["locked"]) == (2, [str(jobs[1].pk)])
    elsewhere.rollback()
    assert run(action) == {"changed": 3, "left alone": 0}
    assert "locked" not in AuditEntry.objects.get(job=action.pk).selection


# --- a whole stack --------------------------------------------------------------------------------------------------------


def test_a_locked_row_holds_up_its_own_job_only(stack: Stack, elsewhere: psycopg.Connection[Any], tmp_path: Path) -> None:
    """One that becomes due, is sent and cannot be marked nor claimed, and one that runs and cannot be settled."""
    before = {each.name: len(each.text) for each in stack.processes}
    mark, goes_on = tmp_path / "mark", tmp_path / "goes on"
    runs = submit(kinds.sleeps, {"seconds": 0, "mark": str(mark), "until": str(goes_on)})
    wait_until(mark.exists)
    due = submit(kinds.add, {"a": 1}, countdown=1)
    lock(elsewhere, due)
    lock(elsewhere, runs)
    goes_on.touch()
    wait_until(lambda: "ended" in mark.read_text())
    wait_until(lambda: Drift.objects.filter(name="rows_locked", found=1).exists(), what="the dispatcher tells of it")
    others = [submit(kinds.add, {"a": n}) for n in range(20)]
    wait_until(lambda: all(state_of(job) == State.SUCCEEDED for job in others), seconds=20)
    assert (state_of(due), state_of(runs)) == (State.PENDING, State.RUNNING)
    elsewhere.rollback()
    wait_until(lambda: all(state_of(job) == State.SUCCEEDED for job in (runs, due)))
    for job in (runs, due):
        assert list(job.attempts.values_list("outcome", flat=True)) == ["succeeded"]
    for each in stack.processes:
        assert "is away" not in each.text[before.get(each.name, 0) :]


def test_a_job_whose_row_was_locked_when_it_was_to_be_claimed_is_sent_again(
    stack: Stack, elsewhere: psycopg.Connection[Any]
) -> None:
    """Its message is gone by then."""
    job = submit(kinds.add, {"a": 1}, countdown=1)
    lock(elsewhere, job)
    wait_until(lambda: Drift.objects.filter(name="rows_locked", found=1).exists())
    elsewhere.execute("UPDATE furrow_job SET state = 'queued', queued_at = now() WHERE id = %s", [job.pk])
    elsewhere.commit()
    wait_until(lambda: state_of(job) == State.SUCCEEDED, seconds=40)
    assert job.attempts.count() == 1
