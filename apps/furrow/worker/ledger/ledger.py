"""The ledger: the one writer of a worker. Group commit: all that waits is written in one transaction.

A thread with a database connection of its own. Claims and ends of runs are written as a few set-based statements; then the
claims' callbacks go back into Celery's event loop. While the database is away it keeps what ended and tries again; claims are
answered with "nothing", so the worker takes no new work. A job whose row another transaction has locked waits alone
(:mod:`furrow.worker.ledger.put_off`): no statement waits for a lock for long.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db import Error

from furrow import statements
from furrow.conf import conf
from furrow.diagnosis import troubles
from furrow.locks.wakeup import wake
from furrow.statements import WITH_RATE, Answer, Asked, Claimed, Dead, Group, HandOver, LogRecord, Progress, Settlement
from furrow.statements.refused import ANY, refuses_value
from furrow.statements.sessions import contended, what_is_wrong
from furrow.worker.failing import give_up
from furrow.worker.ledger.batch import UNSTORABLE, Batch, ClaimCallback, unstorable
from furrow.worker.ledger.dead import keep_unknown
from furrow.worker.ledger.lease import Lease
from furrow.worker.ledger.limited import Limited
from furrow.worker.ledger.link import Link
from furrow.worker.ledger.put_off import PutOff

logger = logging.getLogger(__name__)

#: Seconds between tries while the database is away; how often a batch that met a lock is tried again at once.
RETRY, AT_ONCE = (0.2, 0.5, 1.0), 3
#: Seconds between two looks for what people ask: to stop a running job, or something of the worker.
LOOK = 1.0


class Ledger(threading.Thread):
    """See the module. Its public methods may be called from any thread and never wait for the database."""

    def __init__(self, lease: Lease, call_soon: Callable[..., Any]) -> None:
        super().__init__(name="furrow-ledger", daemon=True)
        self.lease = lease
        self._call_soon = call_soon
        self._wake = threading.Condition()
        self._next = Batch()
        self._writing, self._stopping = 0, False
        self._link = Link()
        self.limited = Limited()
        self.put_off = PutOff()
        #: When the event loop last showed that it lives (monotonic seconds): without it the lease is not renewed.
        self.loop_alive_at = time.monotonic()
        #: Asked whether jobs are running, and told which of them shall stop. Set by the supervisor.
        self.anything_running: Callable[[], bool] = lambda: False
        self.on_stop_requests: Callable[[list[str]], None] = lambda ids: None
        #: Told what people ask of this worker. Set by the requests.
        self.on_asked: Callable[[list[Asked]], None] = lambda asked: None
        self._look_at = 0.0
        #: Told with every heartbeat which jobs the database says this worker runs. Set by the supervisor.
        self.on_owned: Callable[[list[str]], None] = lambda ids: None
        #: Told of every job whose run is to be settled; set while partitions are consumed.
        self.on_settle: Callable[[str], None] | None = None
        #: Asked to whom the keys of these runs (their kinds) may pass, and told who has them now.
        self.take_over: Callable[[Sequence[str]], HandOver | None] = lambda kinds: None
        self.on_handed_over: Callable[[list[Claimed]], None] = lambda jobs: None

    # --- asked by the worker's event loop ---------------------------------------------------------------------------

    def claim(self, jobs: Mapping[str, str], callback: ClaimCallback) -> None:
        """Claim these jobs (kind by id); ``callback(claimed)`` runs in the event loop once that is committed."""
        with self._wake:
            self._next.claims.append((jobs, callback))
            self._wake.notify()

    def settle(self, settlement: Settlement) -> None:
        """Record the end of a run."""
        with self._wake:
            self._next.settlements.append(settlement)
            self._next.characters += len(settlement.result or "") + len(settlement.traceback)
            self._wake.notify()
        if self.on_settle is not None:
            self.on_settle(settlement.id)

    def log(self, record: LogRecord) -> None:
        """Record a log line."""
        with self._wake:
            self._next.logs.append(record)
            self._next.characters += len(record.message)
            self._wake.notify()

    def progress(self, report: Progress) -> None:
        """Record progress; only the latest of a job is written."""
        with self._wake:
            self._next.progress[report.id] = report
            self._wake.notify()

    def ask(self, question: Callable[[Any], Any], callback: Callable[[Any], None]) -> None:
        """Read something, after all that was given to write before: ``callback(question(connection))`` runs in the event loop,
        ``callback(None)`` when the database is away."""
        with self._wake:
            self._next.questions.append((question, callback))
            self._wake.notify()

    def begun(self, job: Claimed, at: float) -> None:
        """A run of a job with limits began (seconds since the epoch)."""
        if job.limited == WITH_RATE:
            with self._wake:
                self._next.begun.append((job.id, job.attempt, at))
                self._wake.notify()

    def release(self, ids: list[str]) -> None:
        """Give back jobs that the database says this worker runs, and it does not."""
        with self._wake:
            self._next.released += ids
            self._wake.notify()

    def keep(self, message: Dead, callback: Callable[[], None]) -> None:
        """Record a message that nobody can use; ``callback()`` runs in the event loop once that is committed."""
        with self._wake:
            self._next.dead.append((message, callback))
            self._wake.notify()

    def answer(self, answer: Answer) -> None:
        """Answer somebody's request."""
        with self._wake:
            self._next.answers.append(answer)
            self._wake.notify()

    def soon(self, function: Callable[[], Any]) -> None:
        """Call a function in the event loop, after what is under way."""
        self._call_soon(function)

    @property
    def backlog(self) -> int:
        """How much waits to be written: entries, one more for every ``LARGE`` characters."""
        return self._next.weight + self._writing + self.put_off.weight

    def stop(self, timeout: float) -> bool:
        """Write what waits, give the lease back and end; ``False`` when the database was not there in time (seconds)."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self.join(timeout)
        return not self.is_alive()

    # --- the thread ----------------------------------------------------------------------------------------------------

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
        failures, met, write, batch = 0, 0, self._write, Batch()
        while not (self._stopping and not len(batch) and not len(self._next) and not len(self.put_off)):
            if not len(batch):
                write, batch = self._write, self._take()
            try:
                with self._link.busy:
                    write(batch, careful=met > 0)
                batch, failures, met, self._writing = Batch(), 0, 0, 0
            except ANY as error:
                if contended(error) and met < AT_ONCE:
                    met += 1
                    self._link.roll_back()
                    continue  # without the rows that are locked
                for callback in batch.refuse():
                    self._call_soon(callback, None)
                self._link.forget()
                if refuses_value(error) and write != self._write_one_by_one:
                    logger.exception("A batch of %d entries was refused; writing them one by one.", len(batch))
                    write = self._write_one_by_one
                else:
                    if not failures:
                        text = str(error).strip()
                        logger.warning("The database %s (%s); %d entries wait.", what_is_wrong(error), text, len(batch))
                    self._pause(RETRY[min(failures, len(RETRY) - 1)])
                    failures += 1

    def _take(self) -> Batch:
        with self._wake:
            while not (len(self._next) or self.put_off.due or self._renews() or self._looks()):
                if self._stopping and not len(self.put_off):
                    break
                self._wake.wait(min(self.lease.seconds_until_due() or LOOK, LOOK, self.put_off.seconds_until_due))
            batch, self._next = self._next, Batch()
            if self.put_off.due:
                batch.add(self.put_off.take())
            self._writing = batch.weight
            return batch

    def _write(self, batch: Batch, *, careful: bool = False) -> None:
        """Write it. ``careful``: one of its rows was locked."""
        connection = self._link.open()
        self._renew_and_look(connection)
        self.put_off.sort_out(connection, batch, all=careful)
        if not len(batch):
            return
        sql = statements.on(connection)
        while piece := batch.piece():
            sql.write(connection, self.lease.worker, Group(logs=piece))
            del batch.logs[: len(piece)]
            self._renew_and_look(connection)
        if batch.answers:
            sql.answer(connection, batch.answers)
        limited, in_line = self.limited.ending(batch.settlements) if self.limited else ([], [])
        hand_over = self.take_over(self.limited.kinds(limited)) if len(in_line) < len(limited) else None
        group = batch.group(limited, in_line, hand_over)
        written = sql.write(connection, self.lease.worker, group)
        won = {claimed.id: claimed for claimed in written.claimed}
        self.limited.settled([*limited, *batch.released])
        self.limited.claimed(won.values())
        handed = [won.pop(id) for id in [id for id, claimed in won.items() if claimed.line]]
        if group.hand_over:
            self._call_soon(self.on_handed_over, handed)
        if written.let_go:
            wake()
        claims, dead, batch.claims, batch.dead = batch.claims, batch.dead, [], []
        if len(won) < len(group.claims):
            try:
                keep_unknown(connection, self.lease, {id: kind for id, kind in group.claims.items() if id not in won})
            except Error:
                self._link.forget()
        for jobs, callback in claims:  # of two messages of one job one gets it
            self._call_soon(callback, [won.pop(id) for id in jobs if id in won])
        questions, batch.questions = batch.questions, []
        for _, kept in dead:
            self._call_soon(kept)
        for question, callback in questions:
            self._call_soon(callback, self._link.ask(question))

    def _renew_and_look(self, connection: Any) -> None:
        """If it is time: renew the lease, and see what people ask. While one of these rows is locked all else goes on."""
        try:
            if self._renews():
                if not self.lease.renew(connection):
                    self.limited = Limited()
                self._call_soon(self.on_owned, statements.on(connection).owned(connection, self.lease.worker))
            if self._looks():
                self._look_at = time.monotonic() + LOOK
                self._look(connection)
        except Error as error:
            if not contended(error):
                raise
            logger.warning("The lease cannot be renewed, or requests not taken, now (%s).", str(error).strip())
            self.lease.retry_in(LOOK)

    def _look(self, connection: Any) -> None:
        sql, worker = statements.on(connection), self.lease.worker
        troubles.flush(connection)
        if self.anything_running() and (ids := sql.stop_requests(connection, worker)):
            self._call_soon(self.on_stop_requests, ids)
        if asked := sql.asked(connection, worker):
            self._call_soon(self.on_asked, asked)

    def _write_one_by_one(self, batch: Batch, *, careful: bool = False) -> None:
        """A value that the database refuses must not take its neighbours with it: its own job fails with the reason."""
        for single in batch.split():
            try:
                self._write(single, careful=careful)
            except ANY as error:
                if not refuses_value(error):
                    raise
                self._link.forget()
                if single.settlements and single.settlements[0].error_type != UNSTORABLE:
                    single.settlements = [unstorable(single.settlements[0], error)]
                    self._write_one_by_one(single)
                else:
                    lost: Sequence[Any] = single.settlements or [*single.logs, *single.progress.values(), *single.dead]
                    logger.error("Refused and lost: %s", lost)

    def _renews(self) -> bool:  # not for an event loop that hangs
        return self.lease.is_due() and time.monotonic() - self.loop_alive_at < 2 * conf().worker_lease

    def _looks(self) -> bool:
        return time.monotonic() >= self._look_at

    def _pause(self, seconds: float) -> None:
        with self._wake:
            if self._stopping:
                self._wake.wait(min(seconds, 0.2))
            else:
                self._wake.wait_for(lambda: self._stopping, seconds)

    def _leave(self) -> None:
        try:
            with self._link.busy:
                self.lease.give_back(self._link.open())
        except Error as error:
            logger.warning("The lease could not be given back (%s); it ends by itself.", str(error).strip())
        self._link.forget()
