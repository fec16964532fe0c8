"""A worker claims and settles, on SQLite."""

import datetime as dt
import json
import time
import uuid
from collections.abc import Collection, Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from furrow.models.job import HIGHEST_PRIORITY, LOWEST_PRIORITY
from furrow.statements import (
    CANCELLED,
    DISOWNED,
    WITH_RATE,
    Chunk,
    Claimed,
    Dead,
    Group,
    LogRecord,
    Progress,
    Settlement,
    Written,
)
from furrow.statements.begun import HAS_BEGUN
from furrow.statements.sqlite.holds import begin_rates, give_back, seconds_to_wait
from furrow.statements.sqlite.lines import LEFT_IN_LINE, HandingOver, pass_on
from furrow.statements.sqlite.rollups import Settled, count, count_cancelled
from furrow.statements.sqlite.times import bare as _hex
from furrow.statements.sqlite.times import now as _now
from furrow.statements.sqlite.times import seconds as _seconds
from furrow.statements.sqlite.times import text as _text
from furrow.states import ENDS_CANCELLED, EXCUSED, KEEPS_SLOTS, Outcome, State
from furrow.tables import ATTEMPT, DEAD_MESSAGE, HOLD, JOB, LOG_LINE, MOVE, OUTPUT_CHUNK, QUEUE, SIGNAL, STEP, WORKFLOW

#: A time before this one is none.
_LONG_AGO = "0001-01-03"
#: So much of a time's text the database's own have.
_MILLISECONDS = len("2026-01-31 12:00:00.123")


def write(connection: Connection, worker: uuid.UUID, group: Group) -> Written:
    """A worker's group commit: all of it in one transaction. No commit waits for the disk, under
    WAL with synchronous=NORMAL. After an error the connection must be dropped."""
    own = not connection.in_atomic_block
    handing = HandingOver(worker, group.hand_over)
    with connection.cursor() as cursor:
        if own:
            cursor.execute("BEGIN IMMEDIATE")
        begin_rates(cursor, group.begun)
        _progress(cursor, group.progress)  # before the runs are settled: afterwards they are not running any more
        settle(connection, group.settlements, handing)
        _awaken(cursor, [run.id for run in group.settlements if run.outcome == Outcome.SNOOZED])
        release_jobs(connection, worker, group.released)  # only now: the answer that named it may be older than its end
        cursor.executemany(
            f"UPDATE {JOB} SET state = 'pending', queued_at = NULL WHERE id = %s AND state = 'queued'",
            [(_hex(id),) for id in group.unqueued],
        )
        _log(cursor, group.logs, group.again)
        _emit(cursor, group.output)
        _keep_dead(cursor, group.dead, group.again)
        claimed = claim(connection, worker, group.claims)
        cursor.execute(f"SELECT EXISTS (SELECT 1 FROM {MOVE})")
        (moves,) = cursor.fetchone()
        if own:
            cursor.execute("COMMIT")
    return Written([*handing.claimed, *claimed], handing.let_go, moves)


def claim(connection: Connection, worker: uuid.UUID, ids: Collection[str]) -> list[Claimed]:
    """Give these jobs to a worker; those that may not run now (cancelled, settled, expired, not due, of a
    paused queue) are left out."""
    claimed, now = [], _now()
    with connection.cursor() as cursor:
        for id in ids:
            cursor.execute(
                f"""UPDATE {JOB} SET state = 'running', attempt = attempt + 1, worker = %s, started_at = %s,
                          progress = NULL, progress_note = '', error = ''
                   WHERE id = %s AND (state = 'queued' OR state = 'pending' AND run_at <= %s)
                     AND (expires_at IS NULL OR expires_at > %s OR {HAS_BEGUN})
                     AND queue NOT IN (SELECT name FROM {QUEUE} WHERE paused_at IS NOT NULL AND NOT draining)
                     AND (limits IS NULL OR NOT EXISTS (
                       SELECT 1 FROM json_each(CASE WHEN json_valid(limits) THEN limits ELSE '[1]' END) l WHERE NOT EXISTS (
                         SELECT 1 FROM {HOLD} h WHERE h.job = {JOB}.id
                           AND h.key = CASE l.type WHEN 'object' THEN json_extract(l.value, '$.key') END)))
                   RETURNING kind, arguments, attempt, excused, max_attempts,
                             CASE WHEN limits IS NULL THEN 0 WHEN limits LIKE '%%"period"%%' THEN 2 ELSE 1 END, meta""",
                (worker.hex, now, _hex(id), now, now),
            )
            if row := cursor.fetchone():
                *fields, limited, meta = row
                wait = seconds_to_wait(cursor, id) if limited == WITH_RATE else 0.0
                claimed.append(Claimed._make((id, *fields, limited, "", wait, meta)))
    return claimed


