"""Ticks of schedules, which move on to their next time."""

import uuid
from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from furrow.statements import NewTick, Rescheduled
from furrow.tables import SCHEDULE, TICK


def insert_ticks(connection: Connection, ticks: Sequence[NewTick]) -> set[uuid.UUID]:
    """Insert those of these ticks whose schedule and time have none; returns the jobs that those will have."""
    columns = [list(column) for column in zip(*ticks, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(
            f"""INSERT INTO {TICK} (schedule_id, due_at, job, outcome, origin, missed, note)
               SELECT * FROM unnest(%s::bigint[], %s::timestamptz[], %s::uuid[], %s::text[], %s::text[], %s::int[], %s::text[])
               ON CONFLICT (schedule_id, due_at) DO NOTHING RETURNING job""",
            columns,
        )
        return {job for (job,) in cursor.fetchall() if job is not None}


def move_schedules(connection: Connection, moved: Sequence[Rescheduled]) -> None:
    """Write what became of these schedules; what is ``None`` of their last time and job stays as it is."""
    columns = [list(column) for column in zip(*moved, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(
            f"""UPDATE {SCHEDULE} s SET next_at = u.next_at, fire_at = u.fire_at, held = u.held,
                 last_at = coalesce(u.last_at, s.last_at), last_job = coalesce(u.last_job, s.last_job)
               FROM unnest(%s::bigint[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[], %s::uuid[], %s::text[])
                 AS u (id, next_at, fire_at, last_at, last_job, held)
               WHERE s.id = u.id""",
            columns,
        )
