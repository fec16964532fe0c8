"""What the cases share: the servers, a database of the case's own, the dispatcher and a worker with two processes."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import psycopg
from kombu import Connection

from benchmarks import catalogue
from benchmarks.cases import rows
from benchmarks.counter import Counts
from benchmarks.meter import Meter
from benchmarks.peer import ROOT, environment
from benchmarks.programs import Program, ProgramFailed, until_ran
from benchmarks.servers import Servers

_PEER = catalogue.OURS[0]


class Bench:
    """A migrated, empty database and what works on it."""

    def __init__(self, servers: Servers, folder: Path, *, scale: float = 1.0, database: str = "cases") -> None:
        self.servers, self.folder, self.scale, self.database = servers, folder, scale, database
        self.meter = Meter(servers)
        with psycopg.connect(servers.postgres.url, autocommit=True) as link:
            link.execute(f'DROP DATABASE IF EXISTS "{database}"'.encode())
        self.url = servers.database(database)
        self.env = {**environment(_PEER, servers, folder), "DATABASE_URL": self.url}
        self.counts = Counts(Path(self.env["BENCH_COUNTS"]))
        self.dispatcher: Program | None = None
        self.worker: Program | None = None
        #: Submits a backlog of so many jobs, if they are not to be plain rows.
        self.fill: Callable[[int], None] | None = None
        subprocess.run([self.env["BENCH_PYTHON"], "manage.py", "migrate", "-v0"], env=self.env, cwd=ROOT, check=True)
        self.link: psycopg.Connection[Any] = psycopg.connect(self.url, autocommit=True)
        with Connection(servers.broker.url) as broker:
            broker.channel().queue_delete("default")

    def another(self, database: str) -> "Bench":
        """One with a database beside this one."""
        return Bench(self.servers, self.folder, scale=self.scale, database=database)

    def jobs(self, full: int) -> int:
        """So many jobs, scaled."""
        return max(100, int(full * self.scale))

    def start_worker(self) -> None:
        """Returns once it consumes."""
        self.worker = self._start("worker", _PEER.worker)
        self.worker.wait_for(_PEER.ready)

    def start_dispatcher(self) -> None:
        """Returns at once."""
        self.dispatcher = self._start("dispatcher", _PEER.helper)

    def stop(self) -> None:
        """The programs, in order, so that no message and no lease is left."""
        for program in self._programs():
            program.stop(20)
        self.dispatcher = self.worker = None

    def close(self) -> None:
        """End all of it, and drop the database."""
        self.stop()
        self.link.close()
        with psycopg.connect(self.servers.postgres.url, autocommit=True) as link:
            link.execute(f'DROP DATABASE "{self.database}" WITH (FORCE)'.encode())

    def wait(self, ran: int, silence: float = 60) -> None:
        """Until so many jobs have run since the counts were cleared.

        Raises:
            ProgramFailed: nothing ran for so many seconds, or a program ended.
        """
        until_ran(self.counts, ran, *self._programs(), silence=silence)

    def check(self) -> None:
        """Raises ProgramFailed if a program ended."""
        for program in self._programs():
            program.check()

    def _programs(self) -> list[Program]:
        return [program for program in (self.dispatcher, self.worker) if program]

    def all_recorded(self) -> None:
        """Until no due job is left."""
        deadline = time.monotonic() + 60
        while left := rows.unfinished(self.link):
            if time.monotonic() > deadline:
                raise ProgramFailed(f"{left} jobs ran and are not recorded; logs in {self.folder / 'log'}")
            time.sleep(0.02)

    def drain(self, jobs: int, *, keys: int = 0) -> tuple[float, float]:
        """Work off a pending backlog: the worker idles, then the dispatcher starts. Programs begin and end with it.

        Returns:
            Jobs/s from the first job that ran to the last that is recorded, and PostgreSQL's processor time, µs a job.
        """
        if self.fill is None:
            rows.pending(self.link, jobs, keys=keys)
        else:
            self.fill(jobs)
        self.link.execute("CHECKPOINT")
        self.counts.clear()
        try:
            self.start_worker()
            self.start_dispatcher()
            self.wait(1)
            begin, used, first = time.perf_counter(), self.used(), self.counts.total()
            self.wait(jobs)
            self.all_recorded()
            seconds, ran = time.perf_counter() - begin, max(1, jobs - first)
            return ran / seconds, 1e6 * (self.used()["postgresql"] - used["postgresql"]) / ran
        finally:
            self.stop()

    def used(self) -> dict[str, float]:
        """Seconds of processor time so far, of the worker, the dispatcher and the servers."""
        assert self.worker
        assert self.dispatcher
        return {**self.meter.read(self.worker), "dispatcher": Meter.of(self.dispatcher)}

    def memory(self) -> dict[str, float]:
        """MiB (RSS) of the dispatcher, the worker's main process, the larger of its pool's, and RabbitMQ. Not PSS: that changes
        when processes cease to share a page, though none of them has grown."""
        assert self.worker
        assert self.dispatcher
        main, *pool = self.worker.processes()
        broker = psutil.Process(self.servers.broker.daemon.pid)
        dispatcher = psutil.Process(self.dispatcher.popen.pid)
        processes = {"dispatcher": [dispatcher], "worker": [main], "pool process": pool, "rabbitmq": [broker]}
        return {name: max(one.memory_info().rss for one in found) / 2**20 for name, found in processes.items()}

    def _start(self, role: str, command: list[str]) -> Program:
        return Program(role, [word.format_map(self.env) for word in command], self.env, self.folder)
