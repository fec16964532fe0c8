"""Who holds which slot of a limit, on SQLite. One row at a time; nobody else writes meanwhile."""

import datetime as dt
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper as Connection

from furrow.limits.stored import legible
from furrow.statements import EARLY, Candidate, Settlement, Slot
from furrow.statements.sqlite.lines import HandingOver, pass_on, taken
from furrow.statements.sqlite.times import bare, now, read, seconds, text
from furrow.statements.words import FINAL, UNFINISHED
from furrow.states import KEEPS_SLOTS, State
from furrow.tables import HOLD, JOB, LEADER, QUEUE


def leads(connection: Connection, term: int) -> bool:
    """This term still leads, and will until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT 1 FROM {LEADER} WHERE role = 'dispatcher' AND term = %s", (term,))
        return cursor.fetchone() is not None


def candidates(connection: Connection, queue: str, limit: int) -> list[Candidate]:
    """Due jobs of a queue that have limits and wait for no key, in the order of the day."""
    found: list[Candidate] = []
    with connection.cursor() as cursor:
        for level in range(10):
            cursor.execute(
                f"""SELECT id, kind, attempt, limits, run_at || '' FROM {JOB}
                   WHERE state = 'pending' AND limits IS NOT NULL AND held = ''
                     AND queue = %s AND priority = %s AND run_at <= %s ORDER BY run_at, id LIMIT %s""",
                (queue, level, now(), limit - len(found)),
            )
            for id, kind, attempt, limits, run_at in cursor.fetchall():
                due_at = read(run_at).replace(tzinfo=dt.UTC)
                found.append(Candidate(uuid.UUID(id), kind, attempt, limits, (level, due_at, uuid.UUID(id))))
    return found


def still_free(connection: Connection, ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """All of these candidates: who holds the file's lock sees what is true."""
    return set(ids)


def seconds_until_candidate(connection: Connection, queue: str) -> float | None:
    """Seconds until the next of these is due (0 or less: now); ``None`` when there is none."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT min(run_at || '') FROM {JOB}
               WHERE state = 'pending' AND limits IS NOT NULL AND held = '' AND queue = %s""",
            (queue,),
        )
        earliest = cursor.fetchone()[0]
    return None if earliest is None else seconds(earliest) - time.time()


def slots(connection: Connection, keys: Collection[str]) -> list[Slot]:
    """The slots of these keys that are taken. A rate's that are free again are deleted."""
    busy: list[Slot] = []
    with connection.cursor() as cursor:
        for key in keys:
            cursor.execute(f"DELETE FROM {HOLD} WHERE key = %s AND free_at <= %s", (key, now()))
            cursor.execute(f"SELECT slot, job, free_at || '', period FROM {HOLD} WHERE key = %s", (key,))
            for slot, job, free_at, period in cursor.fetchall():
                free_in = None if free_at is None else seconds(free_at) - time.time()
                busy.append(Slot(key, slot, uuid.UUID(job) if job else None, free_in, period))
    return busy


def heads(connection: Connection, order_keys: Collection[str]) -> dict[str, uuid.UUID]:
    """Of each order key the job whose turn it is: the first that is not over."""
    with connection.cursor() as cursor:
        found = {key: _head(cursor, key) for key in order_keys}
    return {key: uuid.UUID(head[0]) for key, head in found.items() if head}


def _head(cursor: Any, key: str) -> Any:
    cursor.execute(f"SELECT id, held FROM {JOB} WHERE order_key = %s AND state IN {UNFINISHED} ORDER BY id LIMIT 1", (key,))
    return cursor.fetchone()


def watched(connection: Connection, keys: Collection[str]) -> dict[str, int]:
    """Of each key how many slots are taken; without those that have none."""
    with connection.cursor() as cursor:
        counts = {}
        for key in keys:
            cursor.execute(f"SELECT count(*) FROM {HOLD} WHERE key = %s", (key,))
            if count := cursor.fetchone()[0]:
                counts[key] = count
    return counts


def take(connection: Connection, rows: Sequence[tuple[str, int, uuid.UUID, float | None, bool]]) -> None:
    """Take slots: key, slot, job, period, ordered. A rate's that nobody has and that is not free yet is taken from then on.

    Raises:
        IntegrityError: one is taken; the primary key refuses it.
    """
    with connection.cursor() as cursor:
        for key, slot, job, period, ordered in rows:
            cursor.execute(
                f"""UPDATE {HOLD} SET job = %s, period = %s, not_before = free_at, free_at = NULL
                   WHERE key = %s AND slot = %s AND job IS NULL AND free_at IS NOT NULL""",
                (job.hex, period, key, slot),
            )
            if cursor.rowcount == 0:
                cursor.execute(
                    f"INSERT INTO {HOLD} (key, slot, job, period, ordered) VALUES (%s, %s, %s, %s, %s)",
                    (key, slot, job.hex, period, ordered),
                )


def seconds_to_wait(cursor: Any, job: str) -> float:
    """In which this job, whose rate's slot was taken early, must not begin."""
    cursor.execute(f"SELECT max(not_before || '') FROM {HOLD} WHERE job = %s", (bare(job),))
    (moment,) = cursor.fetchone()
    return 0.0 if moment is None else min(EARLY, max(0.0, seconds(moment) - time.time()))


