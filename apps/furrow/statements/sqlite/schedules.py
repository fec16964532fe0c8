"""Ticks of schedules, which move on to their next time, on SQLite."""

import uuid
from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from furrow.statements import NewTick, Rescheduled
from furrow.statements.sqlite.times import now as _now
from furrow.statements.sqlite.times import stored
from furrow.tables import SCHEDULE, TICK


def insert_ticks(connection: Connection, ticks: Sequence[NewTick]) -> set[uuid.UUID]:
    """Insert those of these ticks whose schedule and time have none; returns the jobs that those will have."""
    inserted = set[uuid.UUID]()
    with connection.cursor() as cursor:
        for one in ticks:
            cursor.execute(
                f"""INSERT INTO {TICK} (schedule_id, due_at, job, outcome, origin, missed, note, fired_at)
                   VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (schedule_id, due_at) DO NOTHING""",
                (one.schedule, stored(one.due_at), one.job and one.job.hex, *one[3:], _now()),
            )
            if one.job is not None and cursor.rowcount == 1:
                inserted.add(one.job)
    return inserted


def move_schedules(connection: Connection, moved: Sequence[Rescheduled]) -> None:
    """Write what became of these schedules; what is ``None`` of their last time and job stays as it is."""
    with connection.cursor() as cursor:
        cursor.executemany(
            f"""UPDATE {SCHEDULE} SET next_at = %s, fire_at = %s, held = %s, last_at = coalesce(%s, last_at),
                 last_job = coalesce(%s, last_job) WHERE id = %s""",
            [
                (
                    *map(stored, (one.next_at, one.fire_at)),
                    one.held,
                    stored(one.last_at),
                    one.last_job and one.last_job.hex,
                    one.id,
                )
                for one in moved
            ],
        )
