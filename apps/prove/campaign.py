"""The course of a campaign: load, faults, healing, draining."""

import logging
import random
import sqlite3
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import psycopg
from deploy.processes import until

from apps.prove import schedule
from apps.prove.faults.base import FAULTS, Fault, Happened, Scene
from apps.prove.stack import Stack

logger = logging.getLogger(__name__)

AWAY = (psycopg.Error, sqlite3.Error)
#: The next fault comes when all has recovered, and after this long (seconds) at the latest.
PATIENCE = 20.0
#: So long (seconds) all jobs may take to end after everything was healed.
DRAIN = 240.0


class Campaign:
    """One run; ``tell`` gets a line of progress now and then."""

    def __init__(self, stack: Stack, faults: Sequence[str], seed: int, tell: Callable[[str], None]) -> None:
        self.stack = stack
        self.happened: list[Happened] = []
        self.drained = False
        self._faults = [FAULTS[name] for name in faults]
        self._seed = seed
        self._tell = tell
        self._ending = threading.Event()

    def run(self, seconds: float) -> None:
        """Load the stack, and let faults happen for so long; then heal, stop the load, and wait until every job has ended."""
        for client in self.stack.of("client"):
            client.start()
        end = time.monotonic() + seconds
        self._recover([], deadline=end)
        for faults in schedule.rounds(self._faults, self._seed):
            if time.monotonic() >= end:
                break
            together = self._happen(faults)
            self._recover(together, deadline=end)
        self._ending.set()
        for client in self.stack.of("client"):
            client.stop(seconds=20)
        self._tell("The faults are over; waiting until every job has ended.")
        self.drained = until(self._all_ended, DRAIN, 0.5)

    def _happen(self, faults: list[Fault]) -> list[Happened]:
        with ThreadPoolExecutor() as pool:
            return list(pool.map(self._one, faults, range(len(self.happened) + 1, len(self.happened) + 1 + len(faults))))

    def _one(self, fault: Fault, number: int) -> Happened:
        happened = Happened(number, fault.name, time.time())
        self.happened.append(happened)
        dice = random.Random(f"{self._seed}:{number}")  # noqa: S311 - no secret
        fault.happen(Scene(self.stack, dice, happened, self._ending))
        happened.healed = time.time()
        return happened

    def _recover(self, faults: list[Happened], *, deadline: float) -> None:
        """Wait until all has recovered, and note when; see :meth:`_works`."""
        began, since = time.monotonic(), self._last_move()
        patience = min(PATIENCE, max(0.0, deadline - began) + PATIENCE / 2)
        if until(lambda: self._works(since), patience, 0.1):
            for happened in faults:
                happened.recovered = time.time()
        for happened in faults:
            recovery = "not yet" if happened.recovery is None else f"{happened.recovery:.1f} s"
            self._tell(f"{happened.number:>3}  {happened.kind:<26} {happened.target:<28} recovered: {recovery}")

    def _works(self, since: int) -> bool:
        """Each worker has settled a job after this move, a job that was submitted after it has ended (so a dispatcher leads,
        and a message passed), and the web process answers."""
        ended = "after IN ('succeeded', 'failed', 'cancelled')"
        try:
            nodes = self.stack.database.rows(
                "SELECT DISTINCT node FROM prove_move m JOIN jobs_worker w ON w.id = m.worker "
                f"WHERE m.seq > ? AND m.before = 'running' AND {ended}",
                [since],
            )
            fresh = len(nodes) == len(self.stack.of("worker")) and self.stack.database.rows(
                "SELECT 1 FROM prove_move a JOIN prove_move b ON b.job = a.job AND b.seq > a.seq "
                f"WHERE a.seq > ? AND a.before IS NULL AND b.before = 'running' AND b.{ended} LIMIT 1",
                [since],
            )
            return bool(fresh) and self._web_answers()
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

    def _all_ended(self) -> bool:
        try:
            left = self.stack.database.rows(
                "SELECT count(*) FROM jobs_job WHERE state NOT IN ('succeeded', 'failed', 'cancelled')"
            )
        except AWAY:
            return False
        return bool(left[0][0] == 0)
