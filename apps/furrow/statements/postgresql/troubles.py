"""What went wrong in a process."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from furrow.tables import TROUBLE


def tell(connection: Connection, troubles: Sequence[tuple[str, str, str, int]], lasts: float) -> None:
    """Count troubles (name, text, remedy, how often), in the order of their names. One that has not occurred for ``lasts``
    seconds begins anew."""
    span: Any = dt.timedelta(seconds=lasts)
    with connection.cursor() as cursor:
        cursor.executemany(
            f"""INSERT INTO {TROUBLE} AS t (name, text, remedy, count, since, last_at)
               VALUES (%s, %s, %s, %s, clock_timestamp(), clock_timestamp())
               ON CONFLICT (name) DO UPDATE SET text = excluded.text, remedy = excluded.remedy, last_at = excluded.last_at,
                 count = excluded.count + CASE WHEN t.last_at < excluded.last_at - %s THEN 0 ELSE t.count END,
                 since = CASE WHEN t.last_at < excluded.last_at - %s THEN excluded.last_at ELSE t.since END""",
            [(*trouble, span, span) for trouble in troubles],
        )
