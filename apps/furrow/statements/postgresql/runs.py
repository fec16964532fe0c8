"""A worker claims and settles."""

import datetime as dt
import time
import uuid
from collections.abc import Collection, Sequence

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from furrow.models.job import HIGHEST_PRIORITY, LOWEST_PRIORITY
from furrow.statements import CANCELLED, DISOWNED, EARLY, Claimed, Dead, Group, Settlement, Written
from furrow.statements.begun import HAS_BEGUN
from furrow.statements.postgresql.holds import FREED, beginning, releasing
from furrow.statements.postgresql.lines import LEFT_IN_LINE, handing_over, passing_on
from furrow.statements.postgresql.link import Statement, columns, entries, in_one_go, plain, raw, texts
from furrow.statements.postgresql.rollups import COUNTED, ERRORS_COUNTED, NAMED
from furrow.statements.words import ENDS_CANCELLED, EXCUSED, KEEPS_SLOTS
from furrow.states import Outcome
from furrow.tables import ATTEMPT, DEAD_MESSAGE, HOLD, JOB, LOG_LINE, OUTPUT_CHUNK, QUEUE, SIGNAL, STEP, WORKFLOW

_CLAIM = f"""
UPDATE {JOB} SET state = 'running', attempt = attempt + 1, worker = %s, started_at = clock_timestamp(),
                    progress = NULL, progress_note = '', error = ''
WHERE id = ANY(%s::uuid[]) AND (state || '' = 'queued' OR state || '' = 'pending' AND run_at <= clock_timestamp())
  AND (expires_at IS NULL OR expires_at > clock_timestamp() OR {HAS_BEGUN})
  AND queue <> ALL (ARRAY(SELECT name FROM {QUEUE} WHERE paused_at IS NOT NULL AND NOT draining))
  AND (limits IS NULL OR (  -- it has all its slots
    SELECT count(*) FROM {entries("limits", "null")} AS l
    WHERE NOT EXISTS (SELECT FROM {HOLD} h WHERE h.job = {JOB}.id AND h.key = l->>'key')) = 0)
RETURNING id::text, kind, arguments::text, attempt, excused, max_attempts,
          CASE WHEN limits IS NULL THEN 0 WHEN jsonb_path_exists(limits, '$[*].period') THEN 2 ELSE 1 END, '',
          CASE WHEN limits IS NULL THEN 0 ELSE coalesce((
            SELECT least({EARLY}, greatest(0, max(date_part('epoch', h.not_before)) - date_part('epoch', clock_timestamp())))
            FROM {HOLD} h WHERE h.job = {JOB}.id), 0) END::float8, meta::text"""


def claim(connection: Connection, worker: uuid.UUID, ids: Collection[str]) -> list[Claimed]:
    """Give these jobs to a worker; those that may not run now (cancelled, settled, expired, not due, of a
    paused queue) are left out."""
    with raw(connection) as cursor:
        return list(map(Claimed._make, cursor.execute(*_claiming(worker, ids)).fetchall()))


def _claiming(worker: uuid.UUID, ids: Collection[str]) -> Statement:
    return _CLAIM, (worker, plain(sorted(ids)))


_MAY_BEGIN = f"(expires_at IS NULL OR {HAS_BEGUN} OR expires_at > clock_timestamp())"
_OFFERED = f"""
SELECT id::text FROM (
  SELECT due.* FROM unnest(%(queues)s::text[]) AS q(name), generate_series({HIGHEST_PRIORITY}, {LOWEST_PRIORITY}) AS level,
    LATERAL (
      SELECT priority, run_at, id FROM {JOB}
      WHERE state = 'pending' AND limits IS NULL AND queue = q.name AND priority = level AND run_at <= statement_timestamp()
        AND kind = ANY(%(kinds)s) AND {_MAY_BEGIN}
      ORDER BY run_at, id LIMIT %(limit)s
    ) AS due
  WHERE q.name <> ALL (ARRAY(SELECT name FROM {QUEUE} WHERE paused_at IS NOT NULL))
  UNION ALL
  SELECT priority, run_at, id FROM {JOB} WHERE state = 'queued' AND queue = ANY(%(queues)s) AND kind = ANY(%(kinds)s)
    AND queue <> ALL (ARRAY(SELECT name FROM {QUEUE} WHERE NOT draining AND paused_at IS NOT NULL)) AND {_MAY_BEGIN}
) AS offered ORDER BY priority, run_at, id LIMIT %(limit)s"""


