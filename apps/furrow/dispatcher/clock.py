"""Clock: notice that the database's clock was set, and repair times in the future that would block jobs.

Times in rows are the database's. A clock that is set back leaves jobs that were due and are not any more, others that were sent
or taken in the future, and slots of rates that are taken for as long as the step. A clock that is set forward holds nothing up:
what is due later is due early.
"""

import datetime as dt
import logging
import time
from datetime import timedelta

from django.db.models.functions import Now

from furrow import statements
from furrow.diagnosis.drift import CLOCK_SET_BACK, CLOCK_SET_FORWARD, note
from furrow.models import Drift
from furrow.models.database import atomic, connection
from furrow.plural import counted

logger = logging.getLogger(__name__)

#: Seconds by which the two clocks may differ from one look to the next, beyond what the answer took: less is not put right.
TOLERANCE = 5.0
#: Seconds for which jobs are looked for that were submitted before the step and committed after it.
LATE = 60.0
#: Seconds between two marks of the time in the database; for how long people are shown a step.
MARK, SHOWN = 5.0, 3600.0
#: Jobs that one statement makes due; seconds of that in one look.
BATCH, ROUND = 2_000, 0.5


class Clock:
    """Compares the database's clock with this process's monotonic one. Whoever leads next begins with the time that was marked
    last: a clock that is behind it was set back meanwhile."""

    interval = 1.0

    def __init__(self) -> None:
        #: At the last look: the database's time, and the monotonic times before it was asked and after it answered.
        self._last: tuple[dt.datetime, float, float] | None = None
        self._mark_at = 0.0
        #: After a step back: the time just before it, and until when jobs of before are looked for.
        self._before: dt.datetime | None = None
        self._late_until = 0.0
        self._leapt_at = float("-inf")

    @property
    def leapt(self) -> bool:
        """The clock was set forward lately: what is old by it may be young."""
        return time.monotonic() < self._leapt_at + SHOWN

    def run_once(self) -> int:
        """Look; returns how many rows were put right."""
        sql, asked = statements.on(connection), time.monotonic()
        now = sql.clock(connection)
        answered = time.monotonic()
        step = self._step(now, asked, answered)
        self._last, changed = (now, asked, answered), 0
        if step < 0:
            self._last = None  # until that is put right: if it fails, the next look goes by the mark, as who leads next does
            self._before, self._late_until = now - timedelta(seconds=step), answered + LATE
            changed = self._put_right(self._before, -step)
            self._last = now, asked, answered
        elif step > 0:
            self._leapt_at = answered
            logger.warning("The database's clock was set forward by %.0f s.", step)
            note(CLOCK_SET_FORWARD, round(step))
        elif self._before is not None:
            changed = self._make_due(self._before)
            if answered >= self._late_until and not changed:
                self._before = None
        if answered >= self._mark_at:
            self._mark(answered)
        return changed

    def _put_right(self, before: dt.datetime, step: float) -> int:
        """All of it and the mark at once, or nothing: a delay that is shortened twice is none."""
        with atomic():
            changed = statements.on(connection).set_back(connection, before) + self._make_due(before)
            Drift.objects.filter(found_at__gt=Now()).update(found_at=Now())
            note(CLOCK_SET_BACK, round(step), changed)
        logger.warning("The database's clock was set back by %.0f s; put right: %s.", step, counted(changed, "row"))
        return changed

    def _step(self, now: dt.datetime, asked: float, answered: float) -> float:
        """By how many seconds the clock was set since the last look; 0 when that is within what can be told."""
        if self._last is None:
            marked = Drift.objects.filter(name=CLOCK_SET_BACK).values_list("looked_at", flat=True).first()
            behind = (marked - now).total_seconds() if marked else 0.0
            return -behind if behind > TOLERANCE else 0.0
        before, asked_before, answered_before = self._last
        elapsed = (now - before).total_seconds()
        least, most = asked - answered_before, answered - asked_before
        if least - TOLERANCE <= elapsed <= most + TOLERANCE:
            return 0.0
        return elapsed - (least + most) / 2

    def _make_due(self, before: dt.datetime) -> int:
        """Jobs that were due before the step are due now; a large number over several looks."""
        end, made = time.monotonic() + ROUND, 0
        while (some := statements.on(connection).make_due(connection, before, BATCH)) == BATCH:
            made += some
            if time.monotonic() >= end:
                self._late_until = end + LATE
                return made
        return made + some

    def _mark(self, now: float) -> None:
        """Write the time down; a step of long ago is shown no more."""
        self._mark_at = now + MARK
        shown = Drift.objects.filter(name__in=(CLOCK_SET_BACK, CLOCK_SET_FORWARD), found__gt=0)
        shown.filter(found_at__lt=Now() - timedelta(seconds=SHOWN)).update(found=0)
        if not Drift.objects.filter(name=CLOCK_SET_BACK).update(looked_at=Now()):
            note(CLOCK_SET_BACK, 0)
