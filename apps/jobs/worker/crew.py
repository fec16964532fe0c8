"""The crew: hands claimed jobs to the pool processes, knows who runs what, and settles what becomes of it.

Lives in the worker's event loop. A claimed job goes into the assignments channel, from which the next free pool process takes
it: nothing is bound to a process before that process is free, so no job waits behind a slow one while another process idles.
What was not taken can be taken back. When a process dies, the job it had reported as begun is blamed, and no other.
"""

import logging
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from apps.jobs.errors import UnknownKind
from apps.jobs.kinds import get_kind
from apps.jobs.statements import Claimed, LogRecord, Progress, Settlement
from apps.jobs.states import Outcome, State
from apps.jobs.worker import channel
from apps.jobs.worker.blame import settle_death
from apps.jobs.worker.events import Events
from apps.jobs.worker.ledger import Ledger
from apps.jobs.worker.pace import Pace
from apps.jobs.worker.runner import drain
from apps.jobs.worker.running import Running

logger = logging.getLogger(__name__)

#: Packets read in one go, before the event loop gets its turn.
READ_AT_ONCE = 500
#: With more than this waiting for the database nothing more is read from the pool processes: they wait, memory does not grow.
MAX_BACKLOG = 20_000
#: A job that no process reports to have begun this long (seconds) after a process died is taken to have died with it.
LOST_IN_HAND = 2.0


