"""The supervisor: hands claimed jobs to the pool processes, knows who runs what, and settles what becomes of it.

Lives in the worker's event loop. A claimed job goes into the assignments channel, from which the next free pool process takes
it: nothing is bound to a process before that process is free, so no job waits behind a slow one while another process idles.
What was not taken can be taken back. When a process dies, the job it had reported as begun is blamed, and no other.
"""

import itertools
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from billiard.exceptions import WorkerLostError

from furrow.diagnosis import troubles
from furrow.errors import UnknownKind
from furrow.kinds.kind import get_kind
from furrow.statements import Chunk, Claimed, LogRecord, Progress, Settlement
from furrow.states import UNWELL, Outcome, State
from furrow.worker import channel, offspring
from furrow.worker.events import Events
from furrow.worker.ledger.ledger import Ledger
from furrow.worker.pool import packets
from furrow.worker.pool.assignments import Assignments
from furrow.worker.pool.capacity import Capacity
from furrow.worker.pool.crash import settle_death
from furrow.worker.pool.in_hand import InHand
from furrow.worker.pool.lock_renewals import LockRenewals
from furrow.worker.pool.orphans import Orphans
from furrow.worker.pool.running import Running
from furrow.worker.shortage import again_in

logger = logging.getLogger(__name__)

#: Packets read in one go, before the event loop gets its turn.
READ_AT_ONCE = 500
#: With more than this waiting for the database nothing more is read from the pool processes: they wait, memory does not grow.
MAX_BACKLOG = 20_000


