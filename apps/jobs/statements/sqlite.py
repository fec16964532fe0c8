"""The statements for SQLite: one row at a time, which costs little inside the process. Every transaction is IMMEDIATE
(settings), so that what is read in it stays true until it is written.

Django keeps a UUID as 32 hex digits and a time as text in UTC; texts of that form compare like the times they stand for.
``column || ''`` reads such a text as it is; the column alone would come back as a datetime.
"""

import datetime as dt
import json
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from apps.jobs.statements import (
    Answer,
    Asked,
    Claimed,
    Dead,
    Due,
    Group,
    LogRecord,
    Position,
    Progress,
    Report,
    Settlement,
    Window,
)
from apps.jobs.statements.sqlite_holds import begin_rates, give_back
from apps.jobs.statements.sqlite_holds import candidates as candidates
from apps.jobs.statements.sqlite_holds import heads as heads
from apps.jobs.statements.sqlite_holds import leads as leads
from apps.jobs.statements.sqlite_holds import park as park
from apps.jobs.statements.sqlite_holds import release as release
from apps.jobs.statements.sqlite_holds import seconds_until_candidate as seconds_until_candidate
from apps.jobs.statements.sqlite_holds import set_rules as set_rules
from apps.jobs.statements.sqlite_holds import slots as slots
from apps.jobs.statements.sqlite_holds import sweep as sweep
from apps.jobs.statements.sqlite_holds import take as take
from apps.jobs.statements.sqlite_holds import take_turns as take_turns
from apps.jobs.statements.sqlite_holds import tenants as tenants
from apps.jobs.statements.sqlite_holds import watched as watched
from apps.jobs.statements.sqlite_partitions import partition_keys, unended, workers_of
from apps.jobs.statements.sqlite_rollups import Settled, count, count_cancelled, roll
from apps.jobs.statements.sqlite_times import bare as _hex
from apps.jobs.statements.sqlite_times import now as _now
from apps.jobs.statements.sqlite_times import seconds as _seconds
from apps.jobs.statements.sqlite_times import text as _text
from apps.jobs.states import EXCUSED, Outcome, State

__all__ = ["count_cancelled", "partition_keys", "roll", "unended", "workers_of"]  # and what is defined here

_NOTHING = Report()


def prepare(connection: Connection) -> None:
    """Nothing to prepare."""


def write(connection: Connection, worker: uuid.UUID, group: Group) -> list[Claimed]:
    """A worker's group commit: all of it in one transaction; returns what could be claimed. No commit waits for the disk, under
    WAL with synchronous=NORMAL. After an error the connection must be dropped."""
    own = not connection.in_atomic_block
    with connection.cursor() as cursor:
        if own:
            cursor.execute("BEGIN IMMEDIATE")
        disown(connection, worker, group.disowned)
        begin_rates(cursor, group.begun)
        _progress(cursor, group.progress)  # before the runs are settled: afterwards they are not running any more
        settle(connection, group.settlements)
        _log(cursor, group.logs)
        _keep_dead(cursor, group.dead)
        claimed = claim(connection, worker, group.claims)
        if own:
            cursor.execute("COMMIT")
    return claimed


def insert_jobs(
    connection: Connection,
    ids: Sequence[uuid.UUID],
    texts: Sequence[str],
    columns: dict[str, Any],
    own: Sequence[Mapping[str, Any]] | None = None,
) -> int:
    """Insert a pending job for each id and arguments text; the other columns are the same for all, but for those in ``own``.
    Returns how many: rows whose id exists are left out."""
    return sum(_insert(connection, ids, texts, columns, own, "ON CONFLICT (id) DO NOTHING"))


def insert_unique(
    connection: Connection,
    ids: Sequence[uuid.UUID],
    texts: Sequence[str],
    columns: dict[str, Any],
    own: Sequence[Mapping[str, Any]],
) -> set[uuid.UUID]:
    """The same for jobs with unique keys; returns the ids of those that are in the table now. Those whose key another has are
    left out."""
    inserted = _insert(connection, ids, texts, columns, own, "ON CONFLICT DO NOTHING")
    return {id for id, done in zip(ids, inserted, strict=True) if done}


