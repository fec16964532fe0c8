"""Who holds which slot of a limit: taken by the leading dispatcher, given back with the end of a run."""

import uuid
from collections.abc import Collection, Mapping, Sequence

from django.db import IntegrityError
from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from furrow.plural import counted
from furrow.statements import EARLY, Candidate, Slot
from furrow.statements.postgresql.link import Statement, columns, entries, plain, raw, texts
from furrow.statements.postgresql.times import reading_times
from furrow.statements.words import FINAL, KEEPS_SLOTS, UNFINISHED
from furrow.tables import HOLD, JOB, LEADER, QUEUE

# Of an entry of limits that some other program wrote.
_SLOTS = "CASE WHEN l->>'slots' ~ '^[0-9]{1,5}$' THEN (l->>'slots')::int ELSE 1 END"
# A spent slot of a rate may be taken early (``lead``).
_LEAD = f"CASE WHEN h.job IS NULL THEN least({EARLY}, h.period / 2) ELSE 0 END * interval '1 second'"
_BUSY = f"(h.free_at IS NULL OR h.free_at > clock_timestamp() + {_LEAD})"


_OFF = """(SELECT count(set_config(name, 'off', true))
  FROM unnest('{synchronous_commit,enable_seqscan,enable_hashjoin,enable_mergejoin,jit}'::text[]) AS name)"""


def leads(connection: Connection, term: int) -> bool:
    """This term still leads, and will until the transaction ends: whoever wants to follow waits. The commit need not be on
    disk: what is lost in a crash of the database was not claimed either. Rows are found by their keys in what follows."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {_OFF} FROM {LEADER} WHERE role = 'dispatcher' AND term = %s FOR SHARE", [term])
        return cursor.fetchone() is not None


def candidates(connection: Connection, queue: str, limit: int) -> list[Candidate]:
    """Due jobs of a queue that have limits and wait for no key, in the order of the day."""
    with reading_times(connection) as cursor:
        cursor.execute(
            f"""SELECT found.id, found.kind, found.attempt, found.limits::text, found.priority, found.run_at
               FROM generate_series(0, 9) AS level, LATERAL (
                 SELECT id, kind, attempt, limits, priority, run_at FROM {JOB}
                 WHERE state = 'pending' AND limits IS NOT NULL AND held = '' AND queue = %s AND priority = level
                   AND run_at <= statement_timestamp()
                 ORDER BY run_at, id LIMIT %s
               ) AS found ORDER BY found.priority, found.run_at, found.id LIMIT %s""",
            [queue, limit, limit],
        )
        return [
            Candidate(id, kind, attempt, limits, (priority, run_at, id))
            for id, kind, attempt, limits, priority, run_at in cursor
        ]


def still_free(connection: Connection, ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Those of these candidates that wait for no key yet and whose row nobody else has locked; they stay locked for this
    transaction. What began to wait is not touched: whoever gives a slot back passes a locked row by."""
    with raw(connection) as cursor:
        cursor.execute(
            f"""SELECT id FROM {JOB} WHERE id = ANY(%s::uuid[]) AND state || '' = 'pending' AND held || '' = ''
               FOR NO KEY UPDATE SKIP LOCKED""",
            (plain(ids),),
        )
        return {row[0] for row in cursor.fetchall()}


def seconds_until_candidate(connection: Connection, queue: str) -> float | None:
    """Seconds until the next of these is due (0 or less: now); ``None`` when there is none."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT date_part('epoch', min(found.run_at)) - date_part('epoch', clock_timestamp())
               FROM generate_series(0, 9) AS level, LATERAL (
                 SELECT run_at FROM {JOB}
                 WHERE state = 'pending' AND limits IS NOT NULL AND held = '' AND queue = %s AND priority = level
                 ORDER BY run_at, id LIMIT 1
               ) AS found""",
            [queue],
        )
        row = cursor.fetchone()
        return None if row is None else row[0]


