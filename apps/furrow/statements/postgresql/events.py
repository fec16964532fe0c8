"""Events: the triggers that write those of jobs, and the outbox that the dispatcher empties."""

from collections.abc import Collection, Sequence

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper as Connection
from psycopg import sql as compose

from furrow.statements import Outgoing
from furrow.statements.moves import DEPTH_KEY, PROGRESS, SUBMITTED, WORD
from furrow.statements.postgresql.link import in_one_go, plain
from furrow.statements.postgresql.times import reading_times
from furrow.tables import ATTEMPT, EVENT, JOB, LEADER

_NAMES = ("furrow_tell_insert", "furrow_tell_update")
#: How long a change of the triggers waits for the jobs' table, which it locks for a moment.
_PATIENCE = "1s"
#: Of each row what is told: no arguments, no result. JSON of the depth may be anybody's.
_DATA = """jsonb_strip_nulls(jsonb_build_object('job', n.id, 'kind', n.kind, 'queue', n.queue, 'state', n.state,
    'previous', {previous}, 'attempt', n.attempt, 'batch', n.batch, 'error', nullif(n.error, ''),
    'progress', n.progress, 'note', nullif(n.progress_note, '')))"""
_DEPTH = f"""CASE jsonb_typeof(n.meta -> '{DEPTH_KEY}') WHEN 'number'
    THEN least(greatest((n.meta ->> '{DEPTH_KEY}')::numeric, 0), 1000)::smallint ELSE 0 END"""
# A statement's rows are told in the order of their ids; of the same job each has waited for the one before. The hash join is
# for sessions that do without (a worker's ledger), the index for tables that nobody has analyzed.
_BODY = """
BEGIN
  INSERT INTO {event} (name, job, number, data, depth)
  SELECT told.name, told.id, 1 + coalesce((SELECT max(number) FROM {event} e WHERE e.job = told.id), 0), told.data, told.depth
  FROM (SELECT n.id, 'job.' || n.kind || '.' || {word} AS name, {data} AS data, {depth} AS depth FROM {rows}) AS told
  WHERE told.name LIKE ANY ({patterns}){unless}
  ORDER BY told.id;
  RETURN NULL;
END"""
_UNLESS = """ AND NOT (told.name LIKE '%.{word}' AND EXISTS (
    SELECT FROM {event} e WHERE e.job = told.id AND e.published_at IS NULL AND e.name = told.name))"""
_SETTINGS = "SET search_path = pg_catalog, pg_temp SET enable_hashjoin = on SET enable_seqscan = off SET jit = off"


def tell_of_jobs(connection: Connection, patterns: Collection[str]) -> bool:
    """From now on write an event of each move of a job whose name may match one of these (``LIKE``); of none: no triggers.
    ``False``: so it was already."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT quote_ident(n.nspname), ARRAY(SELECT tgname::text FROM pg_trigger t
                 WHERE t.tgrelid = c.oid AND tgname = ANY(%s) ORDER BY 1),
                 ARRAY(SELECT p.prosrc FROM pg_proc p WHERE p.pronamespace = n.oid AND proname = ANY(%s) ORDER BY proname)
               FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = %s::regclass""",
            [list(_NAMES), list(_NAMES), JOB],
        )
        schema, there, bodies = cursor.fetchone()
        wanted = _bodies(schema, patterns) if patterns else []
        if there == (list(_NAMES) if patterns else []) and bodies == wanted:
            return False
    with transaction.atomic(using=connection.alias, savepoint=False), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [_PATIENCE])
        for body, name in zip(wanted, _NAMES, strict=False):
            cursor.execute(
                f"CREATE OR REPLACE FUNCTION {schema}.{name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
                f"{_SETTINGS} AS $furrow${body}$furrow$"
            )
        for name, event, tables in zip(_NAMES, ("INSERT", "UPDATE"), ("", " OLD TABLE AS before"), strict=True):
            if patterns and name not in there:
                cursor.execute(
                    f"CREATE TRIGGER {name} AFTER {event} ON {schema}.{JOB} REFERENCING NEW TABLE AS after{tables} "
                    f"FOR EACH STATEMENT EXECUTE FUNCTION {schema}.{name}()"
                )
            elif not patterns:
                cursor.execute(f"DROP FUNCTION IF EXISTS {schema}.{name}() CASCADE")
    return True


