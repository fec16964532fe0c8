"""What happened is counted (SQLite); :mod:`furrow.statements.rollups` says how. All write the same rows, one at a time."""

import time
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from furrow.statements.rollups import BOUNDS, GRAINS, SPAN, TIMELESS, WAIT, before, begin
from furrow.statements.sqlite.clock import clock
from furrow.tables import ERROR_COUNT, ERROR_GROUP, JOB, ROLLUP

_NOBODY = "0" * 32
_KEY = "at, seconds, kind, queue, worker, writer, measure, bucket"
_ADD = f"ON CONFLICT ({_KEY}) DO UPDATE SET count = count + excluded.count, total = total + excluded.total"
_ERROR_KEY = "at, seconds, kind, fingerprint, writer"
_ADD_ERRORS = f"ON CONFLICT ({_ERROR_KEY}) DO UPDATE SET runs = runs + excluded.runs, jobs = jobs + excluded.jobs"


class Settled(NamedTuple):
    """A run that was settled: what became of its job, and its times in seconds."""

    kind: str
    queue: str
    worker: str | None  #: as SQLite has it
    measure: str
    run: float | None
    wait: float | None
    fingerprint: str
    error_type: str
    error: str


def count(cursor: Any, settled: Iterable[Settled]) -> None:
    """Count runs, in the transaction that settled them."""
    counts: Counter[tuple[str, str, str, str, int]] = Counter()
    totals: defaultdict[tuple[str, str, str, str, int], float] = defaultdict(float)
    failed: dict[tuple[str, str], list[Settled]] = {}
    for one in settled:
        times = [(one.measure, one.run)] if one.wait is None else [(one.measure, one.run), (WAIT, one.wait)]
        for measure, took in times:
            cell = (
                one.kind,
                one.queue,
                one.worker or _NOBODY,
                measure,
                TIMELESS if took is None else bisect_right(BOUNDS, took),
            )
            counts[cell] += 1
            totals[cell] += took or 0.0
        if one.fingerprint:
            failed.setdefault((one.kind, one.fingerprint), []).append(one)
    at = _at()
    cursor.executemany(
        f"INSERT INTO {ROLLUP} ({_KEY}, count, total) VALUES (%s, {SPAN}, %s, %s, %s, 0, %s, %s, %s, %s) {_ADD}",
        [(at, *cell, counts[cell], totals[cell]) for cell in counts],
    )
    cursor.executemany(
        f"INSERT INTO {ERROR_GROUP} (kind, fingerprint, error_type, message) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
        [(*group, runs[0].error_type, runs[0].error[:500]) for group, runs in failed.items()],
    )
    cursor.executemany(
        f"INSERT INTO {ERROR_COUNT} ({_ERROR_KEY}, runs, jobs) VALUES (%s, {SPAN}, %s, %s, 0, %s, %s) {_ADD_ERRORS}",
        [(at, *group, len(runs), sum(run.measure == "failed" for run in runs)) for group, runs in failed.items()],
    )


def _at() -> int:
    return int(time.time() // SPAN) * SPAN


def count_cancelled(connection: Connection, ids: Collection[Any]) -> None:
    """Count jobs that were cancelled, or failed, before they began; in the transaction that does so."""
    with connection.cursor() as cursor:
        cursor.executemany(
            f"""INSERT INTO {ROLLUP} ({_KEY}, count, total)
                SELECT {_at()}, {SPAN}, kind, queue, '{_NOBODY}', 0, state, {TIMELESS}, 1, 0 FROM {JOB} WHERE id = %s
                {_ADD}""",
            [(str(id).replace("-", ""),) for id in ids],
        )


def roll(connection: Connection) -> int:
    """Roll what is old into longer spans; returns how many rows that were. In the caller's transaction."""
    rolled, now = 0, clock(connection).timestamp()
    with connection.cursor() as cursor:
        for grain in GRAINS:
            worker = "worker" if grain.keeps_worker else f"'{_NOBODY}'"
            key = f"{begin(grain)}, {grain.into}, kind"
            old = "WHERE seconds = %s AND at < %s"
            cursor.execute(
                f"""INSERT INTO {ROLLUP} ({_KEY}, count, total)
                    SELECT {key}, queue, {worker}, 0, measure, bucket, sum(count), sum(total) FROM {ROLLUP} {old}
                    GROUP BY 1, 3, 4, 5, 7, 8 {_ADD}""",
                (grain.seconds, before(grain, now)),
            )
            cursor.execute(
                f"""INSERT INTO {ERROR_COUNT} ({_ERROR_KEY}, runs, jobs)
                    SELECT {key}, fingerprint, 0, sum(runs), sum(jobs) FROM {ERROR_COUNT} {old}
                    GROUP BY 1, 3, 4 {_ADD_ERRORS}""",
                (grain.seconds, before(grain, now)),
            )
            for table in (ROLLUP, ERROR_COUNT):
                cursor.execute(f"DELETE FROM {table} {old}", (grain.seconds, before(grain, now)))
                rolled += cursor.rowcount
    return rolled