def offered(connection: Connection, queues: Sequence[str], kinds: Sequence[str], limit: int) -> list[str]:
    """Jobs of these kinds that an external worker may claim now, in the order of the day: due ones without limits, looked up
    per priority, and those that the dispatcher let in."""
    now, found = _now(), []
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT name, draining FROM {QUEUE} WHERE paused_at IS NOT NULL")
        closed = dict(cursor.fetchall())
        waiting: list[tuple[str, str, tuple[Any, ...], str]] = [
            ("queued", "", (), queue) for queue in queues if closed.get(queue, True)
        ]
        for level in range(HIGHEST_PRIORITY, LOWEST_PRIORITY + 1):
            due = "AND limits IS NULL AND priority = %s AND run_at <= %s"
            waiting += [("pending", due, (level, now), queue) for queue in queues if queue not in closed]
        for state, condition, parameters, queue in waiting:
            cursor.execute(
                f"""SELECT priority, run_at || '', id FROM {JOB} WHERE state = '{state}' AND queue = %s {condition}
                     AND kind IN (SELECT value FROM json_each(%s))
                     AND (expires_at IS NULL OR expires_at > %s OR {HAS_BEGUN})
                   ORDER BY priority, run_at, id LIMIT %s""",
                (queue, *parameters, json.dumps(list(kinds)), now, limit),
            )
            found += cursor.fetchall()
    return [str(uuid.UUID(id)) for _, _, id in sorted(found)[:limit]]


def release_jobs(connection: Connection, worker: uuid.UUID, ids: Collection[str]) -> None:
    """Give back jobs that are this worker's by the database, and of which it does not know; the attempt does not count. What
    somebody asked to stop is cancelled."""
    cancelled = []
    with connection.cursor() as cursor:
        for id in ids:
            cursor.execute(
                f"""UPDATE {JOB} SET worker = NULL, queued_at = NULL, excused = excused + 1,
                      state = CASE WHEN cancel_requested_at IS NULL THEN 'pending' ELSE 'cancelled' END,
                      finished_at = CASE WHEN cancel_requested_at IS NULL THEN NULL ELSE %s END,
                      held = CASE WHEN cancel_requested_at IS NULL THEN {LEFT_IN_LINE} ELSE '' END,
                      error = CASE WHEN cancel_requested_at IS NULL THEN '{DISOWNED}' ELSE '{CANCELLED}' END
                   WHERE id = %s AND state = 'running' AND worker = %s RETURNING state""",
                (_now(), _hex(id), worker.hex),
            )
            if cursor.fetchone() == (State.CANCELLED,):
                cancelled.append(id)
            cursor.execute(f"SELECT key, slot FROM {HOLD} WHERE job = %s", (_hex(id),))
            for key, slot in cursor.fetchall():
                pass_on(cursor, key, slot)
    count_cancelled(connection, cancelled)


def settle(connection: Connection, settlements: Sequence[Settlement], handing: HandingOver | None = None) -> set[str]:
    """Settle runs, record their attempts and count them; returns the jobs for which the attempt was still the current run."""
    if not settlements:
        return set()
    with connection.cursor() as cursor:
        settled = {given.id: one for given in settlements if (one := _settle_one(cursor, given, handing))}
        count(cursor, settled.values())
    return set(settled)


def _settle_one(cursor: Any, given: Settlement, handing: HandingOver | None) -> Settled | None:
    now = time.time()
    again = given.state == State.PENDING
    # The attempt comes first: a trigger on the job's row reads how the run ended.
    cursor.execute(
        f"""INSERT INTO {ATTEMPT}
             (job_id, number, outcome, worker, pid, started_at, finished_at, error_type, error, traceback)
           SELECT id, attempt, %s, worker, %s, max(started_at, %s), max(started_at, %s, %s), %s, %s, %s FROM {JOB}
           WHERE id = %s AND attempt = %s AND state = 'running' RETURNING finished_at || ''""",
        (
            *(given.outcome, given.pid, _text(min(given.started, now)), _text(min(given.started, now))),
            _text(min(given.finished or now, now)),
            *(given.error_type, given.error, given.traceback, _hex(given.id), given.attempt),
        ),
    )
    row = cursor.fetchone()
    if row is None:
        return None
    finished = row[0]
    cursor.execute(
        f"""UPDATE {JOB} SET
             state = CASE WHEN %s AND cancel_requested_at IS NOT NULL THEN 'cancelled' ELSE %s END,
             finished_at = CASE WHEN %s AND cancel_requested_at IS NULL THEN NULL ELSE %s END,
             run_at = coalesce(%s, run_at), started_at = max(started_at, %s), excused = excused + %s,
             queued_at = CASE WHEN %s THEN NULL ELSE queued_at END, result = %s, error = %s, fingerprint = %s,
             held = CASE WHEN held = '' THEN '' WHEN %s THEN {LEFT_IN_LINE} ELSE '' END
           WHERE id = %s AND attempt = %s AND state = 'running'
           RETURNING worker, started_at || '', kind, queue, state, run_at || '', limits""",
        (
            *(again or given.outcome in ENDS_CANCELLED, given.state, again, _text(now)),
            None if given.delay is None else _text(now + given.delay),
            _text(min(given.started, now)),
            int(given.outcome in EXCUSED),
            *(again, given.result, given.error, given.fingerprint),
            *(given.outcome in KEEPS_SLOTS, _hex(given.id), given.attempt),
        ),
    )
    worker, started, kind, queue, state, run_at, limits = cursor.fetchone()
    if limits is not None:
        give_back(cursor, given, state, limits, handing)
    began = _seconds(started)
    run = _seconds(finished) - began if given.pid else None
    waited = given.pid and given.delay is None and run_at > _LONG_AGO
    wait = began - _seconds(run_at) if waited else None
    measure = state if state != State.PENDING else "excused" if given.outcome in EXCUSED else "retried"
    return Settled(kind, queue, worker, measure, run, wait, given.fingerprint, given.error_type, given.error)


