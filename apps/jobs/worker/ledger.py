"""The ledger: the one writer of a worker. Group commit: all that waits is written in one transaction.

A thread with a database connection of its own. Claims and ends of runs are written as a few set-based statements; then the
claims' callbacks go back into Celery's event loop. While the database is away it keeps what ended and tries again; claims are
answered with "nothing", so the worker takes no new work.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db import Error

from apps.jobs import statements
from apps.jobs.conf import conf
from apps.jobs.statements import WITH_RATE, Answer, Asked, Claimed, Dead, Group, HandOver, LogRecord, Progress, Settlement
from apps.jobs.worker.batch import Batch, ClaimCallback, is_away, latest, unstorable
from apps.jobs.worker.dead import keep_unknown
from apps.jobs.worker.lease import Lease
from apps.jobs.worker.limited import Limited
from apps.jobs.worker.link import Link
from apps.locks.wakeup import wake

logger = logging.getLogger(__name__)

#: Seconds between tries while the database is away.
RETRY = (0.2, 0.5, 1.0)
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
        self._writing = 0
        self._stopping = False
        self._link = Link()
        self.limited = Limited()
        #: When the event loop last showed that it lives (monotonic seconds): without it the lease is not renewed.
        self.loop_alive_at = time.monotonic()

        #: Asked whether jobs are running, and told which of them shall stop. Set by the crew.
        self.anything_running: Callable[[], bool] = lambda: False
        self.on_stop_requests: Callable[[list[str]], None] = lambda ids: None
        #: Told what people ask of this worker. Set by the errands.
        self.on_asked: Callable[[list[Asked]], None] = lambda asked: None
        self._look_at = 0.0
        #: Told with every heartbeat which jobs the database says this worker runs. Set by the crew.
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

    def disown(self, ids: list[str]) -> None:
        """Give back jobs that the database says this worker runs, and it does not."""
        with self._wake:
            self._next.disowned += ids
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
        return self._next.weight + self._writing

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
        except Exception:
            logger.critical("The ledger failed; this worker stops.", exc_info=True)
            os.kill(os.getpid(), signal.SIGTERM)

    def _keep_writing(self) -> None:
        """Until stopped and empty: wait, take all that waits, write it."""
        failures, write, batch = 0, self._write, Batch()
        while not (self._stopping and not len(batch) and not len(self._next)):
            if not len(batch):
                write, batch = self._write, self._take()
            try:
                with self._link.busy:
                    write(batch)
                batch, failures, self._writing = Batch(), 0, 0
            except Error as error:
                for callback in batch.refuse():
                    self._call_soon(callback, None)
                self._link.forget()
                if is_away(error):
                    if not failures:
                        logger.warning("The database is away (%s); %d entries wait.", str(error).strip(), len(batch))
                    self._pause(RETRY[min(failures, len(RETRY) - 1)])
                    failures += 1
                elif write == self._write_one_by_one:
                    raise
                else:
                    logger.exception("A batch of %d entries was refused; writing them one by one.", len(batch))
                    write = self._write_one_by_one

    def _take(self) -> Batch:
        with self._wake:
            while not len(self._next) and not self._stopping and not self._renews() and not self._looks():
                self._wake.wait(min(self.lease.seconds_until_due() or LOOK, LOOK))
            batch, self._next = self._next, Batch()
            self._writing = batch.weight
            return batch

    def _write(self, batch: Batch) -> None:
        connection = self._link.open()
        self._renew_and_look(connection)
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
        group = Group(
            disowned=batch.disowned,
            progress=list(batch.progress.values()),
            settlements=latest(batch.settlements),
            logs=batch.logs,
            dead=[message for message, _ in batch.dead],
            claims={id: kind for jobs, _ in batch.claims for id, kind in jobs.items()},
            limited=limited,
            in_line=in_line,
            hand_over=self.take_over(self.limited.kinds(limited)) if len(in_line) < len(limited) else None,
            begun=batch.begun,
        )
        written = sql.write(connection, self.lease.worker, group)
        won = {claimed.id: claimed for claimed in written.claimed}
        self.limited.settled([*limited, *batch.disowned])
        self.limited.claimed(won.values())
        handed = [won.pop(id) for id in [id for id, claimed in won.items() if claimed.line]]
        if group.hand_over:
            self._call_soon(self.on_handed_over, handed)
        if written.let_go:
            wake()
        claims, batch.claims = batch.claims, []
        dead, batch.dead = batch.dead, []
        if len(won) < len(group.claims):
            try:
                keep_unknown(connection, self.lease, {id: kind for id, kind in group.claims.items() if id not in won})
            except Error:
                self._link.forget()
        for jobs, callback in claims:
            # Of two messages of one job one gets it.
            self._call_soon(callback, [won.pop(id) for id in jobs if id in won])
        for _, kept in dead:
            self._call_soon(kept)
        self._answer(batch)

    def _answer(self, batch: Batch) -> None:
        questions, batch.questions = batch.questions, []
        for question, callback in questions:
            try:
                answer = question(self._link.open())
            except Error as error:  # what was written stays written
                logger.warning("A question could not be answered: %s", str(error).strip())
                self._link.forget()
                answer = None
            self._call_soon(callback, answer)

    def _renew_and_look(self, connection: Any) -> None:
        """If it is time: renew the lease, and see what people ask."""
        if self._renews():
            if not self.lease.renew(connection):
                self.limited = Limited()
            self._call_soon(self.on_owned, statements.on(connection).owned(connection, self.lease.worker))
        if not self._looks():
            return
        self._look_at = time.monotonic() + LOOK
        sql, worker = statements.on(connection), self.lease.worker
        if self.anything_running() and (ids := sql.stop_requests(connection, worker)):
            self._call_soon(self.on_stop_requests, ids)
        if asked := sql.asked(connection, worker):
            self._call_soon(self.on_asked, asked)

    def _write_one_by_one(self, batch: Batch) -> None:
        """A value that the database refuses must not take its neighbours with it: its own job fails with the reason."""
        for single in batch.split():
            try:
                self._write(single)
            except Error as error:
                if is_away(error):
                    raise
                self._link.forget()
                if single.settlements:
                    single.settlements = [unstorable(single.settlements[0], error)]
                    self._write(single)
                else:
                    logger.error("Refused and lost: %s", [*single.logs, *single.progress.values(), *single.dead])

    def _renews(self) -> bool:
        """Time to renew the lease; not for an event loop that hangs."""
        return self.lease.is_due() and time.monotonic() - self.loop_alive_at < 2 * conf().worker_lease

    def _looks(self) -> bool:
        """Time to look what people ask."""
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
