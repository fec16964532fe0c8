"""Lines: jobs that wait for a lock's key, which passes to them in the statement that settles the run before."""

import uuid
from collections.abc import Collection

from furrow.statements import HandOver
from furrow.statements.begun import HAS_BEGUN
from furrow.statements.postgresql.link import Statement, entries, plain, texts
from furrow.tables import HOLD, JOB, QUEUE

# A job that goes back to pending waits on for the key whose line it stood in, unless it has the key's slot itself.
LEFT_IN_LINE = f"CASE WHEN held <> '' AND EXISTS (SELECT FROM {HOLD} h WHERE h.job = j.id) THEN '' ELSE held END"

_NEXT_IN_LINE = f"""
UPDATE {HOLD} h SET job = heir.id FROM {HOLD} mine, LATERAL (
  SELECT id FROM {JOB} WHERE state = 'running' AND held = mine.key AND held <> '' ORDER BY priority, run_at, id LIMIT 1
) AS heir WHERE mine.job = ANY(%s::uuid[]) AND h.key = mine.key AND h.slot = mine.slot"""


def passing_on(ids: Collection[str]) -> Statement:
    """What these jobs hold for a line passes to the next one of the line."""
    return _NEXT_IN_LINE, (plain(ids),)


# A statement of its own, as the next one. The first of a line takes the slot; a job that began to want it meanwhile may have
# been faster. A key whose next job is not for this worker, or has other limits as well, goes back.
_HAND_OVER = (
    f"""
WITH free AS MATERIALIZED (
  SELECT DISTINCT l->>'key' AS key FROM {JOB}, """
    + entries("limits")
    + f""" AS l
  WHERE id = ANY(%s::uuid[]) AND limits IS NOT NULL AND l->>'slots' = '1' AND NOT l ?| '{{ordered,period}}'
    AND NOT EXISTS (SELECT FROM {HOLD} h WHERE h.key = l->>'key')
  LIMIT %s
), line AS (
  SELECT free.key, next.id, row_number() OVER place AS place, bool_and(next.fit) OVER place AS fit
  FROM free, LATERAL (
    SELECT id, priority, run_at,
      CASE jsonb_typeof(limits) WHEN 'array' THEN jsonb_array_length(limits) = 1 ELSE false END
      AND NOT limits->0 ? 'conflict' AND kind = ANY(%s::text[]) AND queue = ANY(%s::text[])
      AND (expires_at IS NULL OR expires_at > clock_timestamp() OR """
    + HAS_BEGUN
    + f""")
      AND queue <> ALL (ARRAY(SELECT name FROM {QUEUE} WHERE paused_at IS NOT NULL AND NOT draining)) AS fit
    FROM {JOB} WHERE state = 'pending' AND held = free.key AND held <> '' AND run_at <= statement_timestamp()
    ORDER BY priority, run_at, id LIMIT %s FOR UPDATE SKIP LOCKED
  ) AS next WINDOW place AS (PARTITION BY free.key ORDER BY next.priority, next.run_at, next.id)
), taken AS (
  INSERT INTO {HOLD} (key, slot, job, ordered) SELECT key, 0, id, false FROM line WHERE place = 1 AND fit
  ON CONFLICT DO NOTHING RETURNING key
)
UPDATE {JOB} j SET state = 'running', attempt = attempt + 1, worker = %s, started_at = clock_timestamp(),
  progress = NULL, progress_note = '', error = '', held = CASE WHEN line.place = 1 THEN '' ELSE j.held END
FROM line JOIN taken USING (key) WHERE line.fit AND j.id = line.id AND j.state || '' = 'pending'
RETURNING line.place, j.id::text, kind, arguments::text, attempt, excused, max_attempts, 1, line.key, 0::float8, meta::text"""
)


def handing_over(ids: Collection[str], worker: uuid.UUID, to: HandOver) -> Statement:
    """Claim for this worker the next jobs that wait for the lock keys of these jobs, whose runs have been settled: of each key
    a line. They come in no order; each with its key and its place."""
    return _HAND_OVER, (plain(ids), to.keys, texts(to.kinds), texts(to.queues), to.jobs, worker)
