"""Schedules as JSON: for the command line and the HTTP API."""

import datetime as dt
from typing import Any

from furrow.diagnosis.as_json import utc
from furrow.kinds.secret import masked
from furrow.models import Schedule
from furrow.schedules import upcoming


def schedule_json(row: Schedule, now: dt.datetime, *, whole: bool = False) -> dict[str, Any]:
    """A schedule; ``whole``: with its next and last times. Times are ISO 8601 in UTC or null; secrets are masked."""
    facts: dict[str, Any] = {
        "id": row.pk,
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
        "starts_at": utc(row.starts_at),
        "ends_at": utc(row.ends_at),
        "declared": row.source == Schedule.Source.CODE,
        "condition": upcoming.condition(row),
        "reason": upcoming.why(row),
        "next_at": utc(row.next_at),
        "last_at": utc(row.last_at),
        "last_job": row.last_job,
    }
    if not whole:
        return facts
    last = upcoming.last_ticks([row])[row.pk]
    return facts | {
        "next_times": [utc(one) for one in upcoming.next_times(row, now)],
        "last_times": [
            {
                "due_at": utc(one.due_at),
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