def slots(connection: Connection, keys: Collection[str]) -> list[Slot]:
    """The slots of these keys that are taken. A rate's that are free again are deleted."""
    with raw(connection) as cursor:
        given = texts(sorted(keys))
        cursor.execute(
            f"""DELETE FROM {HOLD} WHERE ctid = ANY(ARRAY(
                 SELECT ctid FROM {HOLD} WHERE key = ANY(%s::text[]) AND free_at <= clock_timestamp()
                 FOR UPDATE SKIP LOCKED))""",
            (given,),
        )
        cursor.execute(
            f"""SELECT key, slot, job, date_part('epoch', free_at) - date_part('epoch', clock_timestamp()), period
               FROM {HOLD} WHERE key = ANY(%s::text[])""",
            (given,),
        )
        return list(map(Slot._make, cursor.fetchall()))


def heads(connection: Connection, order_keys: Collection[str]) -> dict[str, uuid.UUID]:
    """Of each order key the job whose turn it is: the first that is not over."""
    with raw(connection) as cursor:
        cursor.execute(
            f"SELECT given.key, head.id FROM unnest(%s::text[]) AS given(key), LATERAL ({_HEAD}) AS head", (texts(order_keys),)
        )
        return dict(cursor.fetchall())


_HEAD = f"""SELECT id, held FROM {JOB} WHERE order_key = given.key AND order_key IS NOT NULL
  AND state IN {UNFINISHED} ORDER BY id LIMIT 1"""


def watched(connection: Connection, keys: Collection[str]) -> dict[str, int]:
    """Of each key how many slots are taken and cannot be given back before this transaction ends: so a job that waits for the
    key from now on is seen by whoever gives one back. Slots that are being given back right now are not counted."""
    with raw(connection) as cursor:
        cursor.execute(
            f"""SELECT key, count(*) FROM (
                 SELECT key FROM {HOLD} WHERE key = ANY(%s::text[]) FOR SHARE SKIP LOCKED
               ) AS locked GROUP BY key""",
            (texts(sorted(keys)),),
        )
        return dict(cursor.fetchall())


def take(connection: Connection, rows: Sequence[tuple[str, int, uuid.UUID, float | None, bool]]) -> None:
    """Take slots: key, slot, job, period, ordered. A rate's that nobody has and that is not free yet is taken from then on.

    Raises:
        IntegrityError: one is taken; the primary key refuses it, or its holder's row.
    """
    if rows:
        with raw(connection) as cursor:
            cursor.execute(
                f"""INSERT INTO {HOLD} AS h (key, slot, job, period, ordered)
                   SELECT * FROM unnest(%s::text[], %s::int[], %s::uuid[], %s::float8[], %s::boolean[])
                   ON CONFLICT (key, slot) DO UPDATE SET job = excluded.job, period = excluded.period,
                     not_before = h.free_at, free_at = NULL
                   WHERE h.job IS NULL AND h.free_at IS NOT NULL""",
                columns(rows),
            )
            if cursor.rowcount != len(rows):
                raise IntegrityError(f"taken of {counted(len(rows), 'slot')}: {len(rows) - cursor.rowcount}")


def park(connection: Connection, keys: Mapping[uuid.UUID, str]) -> None:
    """These pending jobs wait for these keys; one whose row is locked is looked at again.

    No join: the planner thinks that hardly any row is ``state || '' = 'pending'``, and would compare each row of the table with
    each given one (of 30,000 jobs that wait for one key that was 12 ms a job)."""
    if keys:
        with raw(connection) as cursor:
            cursor.execute(
                f"""UPDATE {JOB} SET held = (%(keys)s::text[])[array_position(%(ids)s::uuid[], id)]
                   WHERE id = ANY(ARRAY(SELECT id FROM {JOB} WHERE id = ANY(%(ids)s::uuid[]) FOR NO KEY UPDATE SKIP LOCKED))
                     AND state || '' = 'pending' AND held || '' = ''""",
                {"ids": plain(keys), "keys": texts(keys.values())},
            )