def _bodies(schema: str, patterns: Collection[str]) -> list[str]:
    listed = "ARRAY[" + ", ".join(compose.quote(pattern) for pattern in sorted(patterns)) + "]"
    event, shared = f"{schema}.{EVENT}", {"depth": _DEPTH, "patterns": listed}
    inserted = _BODY.format(
        **shared, event=event, word=f"'{SUBMITTED}'", data=_DATA.format(previous="NULL"), rows="after n", unless=""
    )
    word = f"({WORD.replace(ATTEMPT, f'{schema}.{ATTEMPT}')})"
    unless = _UNLESS.format(word=PROGRESS, event=event)
    data = _DATA.format(previous="o.state")
    updated = _BODY.format(**shared, event=event, word=word, data=data, rows="after n JOIN before o USING (id)", unless=unless)
    return [inserted, updated]


def unpublished(connection: Connection, limit: int) -> list[Outgoing]:
    """The first events that RabbitMQ has not confirmed, in the order of their ids. They are on disk then: a claim's commit does
    not wait for that, and a crash of the server would take its event back, and give the id to another."""
    with reading_times(connection) as cursor:
        cursor.execute(
            f"""SELECT id, name, job::text, number, data::text, depth, created_at FROM {EVENT} WHERE published_at IS NULL
               ORDER BY id LIMIT %s""",
            [limit],
        )
        found = list(map(Outgoing._make, cursor.fetchall()))
        if found:  # the commit of anything that is written waits for all that was committed before it
            cursor.execute("SELECT set_config('synchronous_commit', 'on', true), pg_logical_emit_message(true, 'furrow', '')")
        return found


def mark_published(connection: Connection, ids: Sequence[int], term: int) -> int:
    """RabbitMQ has these events, if this term still leads; returns how many were marked. The commit does not wait for the disk:
    a lost mark means that they are published again.

    Marks wait for one another until the commit, also for that of a leader that is none any more, and each has a time of its
    own, whatever the clock does: so whoever reads in the order of these times passes by none. A time that lies more than a day
    ahead is somebody else's."""
    lock = f"SELECT pg_advisory_xact_lock('{EVENT}'::regclass::oid::bigint)"
    text = f"""UPDATE {EVENT} SET published_at = (
        SELECT greatest(clock_timestamp(), max(published_at) + interval '1 microsecond') FROM {EVENT}
        WHERE published_at < statement_timestamp() + interval '1 day')
      WHERE id = ANY(%s::bigint[]) AND published_at IS NULL
        AND (SELECT term FROM {LEADER} WHERE role = 'dispatcher') = %s"""
    _, answer = in_one_go(connection, [(lock, ()), (text, (plain(ids), term))], durable=False)
    return answer.rowcount


def prune_events(connection: Connection, age: float, after: int, limit: int) -> tuple[int, int]:
    """Look at so many events behind this id that were published ``age`` seconds ago or earlier, and delete them, but for the
    last of each job that is still there: its number goes on. Returns how many were deleted, and the id of the last that was
    looked at."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""WITH old AS MATERIALIZED (
                 SELECT id, job, number FROM {EVENT} WHERE id > %s
                   AND published_at < statement_timestamp() - %s * interval '1 second' ORDER BY id LIMIT %s
               ), gone AS (
                 DELETE FROM {EVENT} WHERE id = ANY(ARRAY(
                   SELECT id FROM old WHERE job IS NULL OR NOT EXISTS (SELECT FROM {JOB} j WHERE j.id = old.job)
                     OR EXISTS (SELECT FROM {EVENT} later WHERE later.job = old.job AND later.number > old.number)))
                 RETURNING 1
               ) SELECT (SELECT count(*) FROM gone), coalesce(max(id), %s) FROM old""",
            [after, age, limit, after],
        )
        deleted, reached = cursor.fetchone()
        return int(deleted), int(reached)