def _awaken(cursor: Any, ids: Sequence[str]) -> None:
    """What came or ended while a run ended to wait for it: who sends a signal found the job running."""
    cursor.executemany(
        f"""UPDATE {JOB} SET run_at = %s WHERE id = %s AND state = 'pending' AND run_at > %s AND EXISTS (
              SELECT 1 FROM {STEP} s WHERE s.job_id = {JOB}.id AND s.finished_at IS NULL AND (
                EXISTS (SELECT 1 FROM {SIGNAL} g WHERE g.target = s.job_id AND g.name = s.awaits AND g.consumed_at IS NULL)
                OR s.sort = 'call' AND EXISTS (SELECT 1 FROM {WORKFLOW} w WHERE w.id = s.awaits AND w.state <> 'running')))""",
        [(_now(), _hex(id), _now()) for id in ids],
    )


def _log(cursor: Any, records: Sequence[LogRecord], again: dt.datetime | None) -> None:
    if again:
        there = f"""SELECT 1 FROM {LOG_LINE} WHERE job_id = %s AND attempt = %s AND message = %s
                      AND (at = %s OR at < %s AND at >= %s)"""
        since = _text(again.timestamp())
        known = ((_hex(r.id), r.attempt, r.message, *[_text(r.at)] * 2, since) for r in records)
        records = [r for r, row in zip(records, known, strict=True) if not cursor.execute(there, row).fetchone()]
    rows = [(_hex(r.id), r.attempt, _text(min(r.at, time.time())), r.level, r.logger, r.message) for r in records]
    cursor.executemany(
        f"INSERT INTO {LOG_LINE} (job_id, attempt, at, level, logger, message) VALUES (%s, %s, %s, %s, %s, %s)", rows
    )


def _emit(cursor: Any, chunks: Sequence[Chunk]) -> None:
    cursor.executemany(
        f"""INSERT OR IGNORE INTO {OUTPUT_CHUNK} (job_id, attempt, number, at, value, cut)
            SELECT id, attempt, %s, %s, %s, %s FROM {JOB} WHERE id = %s AND attempt = %s""",
        [(c.number, _text(min(c.at, time.time())), c.value, c.cut, _hex(c.id), c.attempt) for c in chunks],
    )


def _keep_dead(cursor: Any, dead: Sequence[Dead], again: dt.datetime | None) -> None:
    if again:
        there = f"""SELECT 1 FROM {DEAD_MESSAGE} WHERE received_at >= %s AND reason = %s AND worker = %s AND exchange = %s
                      AND routing_key = %s AND properties = %s AND body = %s AND size = %s"""
        since = _text(again.timestamp())[:_MILLISECONDS]
        dead = [one for one in dead if not cursor.execute(there, (since, *one)).fetchone()]
    cursor.executemany(
        f"""INSERT INTO {DEAD_MESSAGE} (reason, worker, exchange, routing_key, properties, body, size)
           VALUES (%s, %s, %s, %s, %s, %s, %s)""",
        dead,
    )


def unknown(connection: Connection, ids: Collection[str]) -> set[str]:
    """Those of these ids that no job has."""
    with connection.cursor() as cursor:
        return {id for id in ids if not cursor.execute(f"SELECT 1 FROM {JOB} WHERE id = %s", [_hex(id)]).fetchone()}


def _progress(cursor: Any, reports: Sequence[Progress]) -> None:
    cursor.executemany(
        f"UPDATE {JOB} SET progress = %s, progress_note = %s WHERE id = %s AND attempt = %s AND state = 'running'",
        [(r.fraction, r.note, _hex(r.id), r.attempt) for r in reports],
    )
