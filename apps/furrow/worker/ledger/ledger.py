"""The ledger: what is to be written of a worker's jobs. Any thread adds to it; the ledger's thread writes it.

No method waits for the database: :mod:`furrow.worker.ledger.thread` takes all that waits and writes it in one transaction.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from furrow.conf import conf
from furrow.statements import WITH_RATE, Answer, Chunk, Claimed, Dead, LogRecord, Progress, Settlement
from furrow.worker.ledger.batch import Batch, ClaimCallback
from furrow.worker.ledger.canaries import Canaries
from furrow.worker.ledger.lease import Lease
from furrow.worker.ledger.limited import Limited
from furrow.worker.ledger.put_off import PutOff


class Ledger:
    """One for the life of a worker."""

    def __init__(self, lease: Lease, on_settle: Callable[[str], None] | None = None) -> None:
        """``on_settle``: told of every job whose run is to be settled, in the thread that settles it: the event loop's."""
        self.lease = lease
        self.limited = Limited()
        self.put_off = PutOff()
        self.canaries = Canaries()
        self._on_settle = on_settle
        self._wake = threading.Condition()
        self._next = Batch()
        self._writing = 0
        self._loop_alive_at = time.monotonic()
        #: What waits is written, and nothing is waited for after that.
        self.stopping = False

    # --- from any thread ----------------------------------------------------------------------------------------------------

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
        if self._on_settle is not None:
            self._on_settle(settlement.id)

    def log(self, record: LogRecord) -> None:
        """Record a log line."""
        with self._wake:
            self._next.logs.append(record)
            self._next.characters += len(record.message)
            self._wake.notify()

    def emit(self, chunk: Chunk) -> None:
        """Record a chunk of an output stream."""
        with self._wake:
            self._next.output.append(chunk)
            self._next.characters += len(chunk.value)
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

    @property
    def backlog(self) -> int:
        """How much waits to be written: entries, one more for every ``LARGE`` characters."""
        return self._next.weight + self._writing + self.put_off.weight

    def loop_lives(self, now: float) -> None:
        """The event loop moves (monotonic seconds): without that the lease is not renewed."""
        self._loop_alive_at = now

    def stop(self) -> None:
        """Nothing is added any more."""
        with self._wake:
            self.stopping = True
            self._wake.notify()

    # --- from the ledger's thread -------------------------------------------------------------------------------------------

    def take(self, look_at: float, at_most: float) -> Batch:
        """All that waits, as soon as there is something, the lease is due, or it is ``look_at`` (monotonic seconds); each wait
        is ``at_most`` so many seconds."""
        with self._wake:
            while not (len(self._next) or self.put_off.due or self.renews or time.monotonic() >= look_at):
                if self.stopping and not len(self.put_off):
                    break
                self._wake.wait(min(self.lease.seconds_until_due() or at_most, at_most, self.put_off.seconds_until_due))
            batch, self._next = self._next, Batch()
            if self.put_off.due:
                batch.add(self.put_off.take())
            self._writing = batch.weight
            return batch

    def written(self) -> None:
        """What was taken is written."""
        self._writing = 0

    @property
    def is_empty(self) -> bool:
        """Nothing waits."""
        return not len(self._next) and not len(self.put_off)

    @property
    def renews(self) -> bool:
        """The lease is due, and the event loop does not hang."""
        return self.lease.is_due() and time.monotonic() - self._loop_alive_at < 2 * conf().worker_lease

    def pause(self, seconds: float) -> None:
        """Wait for so long while the database is away; shorter while stopping."""
        with self._wake:
            if self.stopping:
                self._wake.wait(min(seconds, 0.2))
            else:
                self._wake.wait_for(lambda: self.stopping, seconds)