def offered(connection: Connection, queues: Sequence[str], kinds: Sequence[str], limit: int) -> list[str]:
    """Jobs of these kinds that an external worker may claim now, in the order of the day: due ones without limits, looked up
    per priority as :func:`furrow.statements.postgresql.dispatch.due` does, and those that the dispatcher let in."""
    with connection.cursor() as cursor:
        cursor.execute(_OFFERED, {"queues": list(queues), "kinds": list(kinds), "limit": limit})
        return [row[0] for row in cursor.fetchall()]


_RELEASE = f"""
WITH released AS (
  UPDATE {JOB} j SET worker = NULL, queued_at = NULL, excused = excused + 1,
    state = CASE WHEN cancel_requested_at IS NULL THEN 'pending' ELSE 'cancelled' END,
    finished_at = CASE WHEN cancel_requested_at IS NULL THEN NULL ELSE clock_timestamp() END,
    held = CASE WHEN cancel_requested_at IS NULL THEN {LEFT_IN_LINE} ELSE '' END,
    error = CASE WHEN cancel_requested_at IS NULL THEN '{DISOWNED}' ELSE '{CANCELLED}' END
  WHERE id = ANY(%s::uuid[]) AND state = 'running' AND worker = %s
  RETURNING kind, queue, worker, state, started_at, finished_at
), moved AS (
  SELECT *, state AS measure, 0 AS pid, NULL::float8 AS wait FROM released WHERE state = 'cancelled'
) {COUNTED}"""


def release_jobs(connection: Connection, worker: uuid.UUID, ids: Collection[str]) -> None:
    """Give back jobs that are this worker's by the database, and of which it does not know; the attempt does not count. What
    somebody asked to stop is cancelled."""
    in_one_go(connection, _releasing(worker, ids))


def _releasing(worker: uuid.UUID, ids: Collection[str]) -> list[Statement]:
    return [(_RELEASE, (plain(ids), worker)), passing_on(ids)]


# What a worker's clock says counts only between the claim and now, by the database's clock.
# By primary key: ``state || ''`` matches no partial index. The planner always thinks that hardly anything is running, and would
# join what is given with all that the index furrow_job_running has, dead entries included: 295 ms instead of 10
# (docs/queue_table.md).
_SIGNED = ", fingerprint", ", %s::text[]", "given.fingerprint", f", named AS ({NAMED}), errors AS ({ERRORS_COUNTED})"


def _settle(given: str, types: str, fingerprint: str, also: str, held: str, freed: str) -> str:
    return f"""
WITH given AS (
  SELECT * FROM unnest(%s::uuid[], %s::int[], %s::text[], %s::text[], %s::int[], %s::float8[], %s::float8[], %s::float8[],
                       %s::text[], %s::text[], %s::text[], %s::text[]{types})
  AS given(id, attempt, state, outcome, pid, started, finished, delay, result, error, error_type, traceback{given})
), moved AS (
  UPDATE {JOB} j SET
    state = CASE WHEN j.cancel_requested_at IS NOT NULL AND (given.state = 'pending' OR given.outcome IN {ENDS_CANCELLED})
                 THEN 'cancelled' ELSE given.state END,
    finished_at = CASE WHEN given.state = 'pending' AND j.cancel_requested_at IS NULL THEN NULL ELSE clock_timestamp() END,
    run_at = CASE WHEN given.delay IS NULL THEN j.run_at ELSE clock_timestamp() + given.delay * interval '1 second' END,
    started_at = greatest(j.started_at, least(to_timestamp(given.started), clock_timestamp())),
    excused = j.excused + (given.outcome IN {EXCUSED})::int,
    queued_at = CASE WHEN given.state = 'pending' THEN NULL ELSE j.queued_at END,
    result = given.result::jsonb, error = given.error, fingerprint = {fingerprint}{held}
  FROM given WHERE j.id = given.id AND j.attempt = given.attempt AND j.state || '' = 'running'
  RETURNING j.id, given.attempt, given.outcome, j.worker, given.pid, j.started_at,
            CASE WHEN given.finished = 0 THEN clock_timestamp()
                 ELSE greatest(j.started_at, least(to_timestamp(given.finished), clock_timestamp())) END AS finished_at,
            given.error_type, given.error, given.traceback, j.kind, j.queue, j.fingerprint,
            CASE WHEN j.state <> 'pending' THEN j.state
                 WHEN given.outcome IN {EXCUSED} THEN 'excused' ELSE 'retried' END AS measure,
            CASE WHEN given.pid <> 0 AND given.delay IS NULL AND isfinite(j.run_at)
                 THEN date_part('epoch', j.started_at - j.run_at) END AS wait, j.node
), attempts AS (
  INSERT INTO {ATTEMPT} (job_id, number, outcome, worker, pid, started_at, finished_at, error_type, error, traceback)
  SELECT id, attempt, outcome, worker, pid, started_at, finished_at, error_type, error, traceback FROM moved
), counted AS ({COUNTED}){also}{freed}
SELECT id::text, node IS NOT NULL FROM moved"""


