"""The ledger's thread: the one writer of a worker. Group commit: all that waits is written in one transaction.

It has a database connection of its own. Claims and ends of runs are written as a few set-based statements; then the event loop
is told. While the database is away the thread keeps what ended and tries again; claims are answered with "nothing", so the
worker takes no new work. A job whose row another transaction has locked waits alone (:mod:`furrow.worker.ledger.put_off`): no
statement waits for a lock for long.
"""

import datetime as dt
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence, Sized
from typing import Any, Protocol

from django.db import Error

from furrow import signals, statements
from furrow.diagnosis import troubles
from furrow.locks.wakeup import MOVES, wake
from furrow.plural import counted
from furrow.statements import HandOver
from furrow.statements.refused import ANY, refuses_value
from furrow.statements.sessions import contended, what_is_wrong
from furrow.worker.failing import give_up
from furrow.worker.ledger.batch import Batch
from furrow.worker.ledger.dead import keep_unknown
from furrow.worker.ledger.ledger import Ledger
from furrow.worker.ledger.link import Link
from furrow.worker.news import HandedOver, News, Owned, Reply, Requested, StopRequested

logger = logging.getLogger(__name__)

#: Seconds between tries while the database is away; how often a batch that met a lock is tried again at once.
RETRY, AT_ONCE = (0.2, 0.5, 1.0), 3
#: Seconds between two looks for what people ask: to stop a running job, or something of the worker.
LOOK = 1.0


class AskedByTheLedger(Protocol):
    """What the ledger's thread asks of the worker, and its event loop's thread keeps up to date."""

    def offer(self, kinds: Sequence[str]) -> HandOver | None:
        """To whom the keys of these runs (their kinds) may pass; ``None``: to nobody here."""


