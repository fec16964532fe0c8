"""A schedule as JSON: for the command line and the HTTP API."""

import datetime as dt
from typing import Any

from furrow.kinds.secret import masked
from furrow.models import Schedule
from furrow.schedules import upcoming


def schedule(row: Schedule, now: dt.datetime, *, whole: bool = False) -> dict[str, Any]:
    """Its facts; ``whole``: with its next and last times. Secrets are masked."""
    facts: dict[str, Any] = {
        "name": row.name,
        "kind": row.kind,
        "arguments": masked(row.arguments),
        "timing": row.timing,
        "words": upcoming.words(row),
        "timezone": row.timezone,
        "options": masked(row.options),
        "catch_up": row.catch_up,
        "window": row.catch_up_window,
        "overlap": row.overlap,
        "jitter": row.jitter,
        "starts_at": row.starts_at,
        "ends_at": row.ends_at,
        "declared": row.source == Schedule.Source.CODE,
        "condition": upcoming.condition(row),
        "reason": upcoming.why(row),
        "next_at": row.next_at,
        "last_at": row.last_at,
        "last_job": row.last_job,
    }
    if not whole:
        return facts
    last = upcoming.last_ticks([row])[row.pk]
    return facts | {
        "next_times": upcoming.next_times(row, now),
        "last_times": [
            {
                "due_at": one.due_at,
                "became": one.word,
                "origin": one.tick.origin,
                "job": one.tick.job,
                "missed": one.tick.missed,
                "late": round(one.late, 3),
                "note": one.tick.note,
            }
            for one in reversed(last)
        ],
    }
