"""Schedules move on to their next time, on SQLite."""

from collections.abc import Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from furrow.statements import Rescheduled
from furrow.tables import SCHEDULE


def move_schedules(connection: Connection, moved: Sequence[Rescheduled]) -> None:
    """Write what became of these schedules; what is ``None`` of their last time and job stays as it is."""
    stored: Any = connection.ops.adapt_datetimefield_value
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