class LedgerThread(threading.Thread):
    """Reads what any thread wrote into the ledger; tells nothing but :data:`furrow.worker.news.News`."""

    def __init__(self, ledger: Ledger, post: Callable[[News], None], running: Sized, hands_over: AskedByTheLedger) -> None:
        """``running``: what runs in the pool, while it does."""
        super().__init__(name="furrow-ledger", daemon=True)
        self._ledger, self._lease = ledger, ledger.lease
        self._limited, self._put_off = ledger.limited, ledger.put_off
        self._post = post
        self._running = running
        self._hands_over = hands_over
        self._link = Link()
        self._look_at = 0.0

    def stop(self, timeout: float) -> bool:
        """Write what waits, give the lease back and end; ``False`` when the database was not there in time (seconds)."""
        self._ledger.stop()
        self.join(timeout)
        return not self.is_alive()

    def run(self) -> None:
        """The thread. A bug in it must not leave a worker that claims nothing and records nothing: the worker ends."""
        try:
            self._keep_writing()
            self._leave()
        except Exception as error:
            troubles.failed("ledger of a worker", error)
            give_up("The ledger failed")
            self._link.forget()
            self._link.ask(troubles.flush)
            self._link.forget()

    def _keep_writing(self) -> None:
        """Until stopped and empty: wait, take all that waits, write it."""
        failures, met = 0, 0
        batches = deque[Batch]()  # one; of one that was refused its entries, each alone
        while not (self._ledger.stopping and not batches and self._ledger.is_empty):
            if not batches:
                batches.append(self._ledger.take(self._look_at, LOOK))
            batch = batches[0]
            try:
                with self._link.busy:
                    self._write(batch, careful=met > 0)
                batches.popleft()
                failures, met = 0, 0
                if not batches:
                    self._ledger.written()
            except ANY as error:
                if contended(error) and met < AT_ONCE:
                    met += 1
                    self._link.roll_back()
                    continue  # without the rows that are locked
                for callback in batch.refuse():
                    self._post(Reply(callback, (None,)))
                self._link.forget()
                if refuses_value(error):  # which must not take its neighbours with it
                    batches.popleft()
                    batches.extendleft(reversed(self._without(batch, error)))
                else:
                    if not failures:
                        text = str(error).strip()
                        waiting = counted(len(batch), "entry", "entries")
                        logger.warning("The database %s (%s); not written yet: %s.", what_is_wrong(error), text, waiting)
                    if not len(batch):
                        batches.popleft()
                    self._ledger.pause(RETRY[min(failures, len(RETRY) - 1)])
                    failures += 1

    def _write(self, batch: Batch, *, careful: bool = False) -> None:
        """Write it. ``careful``: one of its rows was locked."""
        connection = self._link.open()
        if batch.tried_at:
            batch.again = _then(connection, batch.tried_at)
        batch.tried_at = batch.tried_at or time.monotonic()
        self._renew_and_look(connection)
        self._put_off.sort_out(connection, batch, all=careful)
        if not len(batch):
            return
        sql = statements.on(connection)
        while piece := batch.piece():
            sql.write(connection, self._lease.worker, piece)
            batch.written(piece)
            self._renew_and_look(connection)
        if batch.answers:
            sql.answer(connection, batch.answers)
        limited, in_line = self._limited.ending(batch.settlements) if self._limited else ([], [])
        hand_over = self._hands_over.offer(self._limited.kinds(limited)) if len(in_line) < len(limited) else None
        group = batch.group(limited, in_line, hand_over)
        written = sql.write(connection, self._lease.worker, group)
        if group.settlements:
            signals.runs_settled((end.id, end.attempt) for end in group.settlements)
        won = {claimed.id: claimed for claimed in written.claimed}
        self._limited.settled([*limited, *batch.released])
        self._limited.claimed(won.values())
        handed = [won.pop(id) for id in [id for id, claimed in won.items() if claimed.line]]
        if group.hand_over:
            self._post(HandedOver(handed))
        if written.let_go or written.moved:
            wake(b"" if written.let_go else MOVES)
        claims, dead, batch.claims, batch.dead = batch.claims, batch.dead, [], []
        if len(won) < len(group.claims):
            try:
                keep_unknown(connection, self._lease, {id: kind for id, kind in group.claims.items() if id not in won})
            except Error:
                self._link.forget()
        for jobs, callback in claims:  # of two messages of one job one gets it
            self._post(Reply(callback, ([won.pop(id) for id in jobs if id in won],)))
        questions, batch.questions = batch.questions, []
        for _, kept in dead:
            self._post(Reply(kept))
        for question, callback in questions:
            self._post(Reply(callback, (self._link.ask(question),)))

    def _renew_and_look(self, connection: Any) -> None:
        """If it is time: renew the lease, and see what people ask. While one of these rows is locked all else goes on."""
        try:
            if self._ledger.renews:
                if not self._lease.renew(connection):
                    self._limited.forget()
                self._post(Owned(statements.on(connection).owned(connection, self._lease.worker)))
            if time.monotonic() >= self._look_at:
                self._look_at = time.monotonic() + LOOK
                self._look(connection)
        except Error as error:
            if not contended(error):
                raise
            logger.warning("The lease cannot be renewed, or requests not taken, now (%s).", str(error).strip())
            self._lease.retry_in(LOOK)

    def _look(self, connection: Any) -> None:
        sql, worker = statements.on(connection), self._lease.worker
        troubles.flush(connection)
        self._ledger.canaries.look(connection)
        if self._running and (ids := sql.stop_requests(connection, worker)):
            self._post(StopRequested(ids))
        if asked := sql.asked(connection, worker):
            self._post(Requested(asked))

    def _without(self, batch: Batch, error: BaseException) -> Sequence[Batch]:
        """What is to be written instead of what has a value that the database refuses."""
        if batch.alone:
            return list(batch.instead(error))
        logger.exception("A batch of %s was refused; writing one by one.", counted(len(batch), "entry", "entries"))
        return list(batch.split())

    def _leave(self) -> None:
        try:
            with self._link.busy:
                self._lease.give_back(self._link.open())
        except Error as error:
            logger.warning("The lease could not be given back (%s); it ends by itself.", str(error).strip())
        self._link.forget()


def _then(connection: Any, at: float) -> dt.datetime:
    """What the database's clock showed at this time (monotonic seconds), or a little before."""
    now: dt.datetime = statements.on(connection).clock(connection)
    return now - dt.timedelta(seconds=time.monotonic() - at)