def _insert(
    connection: Connection,
    ids: Sequence[uuid.UUID],
    texts: Sequence[str],
    columns: dict[str, Any],
    own: Sequence[Mapping[str, Any]] | None,
    end: str,
) -> list[bool]:
    """Of each row whether it was inserted."""
    names = ["id", "arguments", *columns, *(own[0] if own else ())]
    text = f"INSERT INTO jobs_job ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))}) {end}"
    inserted = []
    with connection.cursor() as cursor:
        for at, (id, arguments) in enumerate(zip(ids, texts, strict=True)):
            values = [*columns.values(), *(own[at].values() if own else ())]
            cursor.execute(text, (id.hex, arguments, *[_adapted(connection, value) for value in values]))
            inserted.append(cursor.rowcount == 1)
    return inserted


#: A job keeps its unique key from others: not begun, not over, or for its time.
_KEEPS = """CASE unique_until WHEN 'started' THEN state IN ('waiting', 'pending', 'queued') AND attempt = 0
  WHEN 'done' THEN state NOT IN ('succeeded', 'failed', 'cancelled') ELSE unique_expires_at > %s END"""


def forget_keys(connection: Connection, keys: Sequence[str]) -> None:
    """Take these unique keys from jobs that do not keep them any more."""
    with connection.cursor() as cursor:
        cursor.executemany(
            f"UPDATE jobs_job SET unique_key = NULL WHERE unique_key = %s AND NOT ({_KEEPS})", [(key, _now()) for key in keys]
        )


def keepers(connection: Connection, keys: Sequence[str]) -> dict[str, uuid.UUID]:
    """The jobs that have these unique keys, by key."""
    found = {}
    with connection.cursor() as cursor:
        for key in keys:
            cursor.execute("SELECT id FROM jobs_job WHERE unique_key = %s", (key,))
            if row := cursor.fetchone():
                found[key] = uuid.UUID(row[0])
    return found