# Of jobs whose run the statement settles (``moved``). The slot of a key that was handed over to a line passes to the next one
# of the line. Otherwise: a rate's slots stay taken for their period, by nobody; a job that is handed back keeps what it has;
# one that is tried again keeps its place in the order.
FREED = f"""
, freed AS (
  SELECT h.key, h.slot, h.period, moved.started_at, heir.id AS heir,
    moved.measure NOT IN ('excused', 'retried') OR h.free_at IS NOT NULL
      OR NOT (h.ordered OR moved.outcome IN {KEEPS_SLOTS}) AS free
  FROM {HOLD} h JOIN moved ON h.job = moved.id LEFT JOIN LATERAL (
    SELECT id FROM {JOB} WHERE state = 'running' AND held = h.key AND held <> '' AND id <> ALL(ARRAY(SELECT id FROM moved))
    ORDER BY priority, run_at, id LIMIT 1
  ) AS heir ON true
), passed_on AS (
  UPDATE {HOLD} h SET job = freed.heir FROM freed WHERE h.key = freed.key AND h.slot = freed.slot AND freed.heir IS NOT NULL
), given_back AS (
  DELETE FROM {HOLD} h USING freed
  WHERE h.key = freed.key AND h.slot = freed.slot AND freed.free AND freed.period IS NULL AND freed.heir IS NULL
), spent AS (
  UPDATE {HOLD} h SET job = NULL,
    free_at = greatest(coalesce(h.free_at, clock_timestamp() + h.period * interval '1 second'),
                       freed.started_at + h.period * interval '1 second')
  FROM freed WHERE h.key = freed.key AND h.slot = freed.slot AND freed.free AND freed.period IS NOT NULL
)"""

# Those of ``next`` whose row nobody else has locked. The head of an order must be found first and locked then: with SKIP LOCKED
# the second would be taken for it.
_FREE = f"ARRAY(SELECT id FROM {JOB} WHERE id = ANY(ARRAY(SELECT id FROM next)) FOR NO KEY UPDATE SKIP LOCKED)"

# A statement of its own, after the slots were given back: only so it sees jobs that began to wait meanwhile (see ``watched``).
_RELEASE_FOR = f"""
WITH ended AS (
  SELECT limits, order_key FROM {JOB} WHERE id = ANY(%s::uuid[]) AND limits IS NOT NULL
), freed AS (
  SELECT l->>'key' AS key, {_SLOTS} AS slots, count(*) AS many
  FROM ended, {entries("ended.limits")} AS l WHERE NOT l ? 'ordered' GROUP BY 1, 2
), next AS (
  SELECT waiting.id FROM freed, LATERAL (
    SELECT id FROM {JOB} WHERE state = 'pending' AND held = freed.key AND held <> '' ORDER BY priority, run_at, id
    LIMIT least(freed.many, greatest(0, freed.slots - (SELECT count(*) FROM {HOLD} h WHERE h.key = freed.key AND {_BUSY})))
    FOR UPDATE SKIP LOCKED
  ) AS waiting
  UNION
  SELECT head.id FROM (SELECT DISTINCT order_key AS key FROM ended WHERE order_key IS NOT NULL) AS given,
    LATERAL ({_HEAD}) AS head WHERE head.held = given.key
)
UPDATE {JOB} j SET held = '' WHERE id = ANY({_FREE}) AND j.state || '' = 'pending'"""


def releasing(ids: Collection[str]) -> Statement:
    """Let go those that waited for the keys of these jobs, as many as there are free slots."""
    return _RELEASE_FOR, (plain(ids),)


_BEGUN = f"""
UPDATE {HOLD} h SET free_at = clock_timestamp() + (h.period - given.ago) * interval '1 second'
FROM unnest(%s::uuid[], %s::int[], %s::float8[]) AS given(id, attempt, ago), {JOB} j
WHERE h.job = given.id AND h.period IS NOT NULL AND h.free_at IS NULL AND j.id = given.id AND j.attempt = given.attempt"""


def beginning(begun: Sequence[tuple[str, int, float]]) -> Statement:
    """Runs began (job, attempt, seconds ago): from then on their rates' periods run."""
    return _BEGUN, columns(begun)


