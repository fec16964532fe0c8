"""Lines: jobs that wait for a lock's key, which passes to them when the run before is settled; on SQLite."""

import itertools
import time
import uuid
from typing import Any

from furrow.statements import Claimed, HandOver, lead
from furrow.statements.begun import HAS_BEGUN
from furrow.statements.sqlite.times import now, text
from furrow.tables import HOLD, JOB, QUEUE

#: A job that goes back to pending waits on for the key whose line it stood in, unless it has the key's slot itself.
LEFT_IN_LINE = f"CASE WHEN EXISTS (SELECT 1 FROM {HOLD} h WHERE h.job = {JOB}.id) THEN '' ELSE held END"


class HandingOver:
    """What is handed over to a worker while its runs are settled."""

    def __init__(self, worker: uuid.UUID, to: HandOver | None) -> None:
        self.worker, self.to = worker, to
        self.claimed: list[Claimed] = []
        self.let_go = 0  # to the dispatcher
        self._keys = 0

    def next(self, cursor: Any, key: str) -> bool:
        """Claim a line of the jobs that wait for this lock key; ``False`` when it goes back."""
        if self.to is None or self._keys >= self.to.keys or taken(cursor, key):
            return False
        line = self._line(cursor, key, self.to)
        for place, (id, *fields) in enumerate(line):
            cursor.execute(
                f"""UPDATE {JOB} SET state = 'running', attempt = attempt + 1, worker = %s, started_at = %s, progress = NULL,
                          progress_note = '', error = '', held = %s WHERE id = %s RETURNING attempt""",
                (self.worker.hex, now(), key if place else "", id),
            )
            kind, arguments, excused, max_attempts, meta = fields
            (attempt,) = cursor.fetchone()
            self.claimed.append(Claimed(str(uuid.UUID(id)), kind, arguments, attempt, excused, max_attempts, 1, key, 0.0, meta))
        if line:
            cursor.execute(f"INSERT INTO {HOLD} (key, slot, job, ordered) VALUES (%s, 0, %s, %s)", (key, line[0][0], False))
            self._keys += 1
        return bool(line)

    def _line(self, cursor: Any, key: str, to: HandOver) -> list[Any]:
        cursor.execute(
            f"""SELECT id, kind, arguments, excused, max_attempts, meta, queue,
                 json_valid(limits) AND json_array_length(limits) = 1
                 AND json_extract(limits, '$[0].conflict') IS NULL AND (expires_at IS NULL OR expires_at > %s OR {HAS_BEGUN})
                 AND queue NOT IN (SELECT name FROM {QUEUE} WHERE paused_at IS NOT NULL AND NOT draining)
               FROM {JOB} WHERE state = 'pending' AND held = %s AND run_at <= %s ORDER BY priority, run_at, id LIMIT %s""",
            (now(), key, now(), to.jobs),
        )
        found = cursor.fetchall()
        fits = [fit and kind in to.kinds and queue in to.queues for _, kind, *_, queue, fit in found]
        return [row[:6] for row, _ in itertools.takewhile(lambda pair: pair[1], zip(found, fits, strict=True))]


def pass_on(cursor: Any, key: str, slot: int) -> bool:
    """The slot passes to the next one of the line that stands for this key; ``False`` when there is none."""
    cursor.execute(f"SELECT id FROM {JOB} WHERE state = 'running' AND held = %s ORDER BY priority, run_at, id LIMIT 1", (key,))
    if heir := cursor.fetchone():
        cursor.execute(f"UPDATE {HOLD} SET job = %s WHERE key = %s AND slot = %s", (heir[0], key, slot))
    return bool(heir)


def taken(cursor: Any, key: str) -> int:
    """How many slots of this key are taken; a rate's that nobody has and that is free soon may be taken early."""
    cursor.execute(f"SELECT period FROM {HOLD} WHERE key = %s LIMIT 1", (key,))
    row = cursor.fetchone()
    soon = time.time() + lead(row[0] or 0.0 if row else 0.0)
    cursor.execute(
        f"""SELECT count(*) FROM {HOLD}
           WHERE key = %s AND (free_at IS NULL OR free_at > CASE WHEN job IS NULL THEN %s ELSE %s END)""",
        (key, text(soon), now()),
    )
    return int(cursor.fetchone()[0])
