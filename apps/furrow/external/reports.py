"""Reports: log lines and progress of runs that go on."""

import time
import uuid
from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

from furrow import statements
from furrow.conf import conf
from furrow.external.fence import Run, Stale, locked, sort_out
from furrow.external.masking import masks
from furrow.models import LogLine
from furrow.models.database import connection
from furrow.sanitize import clean, cut
from furrow.statements import Group, LogRecord, Progress

#: ``worker`` of a group that claims nothing.
_NOBODY = uuid.UUID(int=0)
#: Seconds by which a time may differ from itself after the database has rounded it to microseconds.
_ROUNDED = 2e-6


class Line(NamedTuple):
    """A log line."""

    run: Run
    message: str
    level: int = 20  #: as in :mod:`logging`
    logger: str = ""
    at: float | None = None  #: seconds since the epoch; ``None``: now


class Step(NamedTuple):
    """How far a run is."""

    run: Run
    fraction: float
    note: str = ""


def log(lines: Sequence[Line], kinds: Collection[str]) -> list[Stale]:
    """Append these lines, secrets masked, long ones cut; of an attempt that has its most, no more. A line with a time that was
    told before, to which no answer came, is there already. Returns the runs that are over, of which nothing was kept."""
    found = sort_out([line.run for line in lines], kinds)
    kept, limit, now, records = _kept(found.current), conf().max_log_lines, time.time(), []
    told = _told({line.run for line in lines if line.at is not None and line.run in found.current})
    for line in lines:
        job = found.current.get(line.run)
        if job is None:
            continue
        text, level = cut(clean(masks(job).text(line.message)), conf().max_log_line), line.level
        if line.at is not None and any(abs(at - line.at) < _ROUNDED for at in told.get((line.run, text), ())):
            continue
        kept[line.run] += 1
        if kept[line.run] > limit + 1:
            continue
        if kept[line.run] == limit + 1:
            text, level = f"[cut here: an attempt keeps {limit:,} log lines (FURROW['MAX_LOG_LINES'])]", 30
        at = now if line.at is None else min(max(0.0, line.at), now)
        records.append(LogRecord(str(line.run.id), line.run.attempt, at, level, clean(line.logger)[:200], text))
    _write(Group(logs=records))
    return found.stale


def progress(steps: Sequence[Step], kinds: Collection[str]) -> list[Stale]:
    """Note how far these runs are; of several of one run the last counts, and none of a run whose row is locked: the next one
    says more. Returns the runs that are over."""
    found = sort_out([step.run for step in steps], kinds)
    for run in locked(found.current):
        del found.current[run]
    latest = {step.run: step for step in steps if step.run in found.current}
    reports = [
        Progress(str(run.id), run.attempt, step.fraction, clean(masks(found.current[run]).text(step.note))[:200])
        for run, step in latest.items()
    ]
    _write(Group(progress=reports))
    return found.stale


def _kept(runs: Collection[Run]) -> Counter[Run]:
    """How many lines each of these has already."""
    return Counter({run: LogLine.objects.filter(job=run.id, attempt=run.attempt).count() for run in runs})


def _told(runs: Collection[Run]) -> dict[tuple[Run, str], list[float]]:
    """The lines that these have: when, by the run and the text."""
    told: dict[tuple[Run, str], list[float]] = {}
    for run in runs:
        for message, at in LogLine.objects.filter(job=run.id, attempt=run.attempt).values_list("message", "at"):
            told.setdefault((run, message), []).append(at.timestamp())
    return told


def _write(group: Group) -> None:
    if group.logs or group.progress:
        try:
            statements.on(connection).write(connection, _NOBODY, group)
        except BaseException:
            connection.close()
            raise
