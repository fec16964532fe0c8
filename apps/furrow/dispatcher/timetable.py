"""Timetable: a thread that fires the schedules whose time has come.

In the dispatcher's round thousands of schedules of one minute would hold up the jobs that are due. In this thread, with a
connection of its own, they hold up each other alone; jobs that they make are sent by the rounds meanwhile.
"""

import datetime as dt
import logging
import threading
import time

from django.db import Error
from django.db.models import Min

from furrow import statements
from furrow.conf import conf
from furrow.diagnosis import troubles
from furrow.dispatcher.leader import Leadership
from furrow.models import Schedule, Tick
from furrow.models.database import atomic, connection
from furrow.schedules.firing import fire_due
from furrow.schedules.sync import look_at_held, realign, sync
from furrow.statements import sessions

logger = logging.getLogger(__name__)

#: Seconds between two looks at the rarer work: what is held, and ticks that are old.
RARE = 30.0
#: After a batch it pauses for as long as that took, at most for so many seconds: the rounds of this process go on meanwhile.
SHARE = 0.2
#: Held schedules that are named.
FEW = 3
#: Ticks that one statement deletes.
BATCH = 1_000
#: Seconds by which the database's clock may go back between two looks before the next times are looked for anew.
TOLERANCE = 2.0


class Timetable(threading.Thread):
    """Fires while this process leads, until it is stopped."""

    def __init__(self, leadership: Leadership) -> None:
        super().__init__(name="furrow-timetable", daemon=True)
        self._leadership = leadership
        self._stopping = threading.Event()
        self._pause, self._made = 0.1, time.monotonic()
        #: The term for which the code's declarations were written down.
        self._synced: int | None = None
        self._rare_at = 0.0
        #: The database's time at the last look, and the monotonic one.
        self._clock: tuple[dt.datetime, float] | None = None

    def run(self) -> None:
        """A database that is away is tried again; an exception that nobody expected is told, and it is tried again."""
        while not self._stopping.wait(self._pause):
            if self._leadership.term is None:
                self._synced, self._clock, self._pause = None, None, 0.1
            else:
                self._look()
        connection.close()

    def stop(self) -> None:
        """End after the current batch, for which this waits a little."""
        self._stopping.set()
        self.join(conf().poll_interval)

    def _look(self) -> None:
        self._pause = conf().poll_interval
        try:
            self._pause = self.run_once()
        except Error as error:
            logger.warning(
                "No schedule was looked at: the database %s (%s).", sessions.what_is_wrong(error), str(error).strip()
            )
            connection.close()
        except Exception as error:
            troubles.failed("timetable of the dispatcher", error)
            connection.close()

    def run_once(self) -> float:
        """Fire what is due, a batch at a time; returns the seconds until the next look.

        Raises:
            Error: the database is away.
        """
        if self._synced != self._leadership.term:
            self._begin_term()
        elif self._was_set_back():
            realign()
        began = time.monotonic()
        fired = fire_due(troubles.failed)
        took = time.monotonic() - began
        if time.monotonic() >= self._rare_at:
            self._rare_at = time.monotonic() + RARE
            look_at_held()
            self._tell_held()
            self._prune()
        return min(took, SHARE) if fired else self._seconds_until_due()

    def _begin_term(self) -> None:
        """What the code of this process declares holds from now on."""
        done = sync(age=time.monotonic() - self._made)
        if done:
            logger.info("Schedules: %s.", done)
        for name, why in done.refused.items():
            troubles.note(
                "declaration of a schedule",
                f"The schedule {name} is not in force: {why}",
                "Correct it, and restart the dispatcher.",
            )
        realign()
        self._synced = self._leadership.term

    def _was_set_back(self) -> bool:
        """The database's clock, since the last look."""
        now, at, before = statements.on(connection).clock(connection), time.monotonic(), self._clock
        self._clock = now, at
        return before is not None and (now - before[0]).total_seconds() < at - before[1] - TOLERANCE

    def _seconds_until_due(self) -> float:
        soonest = Schedule.objects.filter(fire_at__isnull=False).aggregate(at=Min("fire_at"))["at"]
        poll = conf().poll_interval
        until = (soonest - statements.on(connection).clock(connection)).total_seconds() if soonest else poll
        return float(min(max(until, 0.0), poll))

    def _tell_held(self) -> None:
        """People learn of schedules that cannot submit."""
        held = list(Schedule.objects.filter(orphaned_at=None, paused_at=None).exclude(held="")[:FEW])
        if held:
            text = "; ".join(f"{row.name}: {row.held}" for row in held)
            troubles.note(
                "schedules that cannot submit", f"Schedules cannot submit: {text}", "Their times are kept until they can."
            )

    def _prune(self) -> None:
        """Ticks are kept for as long as jobs that failed."""
        old = statements.on(connection).clock(connection) - dt.timedelta(seconds=conf().keep_failed)
        with atomic():
            ids = list(Tick.objects.filter(fired_at__lt=old).order_by().values_list("pk", flat=True)[:BATCH])
            Tick.objects.filter(pk__in=ids).delete()