def replace(connection: Connection, key: str, text: str, columns: Mapping[str, Any]) -> uuid.UUID | None:
    """Give the job with this unique key other arguments and columns, if it has not begun; ``None`` if it has. What it holds
    for the old ones is given back, and a message that is on its way will be dropped."""
    sets = "".join(f", {name} = %s" for name in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""UPDATE jobs_job SET state = CASE state WHEN 'waiting' THEN state ELSE 'pending' END, queued_at = NULL,
                  arguments = %s{sets}
                WHERE unique_key = %s AND attempt = 0 AND state IN ('waiting', 'pending', 'queued') RETURNING id""",
            (text, *[_adapted(connection, value) for value in columns.values()], key),
        )
        row = cursor.fetchone()
        if row is None:
            return None
        cursor.execute("DELETE FROM jobs_hold WHERE job = %s", (row[0],))
    return uuid.UUID(row[0])


def _adapted(connection: Connection, value: Any) -> Any:
    if isinstance(value, uuid.UUID):
        return value.hex
    return connection.ops.adapt_datetimefield_value(value) if isinstance(value, dt.datetime) else value


def claim(connection: Connection, worker: uuid.UUID, ids: Collection[str]) -> list[Claimed]:
    """Give these jobs to a worker; those that may not run now (cancelled, settled, expired, not due, of a
    paused queue) are left out."""
    claimed, now = [], _now()
    with connection.cursor() as cursor:
        for id in ids:
            cursor.execute(
                """UPDATE jobs_job SET state = 'running', attempt = attempt + 1, worker = %s, started_at = %s,
                          progress = NULL, progress_note = '', error = ''
                   WHERE id = %s AND state IN ('pending', 'queued') AND run_at <= %s
                     AND (expires_at IS NULL OR expires_at > %s)
                     AND queue NOT IN (SELECT name FROM jobs_queue WHERE paused_at IS NOT NULL AND NOT draining)
                     AND (limits IS NULL OR NOT EXISTS (
                       SELECT 1 FROM json_each(limits) l WHERE NOT EXISTS (
                         SELECT 1 FROM jobs_hold h WHERE h.job = jobs_job.id AND h.key = json_extract(l.value, '$.key'))))
                   RETURNING kind, arguments, attempt, excused, max_attempts,
                             CASE WHEN limits IS NULL THEN 0 WHEN limits LIKE '%%"period"%%' THEN 2 ELSE 1 END""",
                (worker.hex, now, _hex(id), now, now),
            )
            if row := cursor.fetchone():
                claimed.append(Claimed(id, *row))
    return claimed


def disown(connection: Connection, worker: uuid.UUID, ids: Collection[str]) -> None:
    """Give back jobs that are this worker's by the database, and of which it does not know; the attempt does not count."""
    with connection.cursor() as cursor:
        cursor.executemany(
            """UPDATE jobs_job SET state = 'pending', worker = NULL, queued_at = NULL, excused = excused + 1,
                      error = 'its worker did not know of it: an answer or a commit of the database was lost'
               WHERE id = %s AND state = 'running' AND worker = %s""",
            [(_hex(id), worker.hex) for id in ids],
        )


def settle(connection: Connection, settlements: Sequence[Settlement]) -> set[str]:
    """Settle runs, record their attempts and count them; returns the jobs for which the attempt was still the current run."""
    if not settlements:
        return set()
    with connection.cursor() as cursor:
        settled = {given.id: one for given in settlements if (one := _settle_one(cursor, given))}
        count(cursor, settled.values())
    return set(settled)


def _settle_one(cursor: Any, given: Settlement) -> Settled | None:
    now = time.time()
    again = given.state == State.PENDING
    cursor.execute(
        """UPDATE jobs_job SET
             state = CASE WHEN %s AND cancel_requested_at IS NOT NULL THEN 'cancelled' ELSE %s END,
             finished_at = CASE WHEN %s AND cancel_requested_at IS NULL THEN NULL ELSE %s END,
             run_at = coalesce(%s, run_at), started_at = max(started_at, %s), excused = excused + %s,
             queued_at = CASE WHEN %s THEN NULL ELSE queued_at END, result = %s, error = %s, signature = %s
           WHERE id = %s AND attempt = %s AND state = 'running'
           RETURNING worker, started_at || '', kind, queue, state, run_at || '', limits""",
        (
            *(again or given.outcome in (Outcome.LOST, Outcome.CRASHED), given.state, again, _text(now)),
            None if given.delay is None else _text(now + given.delay),
            _text(min(given.started, now)),
            int(given.outcome in EXCUSED),
            *(again, given.result, given.error, given.signature, _hex(given.id), given.attempt),
        ),
    )
    row = cursor.fetchone()
    if row is None:
        return None
    worker, started, kind, queue, state, run_at, limits = row
    finished = max(started, _text(min(given.finished or now, now)))
    cursor.execute(
        """INSERT INTO jobs_attempt
             (job_id, number, outcome, worker, pid, started_at, finished_at, error_type, error, traceback)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
        (
            *(_hex(given.id), given.attempt, given.outcome, worker, given.pid, started, finished),
            *(given.error_type, given.error, given.traceback),
        ),
    )
    if limits is not None:
        give_back(cursor, given, state, limits)
    began = _seconds(started)
    run = _seconds(finished) - began if given.pid else None
    wait = began - _seconds(run_at) if given.pid and given.delay is None else None
    measure = state if state != State.PENDING else "excused" if given.outcome in EXCUSED else "retried"
    return Settled(kind, queue, worker, measure, run, wait, given.signature, given.error_type, given.error)


def _log(cursor: Any, records: Sequence[LogRecord]) -> None:
    cursor.executemany(
        "INSERT INTO jobs_logline (job_id, attempt, at, level, logger, message) VALUES (%s, %s, %s, %s, %s, %s)",
        [(_hex(r.id), r.attempt, _text(min(r.at, time.time())), r.level, r.logger, r.message) for r in records],
    )


def _keep_dead(cursor: Any, dead: Sequence[Dead]) -> None:
    cursor.executemany(
        """INSERT INTO jobs_deadmessage (reason, worker, exchange, routing_key, properties, body, size)
           VALUES (%s, %s, %s, %s, %s, %s, %s)""",
        dead,
    )


def unknown(connection: Connection, ids: Collection[str]) -> set[str]:
    """Those of these ids that no job has."""
    with connection.cursor() as cursor:
        return {id for id in ids if not cursor.execute("SELECT 1 FROM jobs_job WHERE id = %s", [_hex(id)]).fetchone()}


def _progress(cursor: Any, reports: Sequence[Progress]) -> None:
    cursor.executemany(
        "UPDATE jobs_job SET progress = %s, progress_note = %s WHERE id = %s AND attempt = %s AND state = 'running'",
        [(r.fraction, r.note, _hex(r.id), r.attempt) for r in reports],
    )


def due(connection: Connection, queue: str, limit: int, since: Mapping[int, Position] | None = None) -> Due:
    """The next due jobs of a queue, best priority first, then the longest due; looked up per priority. ``since`` is a hint that
    brings nothing here: SQLite keeps no dead rows."""
    found: list[tuple[uuid.UUID, str]] = []
    with connection.cursor() as cursor:
        for level in range(10):
            cursor.execute(
                """SELECT id, kind FROM jobs_job
                   WHERE state = 'pending' AND limits IS NULL AND queue = %s AND priority = %s AND run_at <= %s
                   ORDER BY run_at, id LIMIT %s""",
                (queue, level, _now(), limit - len(found)),
            )
            found += [(uuid.UUID(id), kind) for id, kind in cursor.fetchall()]
            if len(found) >= limit:
                break
    return Due(found, {})


def seconds_until_due(connection: Connection, queue: str, since: Mapping[int, Position] | None = None) -> float | None:
    """Seconds until the next pending job of this queue is due (0 or less: now); ``None`` when there is none."""
    earliest = None
    with connection.cursor() as cursor:
        for level in range(10):
            cursor.execute(
                """SELECT run_at || '' FROM jobs_job WHERE state = 'pending' AND limits IS NULL AND queue = %s AND priority = %s
                   ORDER BY run_at LIMIT 1""",
                (queue, level),
            )
            if row := cursor.fetchone():
                earliest = min(earliest or row[0], row[0])
    return None if earliest is None else _seconds(earliest) - time.time()


def waiting(connection: Connection, queues: Sequence[str], limit: int) -> list[tuple[str, int, int, dt.datetime | None]]:
    """For each queue: its name, how many pending jobs that are not held are due, how many are for later (each counted up to
    ``limit``), and when the longest due became so."""
    now, found = _now(), []
    pending = (
        "SELECT run_at || '' AS run_at FROM jobs_job WHERE state = 'pending' AND held = '' AND queue = %s AND priority = %s"
    )
    with connection.cursor() as cursor:
        for queue in queues:
            due, later, oldest = 0, 0, None
            for level in range(10):
                cursor.execute(
                    f"SELECT count(*), min(run_at) FROM ({pending} AND run_at <= %s LIMIT %s)", (queue, level, now, limit)
                )
                count, first = cursor.fetchone()
                due, oldest = due + count, min(filter(None, (oldest, first)), default=None)
                cursor.execute(f"SELECT count(*) FROM ({pending} AND run_at > %s LIMIT %s)", (queue, level, now, limit))
                later += cursor.fetchone()[0]
            moment = dt.datetime.fromtimestamp(_seconds(oldest), dt.UTC) if oldest else None
            found.append((queue, min(due, limit), min(later, limit), moment))
    return found


def mark_queued(connection: Connection, ids: Sequence[uuid.UUID], term: int) -> int:
    """Mark published jobs as queued, if this term still leads; those claimed or cancelled meanwhile are left alone."""
    now, marked = _now(), 0
    with connection.cursor() as cursor:
        for id in ids:
            cursor.execute(
                """UPDATE jobs_job SET state = 'queued', queued_at = %s WHERE id = %s AND state = 'pending' AND run_at <= %s
                   AND (SELECT term FROM jobs_leader WHERE role = 'dispatcher') = %s""",
                (now, id.hex, now, term),
            )
            marked += cursor.rowcount
    return marked


def window(connection: Connection, queue: str, since: dt.datetime | None = None) -> Window:
    """How many jobs of a queue RabbitMQ holds, and for how long the oldest has been there."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), min(queued_at) FROM jobs_job WHERE state = 'queued' AND queue = %s", (queue,))
        queued, oldest = cursor.fetchone()
    return Window(queued, time.time() - _seconds(oldest) if oldest else 0.0)


def prune(connection: Connection, state: State, age: float, limit: int) -> int:
    """Delete jobs that ended in this state ``age`` seconds ago or before, with all that belongs to them; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM jobs_job WHERE state = %s AND finished_at < %s ORDER BY finished_at LIMIT %s",
            (state, _text(time.time() - age), limit),
        )
        old = cursor.fetchall()
        for table, column in (("jobs_logline", "job_id"), ("jobs_attempt", "job_id"), ("jobs_job", "id")):
            cursor.executemany(f"DELETE FROM {table} WHERE {column} = %s", old)
    return len(old)


def lead(connection: Connection, role: str, holder: str, lease: float) -> int | None:
    """Take or keep a role's lease; the term while it is held, ``None`` while another holds it."""
    now = _now()
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO jobs_leader AS l (role, holder, term, lease_until, trouble) VALUES (%s, %s, 1, %s, '')
               ON CONFLICT (role) DO UPDATE SET holder = excluded.holder, lease_until = excluded.lease_until,
                 term = l.term + (l.holder <> excluded.holder OR l.lease_until < %s)
               WHERE l.holder = excluded.holder OR l.lease_until < %s
               RETURNING term""",
            (role, holder, _text(time.time() + lease), now, now),
        )
        row = cursor.fetchone()
        return row[0] if row else None


def renew(connection: Connection, worker: uuid.UUID, lease: float, report: Report = _NOTHING) -> bool:
    """Renew a worker's lease; ``False`` when it was taken for dead and owns nothing any more."""
    now = _now()
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE jobs_worker SET heartbeat_at = %s, lease_until = %s, vitals = %s, paused = %s, ended = %s, failed = %s
               WHERE id = %s AND stopped_at IS NULL AND lease_until > %s""",
            (now, _text(time.time() + lease), *report, worker.hex, now),
        )
        return bool(cursor.rowcount == 1)


def owned(connection: Connection, worker: uuid.UUID) -> list[str]:
    """Jobs that this worker runs, by the database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM jobs_job WHERE state = 'running' AND worker = %s", (worker.hex,))
        return [str(uuid.UUID(row[0])) for row in cursor.fetchall()]


def stop_requests(connection: Connection, worker: uuid.UUID) -> list[str]:
    """Jobs that this worker runs and somebody cancelled."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM jobs_job WHERE state = 'running' AND worker = %s AND cancel_requested_at IS NOT NULL", (worker.hex,)
        )
        return [str(uuid.UUID(row[0])) for row in cursor.fetchall()]


def register_worker(
    connection: Connection, worker: uuid.UUID, lease: float, description: dict[str, Any], report: Report = _NOTHING
) -> None:
    """Insert the row of a worker's new life: node, host, pid, version, processes, queues, kinds."""
    given = description
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO jobs_worker (id, node, host, pid, version, processes, queues, kinds, vitals, paused, ended, failed,
                                        lease_until, lost)
               VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 0)""",
            (
                *(worker.hex, given["node"], given["host"], given["pid"], given["version"], given["processes"]),
                *(json.dumps(given["queues"]), json.dumps(given["kinds"]), *report, _text(time.time() + lease)),
            ),
        )


def stop_worker(connection: Connection, worker: uuid.UUID, report: Report = _NOTHING) -> None:
    """A worker ended in order."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE jobs_worker SET stopped_at = %s, ended = %s, failed = %s WHERE id = %s AND stopped_at IS NULL",
            (_now(), report.ended, report.failed, worker.hex),
        )


def asked(connection: Connection, worker: uuid.UUID) -> list[Asked]:
    """Take what people ask of this worker, in their order; each request is taken once."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM jobs_workerrequest WHERE worker = %s AND taken_at IS NULL LIMIT 1", (worker.hex,))
        if cursor.fetchone() is None:
            return []
        cursor.execute(
            """UPDATE jobs_workerrequest SET taken_at = %s WHERE worker = %s AND taken_at IS NULL
               RETURNING id, action, subject, asked_by""",
            (_now(), worker.hex),
        )
        return [Asked(str(uuid.UUID(id)), *rest) for id, *rest in sorted(cursor.fetchall())]


def answer(connection: Connection, answers: Sequence[Answer]) -> None:
    """Answer requests; one that has an answer keeps it."""
    with connection.cursor() as cursor:
        cursor.executemany(
            """UPDATE jobs_workerrequest SET answered_at = %s, succeeded = %s, answer = %s
               WHERE id = %s AND answered_at IS NULL""",
            [(_now(), given.succeeded, given.text.replace("\0", ""), _hex(given.id)) for given in answers],
        )