class Crew:
    """See the module."""

    def __init__(self, worker: Any, ledger: Ledger, events: Events) -> None:
        self._worker = worker
        self.ledger = ledger
        self.events = events
        self.pace = Pace()
        self.running: dict[int, Running] = {}
        self._ready: deque[Claimed] = deque()  # claimed, not yet in the channel
        self._handed: dict[str, Claimed] = {}  # in the channel, or in the hand of a process that has not reported yet
        self._drains: dict[int, int] = {}  # handle of a running drain -> pid (0: not accepted yet)
        self._next_handle = 0
        self._suspect_since = 0.0
        self.stopping = False
        ledger.anything_running = lambda: bool(self.running)
        ledger.on_stop_requests = self._on_stop_requests
        ledger.on_owned = self._on_owned
        self._unknown: set[uuid.UUID] = set()
        #: Called when there is room for more.
        self.on_room: Callable[[], None] = lambda: None

    # --- what there is room for ---------------------------------------------------------------------------------------------

    @property
    def processes(self) -> int:
        """Pool processes."""
        return int(self._worker.pool.num_processes)

    @property
    def waiting(self) -> int:
        """Jobs claimed and not begun."""
        return len(self._ready) + len(self._handed)

    def room(self) -> float:
        """Seconds of work that may be claimed now; see :mod:`apps.jobs.worker.pace`."""
        if self.stopping:
            return 0.0
        now = time.monotonic()
        busy = [(running.job.kind, now - running.began) for running in self.running.values()]
        claimed = (job.kind for source in (self._ready, self._handed.values()) for job in source)
        return self.pace.room(self.processes, busy, claimed)

    # --- jobs to processes --------------------------------------------------------------------------------------------------

    def take_on(self, jobs: list[Claimed]) -> None:
        """Run these jobs, which the ledger has claimed."""
        self._ready.extend(jobs)
        self.events.received(jobs)
        self._hand_out()

    def _hand_out(self) -> None:
        while self._ready:
            job = self._ready[0]
            packet = (str(job.id), job.kind, job.arguments, job.attempt, job.excused, job.max_attempts)
            if not channel.assignments.offer(packet):
                break
            self._handed[packet[0]] = self._ready.popleft()
        wanted = min(self.processes - len(self._drains), len(self._handed))
        for _ in range(wanted if not self.stopping else 0):
            self._start_drain()

    def _start_drain(self) -> None:
        self._next_handle += 1
        handle = self._next_handle
        self._drains[handle] = 0

        def accepted(pid: int, _when: float) -> None:
            if handle in self._drains:
                self._drains[handle] = pid

        def over(_result: Any = None) -> None:
            if self._drains.pop(handle, None) is not None and self._handed:
                self._hand_out()

        self._worker.pool.apply_async(drain, callback=over, error_callback=over, accept_callback=accepted)

    # --- reports from processes ---------------------------------------------------------------------------------------------

    def read_reports(self, limit: int = READ_AT_ONCE) -> None:
        """Take what the pool processes said. Called by the event loop when there is something."""
        if self.ledger.backlog > MAX_BACKLOG:
            return
        for _ in range(limit):
            packet = channel.reports.receive()
            if packet is None:
                break
            self._on_report(packet)
        self._hand_out()
        self.on_room()

    def _on_report(self, packet: tuple[Any, ...]) -> None:
        what, *rest = packet
        if what == "next":
            pid, ended, begun, at = rest
            if ended is not None:
                self._on_ended(pid, ended)
            if begun is not None:
                self._on_begun(pid, begun, at)
        elif what == "log":
            id, *fields = rest
            self.ledger.log(LogRecord(uuid.UUID(id), *fields))
        elif what == "progress":
            id, *fields = rest
            self.ledger.progress(Progress(uuid.UUID(id), *fields))

    def _on_begun(self, pid: int, id: str, at: float) -> None:
        job = self._handed.pop(id, None)
        if job is None:
            return  # handed back meanwhile: what it does is stale, and its end will be fenced off
        try:
            timeout = get_kind(job.kind).timeout
        except UnknownKind:
            timeout = None
        now = time.monotonic()
        self.running[pid] = Running(job, pid, now, now + timeout if timeout else float("inf"))
        self.events.started(job, pid, at)

    def _on_ended(self, pid: int, ended: tuple[Any, ...]) -> None:
        id, attempt, state, outcome, *rest = ended
        running = self.running.get(pid)
        settlement = Settlement(uuid.UUID(id), attempt, State(state), Outcome(outcome), *rest)
        self.ledger.settle(settlement)
        if running is None or str(running.job.id) != id:
            return
        del self.running[pid]
        self.pace.ran(running.job.kind, settlement.finished - settlement.started)
        self.events.ended(running.job, settlement)

    # --- deaths and timeouts ----------------------------------------------------------------------------------------------

    def on_process_gone(self, pid: int, exitcode: int | None) -> None:
        """A pool process ended: settle the job that it had begun, if it did not finish it."""
        self.read_reports(limit=1_000_000)
        self._drains = {handle: owner for handle, owner in self._drains.items() if owner != pid}
        running = self.running.pop(pid, None)
        if running is not None:
            self._blame(running, exitcode)
        elif self._handed:
            self._suspect_since = time.monotonic()
        self._hand_out()
        self.on_room()

    def _blame(self, running: Running, exitcode: int | None) -> None:
        settlement = settle_death(running.job, running.pid, exitcode, running.doom)
        logger.error("%s %s: %s", running.job.kind, running.job.id, settlement.error)
        self.ledger.settle(settlement)
        self.events.ended(running.job, settlement)

    def tick(self) -> None:
        """Once in a while: enforce timeouts, look after what got lost on the way, and the lease."""
        now = time.monotonic()
        if not self.ledger.lease.is_held() and (self.running or self.waiting):
            self._abandon()
        for running in self.running.values():
            running.enforce(now)
        if self._suspect_since and now - self._suspect_since > LOST_IN_HAND:
            self._suspect_since = 0.0
            self._give_up_lost()
        self.read_reports()

    def _on_owned(self, ids: list[uuid.UUID]) -> None:
        """What the database says this worker runs. Jobs that it does not know of at two heartbeats in a row go back: the
        answer to their claim, or the commit that settled them, was lost in a crash or a failover of the database."""
        known = {job.id for source in (self._ready, self._handed.values()) for job in source}
        unknown = set(ids) - known - {running.job.id for running in self.running.values()}
        if lost := unknown & self._unknown:
            logger.warning("%d jobs are this worker's by the database, but it does not run them; handed back.", len(lost))
            self.ledger.disown(sorted(lost))
        self._unknown = unknown - lost

    def _on_stop_requests(self, ids: list[uuid.UUID]) -> None:
        """Somebody cancelled these jobs: ask those that run to stop."""
        for running in self.running.values():
            process, _ = self._worker.pool._pool._process_by_pid(running.pid)
            if running.job.id in ids and process is not None:
                running.ask_to_stop(process.index)

    def _abandon(self) -> None:
        """The lease is over: these jobs belong to others now. Stop them; what they report will be fenced off."""
        logger.error(
            "The lease is lost: %d running jobs are stopped, %d claimed ones dropped.", len(self.running), self.waiting
        )
        for running in self.running.values():
            running.kill(Outcome.LOST)
        self.running.clear()
        self._take_back_all()
        self._ready.clear()
        self._handed.clear()

    def _give_up_lost(self) -> None:
        """After a death: what is neither in the channel nor begun was in the dead process's hand."""
        self.read_reports(limit=1_000_000)
        still_there = {str(job.id) for job in self._take_back_all()}
        for id in [id for id in self._handed if id not in still_there]:
            self.hand_back(self._handed.pop(id), "its pool process died before it began")
        self._ready.extendleft(self._handed.pop(id) for id in still_there if id in self._handed)
        self._hand_out()

    def _take_back_all(self) -> list[Claimed]:
        """Empty the channel of what no process has taken."""

        def untaken() -> Iterator[Claimed]:
            while (packet := channel.assignments.receive()) is not None:
                if job := self._handed.get(packet[0]):
                    yield job

        return list(untaken())

    def hand_back(self, job: Claimed, reason: str, *, pid: int = 0, delay: float = 0.0) -> None:
        """Give a claimed job back to the dispatcher; the attempt does not count."""
        self.ledger.settle(Settlement(job.id, job.attempt, State.PENDING, Outcome.INTERRUPTED, pid, delay=delay, error=reason))

    # --- the end ------------------------------------------------------------------------------------------------------------

    def stop(self, grace: float) -> None:
        """Hand back what has not begun, wait up to ``grace`` seconds for what has, and interrupt the rest.

        The event loop has ended by now, so this reads the reports itself.
        """
        self.stopping = True
        deadline = time.monotonic() + grace
        self._return_unbegun()
        while self.running and time.monotonic() < deadline:
            self._serve_without_loop()
        for running in list(self.running.values()):
            running.kill(running.doom or Outcome.INTERRUPTED)
        deadline = time.monotonic() + 5
        while self.running and time.monotonic() < deadline:
            self._serve_without_loop()

    def _return_unbegun(self) -> None:
        untaken = self._take_back_all()
        for job in [*untaken, *self._ready]:
            self._handed.pop(str(job.id), None)
            self.hand_back(job, "the worker stopped before it began")
        self._ready.clear()

    def _serve_without_loop(self) -> None:
        import select

        select.select([channel.reports], [], [], 0.1)
        self.read_reports()
        alive = {process.pid for process in self._worker.pool._pool._pool if process.exitcode is None}
        for pid in [pid for pid in self.running if pid not in alive]:
            exitcode = next((p.exitcode for p in self._worker.pool._pool._pool if p.pid == pid), None)
            self.on_process_gone(pid, exitcode)