def release(connection: Connection, keys: Collection[str] | None = None) -> int:
    """Let go those that wait for these keys (``None``: for any), as many as there are free slots; returns how many.

    How many slots a key has, its first job says. Distinct keys are found by jumping from one to the next in the index."""
    waiting = "SELECT unnest(%(keys)s::text[]) AS key" if keys is not None else _WAITED_FOR
    with connection.cursor() as cursor:
        cursor.execute(
            f"""WITH RECURSIVE {"" if keys is not None else _JUMPS}
                given AS MATERIALIZED ({waiting}),
                free AS MATERIALIZED (
                  SELECT given.key, least(1000, (
                    SELECT {_SLOTS} FROM {JOB}, {entries("limits")} AS l
                    WHERE state = 'pending' AND held = given.key AND held <> '' AND l->>'key' = given.key LIMIT 1
                  ) - (SELECT count(*) FROM {HOLD} h WHERE h.key = given.key AND {_BUSY})) AS slots FROM given
                ), next AS (
                  SELECT waiting.id FROM free, LATERAL (
                    SELECT id FROM {JOB} WHERE state = 'pending' AND held = free.key AND held <> ''
                      AND order_key IS DISTINCT FROM free.key
                    ORDER BY priority, run_at, id LIMIT greatest(0, coalesce(free.slots, 1)) FOR UPDATE SKIP LOCKED
                  ) AS waiting
                  UNION
                  SELECT head.id FROM free AS given, LATERAL ({_HEAD}) AS head WHERE head.held = given.key AND slots > 0
                )
                UPDATE {JOB} j SET held = '' WHERE id = ANY({_FREE}) AND j.state || '' = 'pending'""",
            {"keys": None if keys is None else sorted(keys)},
        )
        return int(cursor.rowcount)


_JUMPS = f"""jumps(key) AS (
  (SELECT held FROM {JOB} WHERE state = 'pending' AND held <> '' ORDER BY held LIMIT 1)
  UNION ALL
  SELECT (SELECT held FROM {JOB} WHERE state = 'pending' AND held <> '' AND held > jumps.key ORDER BY held LIMIT 1)
  FROM jumps WHERE jumps.key IS NOT NULL
),"""
_WAITED_FOR = "SELECT key FROM jumps WHERE key IS NOT NULL AND key <> 'fair'"


def sweep(connection: Connection) -> int:
    """Give back what ended, cancelled, expired, deleted or put off jobs still hold, those of a paused queue, and slots that a
    job needs no more; returns how many slots."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""DELETE FROM {HOLD} WHERE ctid = ANY(ARRAY(
                 SELECT ctid FROM {HOLD} WHERE free_at <= clock_timestamp() FOR UPDATE SKIP LOCKED))"""
        )
        cursor.execute(
            f"""WITH idle AS (
                 SELECT h.key, h.slot, h.period FROM {HOLD} h LEFT JOIN {JOB} j ON j.id = h.job
                 WHERE h.job IS NOT NULL AND (j.id IS NULL OR j.state IN {FINAL}
                   OR j.state = 'pending' AND NOT h.ordered AND (j.run_at > clock_timestamp() + interval '2 seconds'
                     OR j.queue IN (SELECT name FROM {QUEUE} WHERE paused_at < clock_timestamp() - interval '2 seconds'))
                   OR j.state <> 'running' AND NOT EXISTS (
                     SELECT FROM {entries("j.limits")} AS l WHERE l->>'key' = h.key))
                 FOR UPDATE OF h SKIP LOCKED
               ), spent AS (
                 UPDATE {HOLD} h SET job = NULL,
                   free_at = coalesce(h.free_at, clock_timestamp() + h.period * interval '1 second')
                 FROM idle WHERE h.key = idle.key AND h.slot = idle.slot AND h.period IS NOT NULL
               )
               DELETE FROM {HOLD} h USING idle WHERE h.key = idle.key AND h.slot = idle.slot AND h.period IS NULL"""
        )
        return int(cursor.rowcount)
