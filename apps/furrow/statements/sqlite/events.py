"""Events, on SQLite: the triggers that write those of jobs, and the outbox that the dispatcher empties."""

import datetime as dt
import time
import uuid
from collections.abc import Collection, Sequence

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from furrow.statements import Outgoing
from furrow.statements.moves import DEPTH_KEY, PROGRESS, SUBMITTED, WORD
from furrow.statements.sqlite.times import now as _now
from furrow.statements.sqlite.times import seconds as _seconds
from furrow.statements.sqlite.times import text as _text
from furrow.tables import EVENT, JOB, LEADER

_NAMES = ("furrow_tell_insert", "furrow_tell_update")
#: Of a row what is told: no arguments, no result, and nothing that is null. An id as everybody else writes it.
_ID = " || '-' || ".join(f"substr(NEW.{{0}}, {at}, {many})" for at, many in ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12)))
_DATA = f"""json_patch('{{{{}}}}', json_object('job', {_ID.format("id")}, 'kind', NEW.kind, 'queue', NEW.queue,
    'state', NEW.state, 'previous', {{previous}}, 'attempt', NEW.attempt, 'batch', {_ID.format("batch")},
    'error', nullif(NEW.error, ''), 'progress', NEW.progress, 'note', nullif(NEW.progress_note, '')))"""
_DEPTH = f"""CASE WHEN json_type(NEW.meta, '$.{DEPTH_KEY}') IN ('integer', 'real')
    THEN min(max(CAST(json_extract(NEW.meta, '$.{DEPTH_KEY}') AS INTEGER), 0), 1000) ELSE 0 END"""
_TRIGGER = """CREATE TRIGGER {trigger} AFTER {event} ON {job} BEGIN
  INSERT INTO {outbox} (name, job, number, data, depth)
  SELECT told.name, NEW.id, 1 + coalesce((SELECT max(number) FROM {outbox} e WHERE e.job = NEW.id), 0), {data}, {depth}
  FROM (SELECT 'job.' || NEW.kind || '.' || {word} AS name) AS told WHERE ({patterns}){unless};
END"""
_UNLESS = f""" AND NOT (told.name LIKE '%.{PROGRESS}' AND EXISTS (
    SELECT 1 FROM {EVENT} e WHERE e.job = NEW.id AND e.published_at IS NULL AND e.name = told.name))"""


def tell_of_jobs(connection: Connection, patterns: Collection[str]) -> bool:
    """From now on write an event of each move of a job whose name may match one of these (``LIKE``); of none: no triggers.
    ``False``: so it was already."""
    wanted = _triggers(patterns) if patterns else []
    with connection.cursor() as cursor:
        cursor.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name IN (%s, %s) ORDER BY name", _NAMES)
        if [text for (text,) in cursor.fetchall()] == wanted:
            return False
    with transaction.atomic(using=connection.alias, savepoint=False), connection.cursor() as cursor:
        for name in _NAMES:
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}")
        for text in wanted:
            cursor.execute(text)
    return True


def _triggers(patterns: Collection[str]) -> list[str]:
    quoted = ["'" + pattern.replace("'", "''") + "'" for pattern in sorted(patterns)]
    listed = " OR ".join(rf"told.name LIKE {pattern} ESCAPE '\'" for pattern in quoted)
    shared = {"job": JOB, "outbox": EVENT, "depth": _DEPTH, "patterns": listed}
    word = f"({WORD.replace('n.', 'NEW.').replace('o.', 'OLD.')})"
    return [
        _TRIGGER.format(**shared, trigger=name, event=event, word=word, data=_DATA.format(previous=previous), unless=unless)
        for name, event, word, previous, unless in (
            (_NAMES[0], "INSERT", f"'{SUBMITTED}'", "NULL", ""),
            (_NAMES[1], "UPDATE OF state, progress, progress_note, run_at", word, "OLD.state", _UNLESS),
        )
    ]


def unpublished(connection: Connection, limit: int) -> list[Outgoing]:
    """The first events that RabbitMQ has not confirmed, in the order of their ids. What another program wrote there that is no
    name, or no id of a job, is passed by: to SQLite a column's type is a hint."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT id, name, job, number, data, depth, created_at || '' FROM {EVENT} WHERE published_at IS NULL
               AND typeof(name) = 'text' AND (job IS NULL OR typeof(job) = 'text'
                 AND length(replace(job, '-', '')) = 32 AND replace(job, '-', '') NOT GLOB '*[^0-9a-fA-F]*')
               ORDER BY id LIMIT %s""",
            (limit,),
        )
        return [
            Outgoing(
                id, name, job and str(uuid.UUID(job)), number, data, depth, dt.datetime.fromtimestamp(_seconds(at), dt.UTC)
            )
            for id, name, job, number, data, depth, at in cursor.fetchall()
        ]


def mark_published(connection: Connection, ids: Sequence[int], term: int) -> int:
    """RabbitMQ has these events, if this term still leads; returns how many were marked. Each call has a time of its own, later
    than those before, whatever the clock does. A time that lies more than a day ahead is somebody else's."""
    marked = 0
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT max(published_at) || '' FROM {EVENT} WHERE published_at < %s", (_text(time.time() + 86400),))
        (last,) = cursor.fetchone()
        now = max(_now(), _text(_seconds(last) + 1e-6) if last else "")
        for id in ids:
            cursor.execute(
                f"""UPDATE {EVENT} SET published_at = %s WHERE id = %s AND published_at IS NULL
                   AND (SELECT term FROM {LEADER} WHERE role = 'dispatcher') = %s""",
                (now, id, term),
            )
            marked += cursor.rowcount
    return marked


def prune_events(connection: Connection, age: float, after: int, limit: int) -> tuple[int, int]:
    """Look at so many events behind this id that were published ``age`` seconds ago or earlier, and delete them, but for the
    last of each job that is still there: its number goes on. Returns how many were deleted, and the id of the last that was
    looked at."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT id FROM {EVENT} WHERE id > %s AND published_at < %s ORDER BY id LIMIT %s""",
            (after, _text(max(0.0, time.time() - age)), limit),
        )
        old = cursor.fetchall()
        deleted = 0
        for row in old:
            cursor.execute(
                f"""DELETE FROM {EVENT} AS old WHERE id = %s AND (job IS NULL
                   OR NOT EXISTS (SELECT 1 FROM {JOB} j WHERE j.id = old.job)
                   OR EXISTS (SELECT 1 FROM {EVENT} later WHERE later.job = old.job AND later.number > old.number))""",
                row,
            )
            deleted += cursor.rowcount
    return deleted, old[-1][0] if old else after