def park(connection: Connection, keys: Mapping[uuid.UUID, str]) -> None:
    """These pending jobs wait for these keys."""
    with connection.cursor() as cursor:
        cursor.executemany(
            f"UPDATE {JOB} SET held = %s WHERE id = %s AND state = 'pending' AND held = ''",
            [(key, id.hex) for id, key in keys.items()],
        )


def begin_rates(cursor: Any, begun: Sequence[tuple[str, int, float]]) -> None:
    """Runs began (job, attempt, seconds since the epoch): from then on their rates' periods run."""
    for id, attempt, at in begun:
        cursor.execute(
            f"""SELECT key, slot, period FROM {HOLD} WHERE job = %s AND period IS NOT NULL AND free_at IS NULL
               AND EXISTS (SELECT 1 FROM {JOB} WHERE id = %s AND attempt = %s)""",
            (bare(id), bare(id), attempt),
        )
        for key, slot, period in cursor.fetchall():
            cursor.execute(f"UPDATE {HOLD} SET free_at = %s WHERE key = %s AND slot = %s", (text(at + period), key, slot))


def give_back(cursor: Any, given: Settlement, state: str, limits: str, handing: HandingOver | None) -> None:
    """A run of a job with limits was settled. The slot of a key that was handed over to a line passes to the next one of the
    line. Otherwise what it held is free, and those that wait for it go on. A rate's slots stay taken for their period, by
    nobody. A job that is handed back keeps what it has; one that is tried again keeps its place in the order."""
    cursor.execute(f"SELECT key, slot, period, free_at || '', ordered FROM {HOLD} WHERE job = %s", (bare(given.id),))
    for key, slot, period, free_at, ordered in cursor.fetchall():
        if pass_on(cursor, key, slot):
            continue
        if state != State.PENDING or free_at is not None or not (ordered or given.outcome in KEEPS_SLOTS):
            _free(cursor, key, slot, period, free_at, min(given.started, time.time()))
    for limit in legible(limits):
        lock = limit.slots == 1 and not limit.ordered and limit.period is None
        if not (lock and handing and handing.next(cursor, limit.key)):
            let_go = _let_go(cursor, limit.key, limit.slots, 1)
            if handing:
                handing.let_go += let_go


def _free(cursor: Any, key: str, slot: int, period: float | None, free_at: str | None, started: float = 0.0) -> None:
    if period is None:
        cursor.execute(f"DELETE FROM {HOLD} WHERE key = %s AND slot = %s", (key, slot))
    else:
        cursor.execute(
            f"UPDATE {HOLD} SET job = NULL, free_at = %s WHERE key = %s AND slot = %s",
            (max(free_at or text(time.time() + period), text(started + period)), key, slot),
        )


def _let_go(cursor: Any, key: str, slots: int, most: int) -> int:
    """Let go those that wait for this key, as many as there are free slots."""
    free = min(most, slots - taken(cursor, key))
    if free <= 0:
        return 0
    if head := _head(cursor, key):
        next = [head[:1]] if head[1] == key else []
    else:
        cursor.execute(
            f"SELECT id FROM {JOB} WHERE state = 'pending' AND held = %s ORDER BY priority, run_at, id LIMIT %s", (key, free)
        )
        next = cursor.fetchall()
    cursor.executemany(f"UPDATE {JOB} SET held = '' WHERE id = %s", next)
    return len(next)


def release(connection: Connection, keys: Collection[str] | None = None) -> int:
    """Let go those that wait for these keys (``None``: for any), as many as there are free slots; returns how many."""
    released = 0
    with connection.cursor() as cursor:
        if keys is None:
            cursor.execute(f"SELECT DISTINCT held FROM {JOB} WHERE state = 'pending' AND held <> '' AND held <> 'fair'")
            keys = [row[0] for row in cursor.fetchall()]
        for key in keys:
            cursor.execute(f"SELECT limits FROM {JOB} WHERE state = 'pending' AND held = %s LIMIT 1", (key,))
            row = cursor.fetchone()
            known = {limit.key: limit.slots for limit in legible(row[0])} if row else {}
            released += _let_go(cursor, key, known.get(key, 10_000), 1000 if key in known else 1)
    return released


def sweep(connection: Connection) -> int:
    """Give back what ended, cancelled, expired, deleted or put off jobs still hold, those of a paused queue, and slots that a
    job needs no more; returns how many slots."""
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {HOLD} WHERE free_at <= %s", (now(),))
        cursor.execute(
            f"""SELECT h.key, h.slot, h.period, h.free_at || '' FROM {HOLD} h LEFT JOIN {JOB} j ON j.id = h.job
               WHERE h.job IS NOT NULL AND (j.id IS NULL OR j.state IN {FINAL}
                 OR j.state = 'pending' AND NOT h.ordered AND (
                   j.run_at > %s OR j.queue IN (SELECT name FROM {QUEUE} WHERE paused_at < %s))
                 OR j.state <> 'running' AND NOT EXISTS (
                   SELECT 1 FROM json_each(CASE WHEN json_valid(j.limits) THEN j.limits ELSE '[]' END) l
                   WHERE CASE l.type WHEN 'object' THEN json_extract(l.value, '$.key') END = h.key))""",
            (text(time.time() + 2), text(time.time() - 2)),
        )
        idle = cursor.fetchall()
        for slot in idle:
            _free(cursor, *slot)
    return len(idle)