_HELD = f", held = CASE WHEN given.outcome IN {KEEPS_SLOTS} THEN {LEFT_IN_LINE} ELSE '' END"
#: By whether there are errors among them, and jobs with limits.
_SETTLE = {
    (signed, limited): _settle(*(_SIGNED if signed else ("", "", "''", "")), *((_HELD, FREED) if limited else ("", "")))
    for signed in (False, True)
    for limited in (False, True)
}


def settle(connection: Connection, settlements: Sequence[Settlement]) -> set[str]:
    """Settle runs and record their attempts; returns the jobs for which the attempt was still the current run."""
    if not settlements:
        return set()
    ids = [settlement.id for settlement in settlements]
    settled, _ = in_one_go(connection, [_settling(settlements, limited=True), releasing(ids)])
    return {row[0] for row in settled.fetchall()}


def _settling(settlements: Sequence[Settlement], *, limited: bool) -> Statement:
    # The fields are in the order of the statement; from the result on they may be any text.
    columns = list(zip(*settlements, strict=True))
    signed = any(columns[12])
    return _SETTLE[signed, limited], [*map(plain, columns[:8]), *map(texts, columns[8 : 12 + signed])]


#: Behind the statement that settles, whose locks who sends a signal waits for: what came, or ended, while a run ended to wait
#: for it.
_SNOOZED = str(Outcome.SNOOZED)
_AWAKEN = f"""
UPDATE {JOB} j SET run_at = clock_timestamp()
WHERE id = ANY(%s::uuid[]) AND state || '' = 'pending' AND run_at > clock_timestamp() AND EXISTS (
  SELECT FROM {STEP} s WHERE s.job_id = j.id AND s.finished_at IS NULL AND (
    EXISTS (SELECT FROM {SIGNAL} g WHERE g.target = s.job_id AND g.name = s.awaits AND g.consumed_at IS NULL)
    OR EXISTS (
      SELECT FROM {WORKFLOW} w WHERE w.id = CASE s.sort WHEN 'call' THEN s.awaits::uuid END AND w.state <> 'running')))"""

_UNQUEUE = f"UPDATE {JOB} SET state = 'pending', queued_at = NULL WHERE id = ANY(%s::uuid[]) AND state || '' = 'queued'"

_LOG = f"""
INSERT INTO {LOG_LINE} (job_id, attempt, at, level, logger, message)
SELECT id, attempt, least(to_timestamp(at), clock_timestamp()), level, logger, message
FROM unnest(%s::uuid[], %s::int[], %s::float8[], %s::smallint[], %s::text[], %s::text[])
AS given(id, attempt, at, level, logger, message)"""

#: A line has no key: an index for what happens once in many faults would cost every line. Where the worker's clock is ahead of
#: the database's, the line that was written has the time of that.
_LOG_AGAIN = f"""{_LOG}
WHERE NOT EXISTS (
  SELECT 1 FROM {LOG_LINE} l WHERE l.job_id = given.id AND l.attempt = given.attempt AND l.message = given.message
    AND (l.at = to_timestamp(given.at) OR l.at < to_timestamp(given.at) AND l.at >= %s)
)"""

_EMIT = f"""
INSERT INTO {OUTPUT_CHUNK} (job_id, attempt, number, at, value, cut)
SELECT given.id, given.attempt, given.number, least(to_timestamp(given.at), clock_timestamp()), given.value, given.cut
FROM unnest(%s::uuid[], %s::int[], %s::int[], %s::float8[], %s::text[], %s::bool[])
AS given(id, attempt, number, at, value, cut)
JOIN {JOB} j ON j.id = given.id AND j.attempt = given.attempt
ON CONFLICT DO NOTHING"""

