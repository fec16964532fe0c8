"""The dispatcher process: lead, dispatch until nothing is due, wait for a wake-up, and run the other duties in between.
Threads beside it rescue, fire schedules, move backfills, and publish events."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from django.db import Error

from furrow import statements
from furrow.announcer import Announcer
from furrow.conf import conf
from furrow.diagnosis import troubles
from furrow.dispatcher.admission import Admission
from furrow.dispatcher.backfilling import Backfilling
from furrow.dispatcher.callers import Callers
from furrow.dispatcher.changes import Changes
from furrow.dispatcher.clock import Clock
from furrow.dispatcher.dispatch import Dispatch
from furrow.dispatcher.expire import Expire
from furrow.dispatcher.leader import Leadership
from furrow.dispatcher.locked_rows import LockedRows
from furrow.dispatcher.lookout import Lookout
from furrow.dispatcher.lost_jobs import LostJobs
from furrow.dispatcher.offer import Offer
from furrow.dispatcher.orphaned_locks import OrphanedLocks
from furrow.dispatcher.outbox import Outbox
from furrow.dispatcher.overdue import Overdue
from furrow.dispatcher.pauses import Pauses
from furrow.dispatcher.prune import Prune
from furrow.dispatcher.reconcile import Reconcile
from furrow.dispatcher.roll import Roll
from furrow.dispatcher.slot_reaper import SlotReaper
from furrow.dispatcher.sweep import Sweep
from furrow.dispatcher.timetable import Timetable
from furrow.errors import BrokerError, Unserved
from furrow.kinds.kind import queues_in_use
from furrow.locks.wakeup import Waiter
from furrow.models.database import connection
from furrow.models.leader import BROKER_AWAY
from furrow.rabbitmq.broker import Publisher
from furrow.statements import sessions
from furrow.workflows.advance import advance_round
from furrow.workflows.round import Advanced

logger = logging.getLogger(__name__)

#: Seconds between tries while a store is away, or after a round that failed; rounds that may fail one after the other.
RETRY, FAILED = 1.0, 30
#: A duty that is slow gets one part in so many of the time; but none waits for longer than this many seconds.
SHARE, LONGEST_PAUSE = 5, 7.5
#: Seconds between tries of a queue that RabbitMQ cannot serve: each try costs the connection.
UNSERVED = 5.0


class Duty(Protocol):
    """Something to do once in a while."""

    interval: float

    def run_once(self) -> int: ...


class Dispatcher:
    """See the module. ``run`` returns when ``stop`` was called."""

    def __init__(self) -> None:
        self.leadership = Leadership()
        self._publisher = Publisher()
        self._admission = Admission()
        locked = LockedRows()
        sending = [Dispatch(queue, self._publisher, self._admission, locked) for queue in conf().queues]
        offering = [Offer(queue, self._admission, locked) for queue in queues_in_use() if queue not in conf().queues]
        # First those that go on while RabbitMQ is away.
        self._dispatches: list[Offer | Dispatch] = [*offering, *sending]
        self._pauses = Pauses()
        reconcile = Reconcile(self._publisher, sending)
        self._lookout, clock = Lookout(self.leadership), Clock()
        self._outbox = Outbox(self.leadership)
        self._callers = Callers(self.leadership)
        self._timetable = Timetable(self.leadership)
        self._backfilling = Backfilling(self.leadership)
        self._duties: list[Duty] = [
            clock,
            Expire(),
            reconcile,
            self._pauses,
            SlotReaper(self.leadership),
            Changes(self.leadership),
            locked,
            OrphanedLocks(),
            LostJobs(self.leadership),
            Prune(clock),
            Roll(),
            Sweep(),
            *([Overdue()] if offering else []),
        ]
        self._next: dict[Duty, float] = {}
        self._waiter = Waiter()
        self._stopping = threading.Event()
        self._trouble: str | None = None  # not said yet
        self._away = ""  # the last that was said of the database, while it is away
        self._fruitless = 0
        self._failed = 0  # rounds, one after the other
        self._advanced = Advanced(0)  # in this round
        self._idle_until = 0.0
        #: Queues that cannot be served: until when, and why.
        self._unserved: dict[str, tuple[float, str]] = {}

    def stop(self) -> None:
        """End after the current step; called by another thread."""
        self._stopping.set()

    def run(self) -> None:
        """Until stopped. A store that is away is named in the log and waited for.

        Raises:
            Exception: nobody expected it, and it has failed so many rounds that another process shall try.
        """
        sessions.give_name(self.leadership.session, patience=conf().leader_lease * sessions.PATIENCE)
        connection.close()
        announcer = Announcer()
        announcer.start()
        self._lookout.start()
        self._outbox.start()
        self._callers.start()
        self._timetable.start()
        self._backfilling.start()
        try:
            self._go_round()
        finally:
            self._lookout.stop()
            self._outbox.stop()
            self._callers.stop()
            self._timetable.stop()
            self._backfilling.stop()
            announcer.stop()
        self._end()

    def _go_round(self) -> None:
        leading: bool | None = None
        while not self._stopping.is_set():
            try:
                if (holds := self.leadership.hold()) != leading:
                    leading, self._trouble = holds, None
                    logger.info(*self._place(holds))
                seconds = self._round() if leading else conf().poll_interval
                troubles.flush(connection)
                self._failed = 0
                self._is_back()
                self._wait(seconds)
            except Error as error:
                self._database_is_away(error)
            except Exception as error:
                self._round_failed(error)

    def _place(self, leads: bool) -> tuple[object, ...]:
        """For the log."""
        if leads:
            return "This dispatcher leads (term %s).", self.leadership.term
        return "Standing by: %s leads.", self.leadership.other or "another dispatcher"

    def _round(self) -> float:
        """As :meth:`_step`. One that was asked for since jobs of workflows ended sends what is let go by that, and leaves out
        the rest: all else waits for its time or a wake-up of its own."""
        if self._waiter.for_moves and (left := self._idle_until - time.monotonic()) > 0:
            self._advanced = self._advance(known=True)
            if self._send(self._advanced.freed):
                return 0.0 if self._more() else left
        return self._step()

    def _send(self, freed: Mapping[str, int]) -> bool:
        """Send jobs that were let go just now, by their queues; ``False``: it takes a whole round."""
        mine = [dispatch for dispatch in self._open() if dispatch.queue in freed]
        try:
            sent = sum(self._guarded(f"dispatch of queue {one.queue}", partial(self._dispatch, one)) for one in mine)
        except BrokerError:
            return False
        return sent >= sum(freed.values()) and not any(one.more for one in mine)

    def _step(self) -> float:
        """One round; returns how long to wait before the next (seconds, 0: there is more to do)."""
        sent, trouble = 0, ""
        for work in (self._dispatch_all, self._do_duties):
            try:
                sent += work()
            except BrokerError as error:
                trouble = f"{BROKER_AWAY}: {error}"
        self._say(trouble or "; ".join(reason for _, reason in self._unserved.values()))
        self.leadership.progressed()
        if trouble:
            return RETRY
        self._fruitless = 0 if sent else self._fruitless + 1
        seconds = 0.0 if sent and self._more() else self._seconds_idle()
        self._idle_until = time.monotonic() + seconds
        return seconds

    def _more(self) -> bool:
        """This round did something, and the next would find more: a look has seen what was due by then."""
        moved = self._advanced.more
        return any(one.more for one in self._open()) or (moved and bool(statements.on(connection).moves_wait(connection)))

    def _dispatch_all(self) -> int:
        self._pauses.look()
        _past_locks(lambda: self._admission.open_rates(self.leadership.term or 0))
        self._advanced = self._advance()
        return self._advanced.changed + sum(
            self._guarded(f"dispatch of queue {dispatch.queue}", partial(self._dispatch, dispatch)) for dispatch in self._open()
        )

    def _advance(self, *, known: bool = False) -> Advanced:
        """Move workflows. ``known``: somebody said that there is something to do."""
        found = Advanced(0)

        def look() -> int:
            nonlocal found
            found = advance_round(self.leadership.term or 0, known=known)
            return found.changed

        self._guarded("advance of workflows", look)
        return found

    def _open(self) -> list[Offer | Dispatch]:
        """The dispatches of the queues that are not paused."""
        return [dispatch for dispatch in self._dispatches if dispatch.queue not in self._pauses.paused]

    def _dispatch(self, dispatch: Offer | Dispatch) -> int:
        now, dispatch.more = time.monotonic(), False
        if now < self._unserved.get(dispatch.queue, (0.0, ""))[0]:
            return 0
        try:
            sent = dispatch.run_once(self.leadership.term or 0)
        except Unserved as error:  # the other queues go on
            self._unserved[dispatch.queue], dispatch.more = (now + UNSERVED, str(error)), False
            return 0
        self._unserved.pop(dispatch.queue, None)
        return sent

    def _do_duties(self) -> int:
        """What one of them puts back to pending is dispatched in the next round.

        Raises:
            BrokerError: one of them needs RabbitMQ, which does not answer; the others were done.
        """
        away: BrokerError | None = None
        for duty in self._duties:
            try:
                self._do(duty)
            except BrokerError as error:
                away = error
        if away is not None:
            raise away
        return 0

    def _do(self, duty: Duty) -> None:
        """Do it, if it is time."""
        now = time.monotonic()
        if now >= self._next.get(duty, 0.0):
            self._guarded(f"duty {type(duty).__name__.lower()}", duty.run_once)
            took = time.monotonic() - now
            self._next[duty] = now + max(duty.interval, min(took * SHARE, LONGEST_PAUSE))

    def _guarded(self, name: str, work: Callable[[], int]) -> int:
        """One step of a round. An exception that nobody expected is told (:mod:`furrow.diagnosis.troubles`); the others go on.

        Raises:
            BrokerError, Error: a store is away; the caller knows what to do.
        """
        try:
            return _past_locks(work)
        except (BrokerError, Error):
            raise
        except Exception as error:
            troubles.failed(f"{name} of the dispatcher", error)
            return 0

    def _seconds_idle(self) -> float:
        """Until the next scheduled job is due, at most a poll interval. While the window is full: a while that grows."""
        until = [seconds for dispatch in self._open() if (seconds := dispatch.seconds_until_due()) is not None]
        idle = min(max(min(until, default=conf().poll_interval), 0.02 * self._fruitless), conf().poll_interval)
        opens = self._admission.seconds_until_open()
        return idle if opens is None else min(idle, max(0.0, opens))

    def _wait(self, seconds: float) -> None:
        if seconds > 0:
            self._waiter.wait(seconds)
        self._outbox.call()

    def _say(self, trouble: str) -> None:
        if trouble != self._trouble:
            if trouble or self._trouble:
                (logger.warning if trouble else logger.info)(trouble or "RabbitMQ is back.")
            self._trouble = trouble
            self.leadership.say(trouble)

    def _is_back(self) -> None:
        if self._away:
            logger.info("The database is back.")
            self._away = ""

    def _database_is_away(self, error: Error) -> None:
        said = f"The database {sessions.what_is_wrong(error)} ({str(error).strip()})"
        if said != self._away:
            logger.warning("%s; trying again each second.", said)
            self._away = said
        self.leadership.doubt()
        connection.close()
        self._stopping.wait(RETRY)

    def _round_failed(self, error: Exception) -> None:
        """With an exception that no step of it is known to raise. The next one may do; but not for ever in this process."""
        troubles.failed("round of the dispatcher", error)
        self._failed += 1
        if self._failed > FAILED:
            raise error
        self.leadership.doubt()
        connection.close()
        self._stopping.wait(RETRY)

    def _end(self) -> None:
        try:
            self.leadership.resign()
        except Error as error:
            logger.warning("The lease could not be given back (%s); it ends by itself.", str(error).strip())
        self._waiter.close()
        self._publisher.close()


def _past_locks(work: Callable[[], int]) -> int:
    """One step of a round. Where a lock of others or a deadlock is in its way it is left for the next round, and the other
    steps go on; returns 0 then."""
    try:
        return work()
    except Error as error:
        if not sessions.contended(error):
            raise
        logger.warning("Others' locks were in the way (%s); trying again.", str(error).strip())
        connection.close()
        return 0
