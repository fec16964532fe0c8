"""The course of a campaign: load, faults, healing, draining."""

import random
import sqlite3
import time
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import psycopg
from deploy.processes import until
from deploy.services import ServiceFailed

from furrow.events.subscribers import QUEUE
from furrow.prove import listener, schedule
from furrow.prove.bridged import BRIDGE
from furrow.prove.faults.base import FAULTS, Fault, Happened, Scene
from furrow.prove.stack import Stack
from furrow.prove.ticked import END
from furrow.statements.words import FINAL
from furrow.tables import EVENT, JOB, WORKER

AWAY = (psycopg.Error, sqlite3.Error)
#: So long (seconds) recovery may take; the next fault comes after it.
PATIENCE = 60.0
#: The second of two faults begins up to this long (seconds) after the first: before it, or while the stack recovers from it.
STAGGER = 4.0
#: So long (seconds), after everything was healed, none of the jobs that have not ended may end: then they are stuck.
STUCK = 120.0
#: So old (seconds) may be what RabbitMQ says of a quorum queue's length.
STALE = 6.0


class Campaign:
    """One run; ``tell`` gets a line of progress now and then."""

    def __init__(self, stack: Stack, faults: Sequence[str], seed: int, tell: Callable[[str], None]) -> None:
        self.stack = stack
        self.happened: list[Happened] = []
        self.drained = False
        self._faults = [FAULTS[name] for name in faults]
        self._seed = seed
        self._tell = tell

    def run(self, seconds: float) -> None:
        """Load the stack, and let faults happen for so long; then heal, stop the load, and wait until every job has ended."""
        for client in self.stack.of("client"):
            client.start()
        end = time.monotonic() + seconds
        self._recover([])
        for faults in schedule.rounds(self._faults, self._seed):
            if time.monotonic() >= end:
                break
            self._recover(self._happen(faults))
        for client in self.stack.of("client"):
            client.stop(seconds=20)
        until(self._schedules_ended, PATIENCE)
        self._tell("The faults are over; waiting until every job has ended.")
        # Bridges make jobs, jobs make events, and events make jobs, of which nobody hears.
        self.drained = all(drained(left) for left in (self._unread, self._left, self._untold, self._left))

    def _happen(self, faults: list[Fault]) -> list[Happened]:
        happened = [Happened(len(self.happened) + n, fault.name) for n, fault in enumerate(faults, start=1)]
        self.happened += happened
        with ThreadPoolExecutor() as pool:
            list(pool.map(self._one, faults, happened, [False, True]))
        return happened

    def _one(self, fault: Fault, happened: Happened, second: bool) -> None:
        dice = random.Random(f"{self._seed}:{happened.number}")  # noqa: S311 - no secret
        time.sleep(dice.uniform(0, STAGGER) if second else 0)
        happened.began = time.time()
        try:
            fault.happen(Scene(self.stack, dice, happened))
        except Exception as error:  # a fault that could not be made as a whole: that is no reason to end
            happened.target += f" (not as meant: {type(error).__name__}: {str(error)[:200]})"
        happened.healed = time.time()

    def _recover(self, faults: list[Happened]) -> None:
        """Wait until all works again after these faults, and note when; see :meth:`_works`."""
        since = self._last_move()
        worked = until(lambda: self._works(since), PATIENCE, 0.2)
        for happened in faults:
            # Of two faults together the stack can recover only when both are over.
            happened.healed = max(fault.healed for fault in faults)
            happened.recovered = time.time() if worked else None
            recovery = "NOT" if happened.recovery is None else f"after {happened.recovery:.1f} s"
            self._tell(f"{happened.number:>4}  {happened.kind:<34} {happened.target:<28} recovered {recovery}")

    def _works(self, since: int) -> bool:
        """All processes live, each worker has settled a job after this move, a job that was submitted after it has ended (so
        a dispatcher leads, and a message passed), and the web process answers."""
        ended = f"after IN {FINAL}"
        try:
            nodes = self.stack.database.rows(
                f"SELECT DISTINCT node FROM prove_move m JOIN {WORKER} w ON w.id = m.worker "
                f"WHERE m.seq > ? AND m.before = 'running' AND {ended} AND w.node LIKE ?",
                [since, "worker-%@prove"],  # not the external ones, whose jobs are few
            )
            fresh = len(nodes) == len(self.stack.of("worker")) and self.stack.database.rows(
                f"SELECT 1 FROM prove_move m JOIN {JOB} j ON j.id = m.job "
                "WHERE m.seq > ? AND m.before IS NULL AND j.finished_at IS NOT NULL AND j.attempt > 0 LIMIT 1",
                [since],
            )
            alive = all(program.alive for program in self.stack.programs.values())
            return bool(fresh) and alive and self._web_answers()
        except AWAY:
            return False

    def _last_move(self) -> int:
        found: list[int] = []

        def asked() -> bool:
            try:
                found.append(self.stack.database.rows("SELECT coalesce(max(seq), 0) FROM prove_move")[0][0])
            except AWAY:
                return False
            return True

        until(asked, PATIENCE)
        return found[0] if found else 0

    def _web_answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.stack.web_port}/health/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _schedules_ended(self) -> bool:
        try:
            self.stack.database.run(END)
        except AWAY:
            return False
        return True

    def _unread(self) -> int | None:
        """How many messages the bridge has not made jobs of; ``None`` when RabbitMQ does not say."""
        return self._messages(lambda queue: queue == BRIDGE.queue)

    def _untold(self) -> int | None:
        """How many events have not reached who shall hear of them; ``None`` when a server does not say."""
        try:
            (unpublished,) = self.stack.database.rows(f"SELECT count(*) FROM {EVENT} WHERE published_at IS NULL")[0]
        except AWAY:
            return None
        if unpublished:
            return int(unpublished)
        time.sleep(STALE)
        return self._messages(lambda queue: queue == listener.QUEUE or queue.startswith(QUEUE))

    def _messages(self, counts: Callable[[str], bool]) -> int | None:
        """How many messages are in these queues; ``None`` when RabbitMQ does not say."""
        try:
            lines = self.stack.rabbitmq.ctl("list_queues", "--quiet", "--no-table-headers", "name", "messages").splitlines()
        except ServiceFailed:
            return None
        return sum(int(many or 0) for queue, _, many in (line.rpartition("\t") for line in lines) if counts(queue))

    def _left(self) -> int | None:
        """How many jobs have not ended; ``None`` when the database does not answer."""
        try:
            left = self.stack.database.rows(f"SELECT count(*) FROM {JOB} WHERE state NOT IN {FINAL}")
        except AWAY:
            return None
        return int(left[0][0])


def drained(left: Callable[[], int | None], stuck: float = STUCK, pause: float = 0.5) -> bool:
    """Wait until no job is left, however long that takes, as long as they become fewer; ``False`` when for so many seconds
    they did not."""
    fewest: int | None = None
    moved = time.monotonic()
    while (now := left()) != 0:
        if now is not None and (fewest is None or now < fewest):
            fewest, moved = now, time.monotonic()
        if time.monotonic() - moved > stuck:
            return False
        time.sleep(pause)
    return True