_PROGRESS = f"""
UPDATE {JOB} j SET progress = given.fraction, progress_note = given.note
FROM unnest(%s::uuid[], %s::int[], %s::float8[], %s::text[]) AS given(id, attempt, fraction, note)
WHERE j.id = given.id AND j.attempt = given.attempt AND j.state || '' = 'running'"""


_KEEP_DEAD = f"""
INSERT INTO {DEAD_MESSAGE} (reason, worker, exchange, routing_key, properties, body, size)
SELECT reason, worker, exchange, routing_key, properties, body::bytea, size
FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[])
AS given(reason, worker, exchange, routing_key, properties, body, size)"""

#: Nor has a message: two that are alike are two.
_KEEP_DEAD_AGAIN = f"""{_KEEP_DEAD}
WHERE NOT EXISTS (
  SELECT 1 FROM {DEAD_MESSAGE} d
  WHERE d.received_at >= %s AND (d.reason, d.worker, d.exchange, d.routing_key, d.properties, d.body, d.size)
    = (given.reason, given.worker, given.exchange, given.routing_key, given.properties, given.body::bytea, given.size)
)"""


def _keeping(dead: Sequence[Dead], again: dt.datetime | None) -> Statement:
    given = columns([(*message[:5], "\\x" + message.body.hex(), message.size) for message in dead])
    return (_KEEP_DEAD_AGAIN, [*given, again]) if again else (_KEEP_DEAD, given)


def unknown(connection: Connection, ids: Collection[str]) -> set[str]:
    """Those of these ids that no job has."""
    with raw(connection) as cursor:
        cursor.execute(
            f"SELECT id::text FROM unnest(%s::uuid[]) AS id EXCEPT SELECT id::text FROM {JOB} WHERE id = ANY(%s::uuid[])",
            [plain(ids)] * 2,
        )
        return {row[0] for row in cursor.fetchall()}


#: Of a row that was handed over, where its key is: after its place and the fields of :class:`Claimed` before it.
_KEY = 1 + Claimed._fields.index("line")


def write(connection: Connection, worker: uuid.UUID, group: Group) -> Written:
    """A worker's group commit: all of it in one transaction and one round trip.

    A claim alone does not wait for the disk: a lost one is claimed again, and the stale run is fenced off. After an error the
    connection must be dropped."""
    given: dict[str, Statement] = {}
    freeing = set(group.limited).difference(group.in_line)
    if group.begun:  # before the runs are settled: afterwards they hold nothing any more
        now = time.time()
        given["begin"] = beginning([(id, attempt, max(0.0, now - at)) for id, attempt, at in group.begun])
    if group.progress:  # before the runs are settled: afterwards they are not running any more
        given["progress"] = _PROGRESS, columns(group.progress)
    if group.settlements:
        given["settle"] = _settling(group.settlements, limited=bool(group.limited))
        if freeing and group.hand_over:
            given["hand over"] = handing_over(freeing, worker, group.hand_over)
        if freeing:
            given["let go"] = releasing(freeing)
        if snoozed := [run.id for run in group.settlements if run.outcome == _SNOOZED]:
            given["awaken"] = _AWAKEN, (plain(snoozed),)
    if group.released:  # after what ended was settled: the answer that named it may be older than its end
        given["release"], given["pass on"] = _releasing(worker, group.released)
    if group.unqueued:
        given["unqueue"] = _UNQUEUE, (plain(sorted(group.unqueued)),)
    if group.logs:
        given["log"] = (_LOG_AGAIN, [*columns(group.logs), group.again]) if group.again else (_LOG, columns(group.logs))
    if group.output:
        given["emit"] = _EMIT, columns(group.output)
    if group.dead:
        given["keep"] = _keeping(group.dead, group.again)
    if group.claims:
        given["claim"] = _claiming(worker, group.claims)
    ends = bool(group.settlements or group.dead)
    answers = dict(
        zip(
            given,
            in_one_go(connection, given.values(), durable=ends or bool(group.logs or group.output), patient=ends),
            strict=True,
        )
    )
    lines = answers["hand over"].fetchall() if "hand over" in answers else []
    claimed = [Claimed(*fields) for _, *fields in sorted(lines, key=lambda row: (row[_KEY], row[0]))]
    if "claim" in answers:
        claimed += map(Claimed._make, answers["claim"].fetchall())
    let_go = answers["let go"].rowcount if "let go" in answers else 0
    moved = sum(of_node for _, of_node in answers["settle"].fetchall()) if "settle" in answers else 0
    return Written(claimed, let_go, moved)