class PoolSupervisor:
    """See the module."""

    def __init__(self, worker: Any, ledger: Ledger, events: Events, on_room: Callable[[], None]) -> None:
        """``on_room``: called when there may be room for more."""
        self._worker = worker
        self._on_room = on_room
        self.ledger = ledger
        self.events = events
        self.locks = LockRenewals()
        self.running: dict[int, Running] = {}
        self.assigned = Assignments(worker, self._on_unsendable, self._on_drain_failed)
        self.orphans = Orphans(self.assigned, self.running, ledger.release)
        self.capacity = Capacity(worker, self.running, self.assigned)
        self._in_hand = InHand(self.assigned, self.read, self.hand_back)
        self._deaf = False  # reports are not read: the ledger is behind
        self._lost_leases = 0
        #: A cold shutdown has killed all pool processes.
        self.killed = False
        #: Queues that this worker was asked not to consume.
        self.paused: set[str] = set()
        #: Runs that ended here, and those of them that did not end well.
        self.ended = self.failed = 0

    # --- jobs to processes --------------------------------------------------------------------------------------------------

    def take_on(self, jobs: list[Claimed]) -> None:
        """Run these jobs, which the ledger has claimed, but for those that a canary has others run."""
        if self.ledger.canaries:
            jobs = [job for job in jobs if not self._goes_elsewhere(job)]
        self.events.received(jobs)
        self.assigned.add([job] for job in jobs)

    def _goes_elsewhere(self, job: Claimed) -> bool:
        if (found := self.ledger.canaries.elsewhere(job)) is None:
            return False
        self.hand_back(job, found.reason, found.seconds)
        return True

    def take_over(self, jobs: list[Claimed]) -> None:
        """The same for jobs to which the keys of others were handed over: in lines, one a key."""
        self.events.received(jobs)
        self.assigned.add(list(line) for _, line in itertools.groupby(jobs, lambda job: job.line))

    # --- reports from processes ---------------------------------------------------------------------------------------------

    def read_reports(self, limit: int = READ_AT_ONCE) -> None:
        """Take what the pool processes said. Called by the event loop when there is something."""
        if self.ledger.backlog > MAX_BACKLOG:
            if not self._deaf:
                self._deaf = True
                self._worker.hub.remove_reader(channel.reports)
            return
        self.read(limit)
        self.assigned.hand_out()
        self._on_room()

    def read(self, limit: int = 1_000_000) -> None:
        """Take so many packets at most, without a look at what else there is to do."""
        for _ in range(limit):
            try:
                packet = channel.reports.receive()
                if packet is None:
                    break
                self._on_report(packet)
            except Exception as error:  # nobody thought of: the other reports are read
                troubles.failed("reading of a pool process's report", error)

    def _listen_again(self) -> None:
        if self._deaf and self.ledger.backlog < MAX_BACKLOG // 2:
            self._deaf = False
            self._worker.hub.add_reader(channel.reports, self.read_reports)

    def _on_report(self, packet: tuple[Any, ...]) -> None:
        what, *rest = packet
        if what == "next":
            pid, ended, begun, at = rest
            before = self.running.get(pid)
            if ended is not None:
                self._on_ended(pid, ended)
            if begun is not None:  # perhaps after its process was killed for the one before
                self._on_begun(
                    pid, begun, float(at), Outcome.INTERRUPTED if before is not None and before.kill_reason else None
                )
        elif what == "left":
            reason, *ids = rest
            for id in ids:
                if job := self.assigned.left(id):
                    self.hand_back(job, str(reason))
        elif what == "trouble":
            name, text, remedy = rest
            troubles.note(name, text, remedy)
        elif what == "log":
            self.ledger.log(packets.record(LogRecord, rest))
        elif what == "emit":
            self.ledger.emit(packets.record(Chunk, rest))
        elif what == "progress":
            self.ledger.progress(packets.record(Progress, rest))

    def _on_begun(self, pid: int, id: str, at: float, kill_reason: Outcome | None) -> None:
        job = self.assigned.begun(id, pid)
        if job is None:
            return  # handed back meanwhile: what it does is stale, and its end will be fenced off
        try:
            timeout = get_kind(job.kind).limits(job.meta)[1]
        except UnknownKind:
            timeout = None
        now = time.monotonic()
        self.running[pid] = Running(
            job, pid, now, now + timeout if timeout else float("inf"), self.events.hostname, kill_reason
        )
        self.events.started(job, at)
        if job.limited:
            self.ledger.begun(job, at)

    def _on_ended(self, pid: int, ended: tuple[Any, ...]) -> None:
        settlement = packets.record(Settlement, ended)
        running = self.running.get(pid)
        self.ledger.settle(settlement)
        if running is None or running.job.id != settlement.id:
            return
        self._over(pid)
        self._count(settlement)
        self.capacity.prefetch.ran(running.job.kind, settlement.finished - settlement.started)
        self.events.ended(running.job, settlement)

    def _over(self, pid: int) -> Running | None:
        """This process runs its job no longer."""
        running = self.running.pop(pid, None)
        if running is not None:
            running.over()
        return running

    # --- deaths and timeouts ----------------------------------------------------------------------------------------------

    def on_process_gone(self, pid: int, exitcode: int | None) -> None:
        """A pool process ended: settle the job that it had begun, if it did not finish it."""
        self.read()
        for job in self.assigned.process_gone(pid):
            self.hand_back(job, "its pool process died before it began")
        self.locks.process_gone(pid)
        channel.reports.forget(pid)
        running = self._over(pid)
        if running is not None:
            self._blame(running, exitcode)
        self._in_hand.suspect()  # also then: it may have taken the next one, and not told of either
        self.assigned.hand_out()
        self._on_room()

    def _on_drain_failed(self, pid: int, error: BaseException | None) -> None:
        """A pool process did not come to the end of its turn. It ends by itself, or is ended: it cannot work."""
        self._in_hand.suspect()
        if isinstance(error, (SystemExit, WorkerLostError)):
            return
        logger.error("Pool process %d cannot take jobs and is replaced: %r", pid, error)
        pool = self._worker.pool._pool
        if pool is not None and pool._process_by_pid(pid)[0] is not None:
            with suppress(ProcessLookupError):
                offspring.kill(pid)

    def _on_unsendable(self, line: Sequence[Claimed], error: BaseException) -> None:
        troubles.failed("handing out of jobs to pool processes", error)
        for job in line:
            self.hand_back(job, f"its worker could not give it to a process: {error}"[:500], again_in(job.excused))

    def _blame(self, running: Running, exitcode: int | None) -> None:
        settlement = settle_death(running.job, running.pid, exitcode, running.kill_reason)
        logger.error("%s %s: %s", running.job.kind, running.job.id, settlement.error)
        self._count(settlement)
        self.ledger.settle(settlement)
        self.events.ended(running.job, settlement)

    def _count(self, settlement: Settlement) -> None:
        self.ended += 1
        if settlement.outcome in UNWELL:
            self.failed += 1

    def tick(self) -> None:
        """Once in a while: enforce timeouts, look after what got lost on the way, and the lease."""
        now = time.monotonic()
        lease = self.ledger.lease
        if lease.lost != self._lost_leases or (not lease.is_held() and (self.running or self.assigned)):
            self._lost_leases = lease.lost
            self._abandon()
        for running in self.running.values():
            running.enforce(now)
        self.locks.kill_overdue(now, self.running)
        self.events.flush()
        self._in_hand.look(now)
        self._listen_again()
        self.read_reports()
        self.capacity.look(now)
        if self.capacity.blocked and self.assigned:
            self.return_unbegun("every process of its worker was busy")
        self.ledger.loop_lives(now)  # last: one that always fails must lose its lease

    def stop_requested(self, ids: list[str]) -> None:
        """Somebody cancelled these jobs: ask those that run to stop."""
        for running in self.running.values():
            process, _ = self._worker.pool._pool._process_by_pid(running.pid)
            if running.job.id in ids and process is not None:
                running.ask_to_stop(process.index)

    def _abandon(self) -> None:
        """The lease is over: these jobs belong to others now. Stop them; what they report will be fenced off."""
        logger.error(
            "The lease is lost: %d running jobs are stopped, %d claimed ones dropped.", len(self.running), len(self.assigned)
        )
        for pid, running in list(self.running.items()):
            running.kill(Outcome.LOST)
            self._over(pid)
        self.assigned.take_back()
        self.assigned.give_up()

    def give_up_pool(self) -> None:
        """In a signal's handler: the processes are being killed. What becomes of their jobs is settled at shutdown."""
        self.assigned.close()
        self.killed = True

    def restart(self) -> None:
        """Replace the pool processes: the idle ones at once, the others when their job has ended. What this process has loaded
        is what the new ones have: that is for memory, not for new code."""
        channel.restarts.ask()
        self.assigned.visit_all()

    def hand_back(self, job: Claimed, reason: str, delay: float | None = 0.0) -> None:
        """Give a claimed job back to the dispatcher, for so many seconds later; the attempt does not count. A limited one keeps
        its place in the order."""
        delay = None if job.limited and not delay else delay
        self.ledger.settle(Settlement(job.id, job.attempt, State.PENDING, Outcome.INTERRUPTED, delay=delay, error=reason))

    def return_unbegun(self, reason: str) -> None:
        """Hand back what no process has taken."""
        for line in self.assigned.take_back():
            for job in line:
                self.hand_back(job, reason)
