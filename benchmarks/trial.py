"""One peer, one round: what is measured, and from when to when."""

import math
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.counter import Counts
from benchmarks.meter import Meter, per_job
from benchmarks.peer import Peer
from benchmarks.programs import LOOK, ClientProgram, Program, ProgramFailed, until_ran

#: Seconds without a job after which a peer has failed.
SILENCE = 45.0
#: Jobs that a worker runs before anything but a drain is measured.
WARM_UP = 100


class Contestant:
    """A peer in a run: its client, which lives as long as the run, and what its trials start."""

    def __init__(self, peer: Peer, env: dict[str, str], folder: Path, meter: Meter) -> None:
        self.meter = meter
        self.peer, self.env, self.folder = peer, env, folder
        self.counts = Counts(Path(env["BENCH_COUNTS"]))
        self.running: list[Program] = []
        self.client = ClientProgram(f"{peer.name}-client", self._filled(peer.client, env), env, folder)
        self.values: dict[str, float] = {}

    def close(self) -> None:
        """End all of it."""
        self.stop()
        self.client.stop()

    def stop(self) -> None:
        """End what a trial has started, without waiting for its good manners: the next trial begins with nothing."""
        for program in self.running:
            program.stop(0)
        self.running.clear()

    def trial(self, *, scale: float, works: tuple[int, ...], idle: float) -> dict[str, float]:
        """All measures of one round: metric → value. ``idle``: for so many seconds peers are watched while nothing is to do."""
        self.values = {}
        jobs = max(20, int(self.peer.jobs * scale))
        try:
            self._no_ops(jobs, scale, idle if self.peer.idle else 0)
            for work in works:
                self._sleeping(self._fewer(jobs, work), work)
        finally:
            self.stop()
        return self.values

    def _no_ops(self, jobs: int, scale: float, idle: float) -> None:
        """Jobs that do nothing: what they cost is what the peer costs."""
        self.client.call("reset")
        empty = self._table_bytes()
        worker = self._backlog("drain", jobs, max(1, int(self.peer.singles * scale)))
        pool = worker.pss()[1:]
        self.values["memory_pss"] = sum(worker.pss())
        self.values["memory_pss_process"] = sum(pool) / max(1, len(pool))
        worker.wait_for(self.peer.ready)
        if self.peer.helper:
            self._pending(worker, jobs)
        self.client.call("submit_bulk", n=WARM_UP, work=0)
        self._all_done(worker, self.counts.total_expected(WARM_UP))
        times = sorted(self.client.call("latency", n=max(5, int(self.peer.latency * scale))))
        self.values["latency_p50"] = 1e3 * times[len(times) // 2]
        self.values["latency_p99"] = 1e3 * times[math.ceil(len(times) * 0.99) - 1]
        self.counts.expected += len(times)
        self._end_to_end("end_to_end", worker, jobs, 0)
        if idle:
            self._idle(idle)
        self.stop()
        if self.peer.database:
            self.values["database_mib_per_million"] = (self._table_bytes() - empty) / self.counts.expected * 1e6 / 2**20

    def _sleeping(self, jobs: int, work: int) -> None:
        """Jobs that sleep for so many milliseconds."""
        self.client.call("reset")
        worker = self._backlog(f"drain_{work}ms", jobs, 0, work)
        worker.wait_for(self.peer.ready)
        if self.peer.helper:
            self._start("helper", self.peer.helper).wait_for(self.peer.helper_ready)
        self._end_to_end(f"end_to_end_{work}ms", worker, jobs, work)
        self.stop()

    def _backlog(self, metric: str, jobs: int, singles: int, work: int = 0) -> Program:
        """Submit a backlog, then start a worker: jobs/s from the first job that ran to the last that is recorded."""
        self.counts.clear()
        if singles:
            self.values["submit_one"] = singles / self.client.call("submit_one", n=singles, work=work)
        seconds = self.client.call("submit_bulk", n=jobs, work=work)
        if not work:
            self.values["submit_bulk"] = jobs / seconds
        self.client.call("load", n=jobs + singles)
        worker = self._start("worker", self.peer.worker, self.peer.sleeping if work else {})
        until_ran(self.counts, 1, worker, silence=SILENCE)
        used, begin, first = self.meter.read(worker), time.perf_counter(), self.counts.total()
        self._all_done(worker, jobs + singles)
        rest = max(1, jobs + singles - first)  # a few jobs, as in the tests, may all have run by now
        self.values[metric] = rest / (time.perf_counter() - begin)
        if not work:
            self.values |= per_job(used, self.meter.read(worker), rest)
        return worker

    def _pending(self, worker: Program, jobs: int) -> None:
        """The backlog waits in the database, the worker is idle; then the helper starts."""
        self.client.call("submit_bulk", n=jobs, work=0)
        goal = self.counts.total_expected(jobs)
        helper = self._start("helper", self.peer.helper)
        until_ran(self.counts, goal - jobs + 1, worker, silence=SILENCE)
        used, begin, first = Meter.of(helper), time.perf_counter(), self.counts.total()
        self._all_done(worker, goal)
        rest = max(1, goal - first)
        self.values["drain_pending"] = rest / (time.perf_counter() - begin)
        self.values["cpu_dispatcher"] = 1e6 * (Meter.of(helper) - used) / rest
        helper.wait_for(self.peer.helper_ready)
        self.values["memory_pss_dispatcher"] = sum(helper.pss())

    def _idle(self, seconds: float) -> None:
        """Worker and helper with nothing to do, for so long: what they cost meanwhile is the measure."""
        names = ("worker", "dispatcher")[: len(self.running)]
        before, said = [Meter.of(program) for program in self.running], self._transactions()
        time.sleep(seconds)
        for name, program, used in zip(names, self.running, before, strict=True):
            self.values[f"cpu_idle_{name}"] = 100 * (Meter.of(program) - used) / seconds
        if self.peer.database:
            self.values["transactions_idle"] = (self._transactions() - said) / seconds

    def _transactions(self) -> int:
        return self.meter.transactions(self.peer.database_name) if self.peer.database else 0

    def _table_bytes(self) -> int:
        return self.meter.table_bytes(self.peer.database_name) if self.peer.database else 0

    def _end_to_end(self, metric: str, worker: Program, jobs: int, work: int) -> None:
        """Submitter, helper and worker at once: from the first submit to the last job that is recorded."""
        goal = self.counts.total_expected(jobs)
        begin = time.perf_counter()
        self.client.send("submit_bulk", n=jobs, work=work)
        self.client.answer()
        self._all_done(worker, goal)
        self.values[metric] = jobs / (time.perf_counter() - begin)

    def _all_done(self, worker: Program, goal: int) -> None:
        """Until so many jobs have run and none is left unrecorded."""
        until_ran(self.counts, goal, worker, silence=SILENCE)
        self.counts.expected = goal
        deadline = time.monotonic() + 60
        while left := self.client.call("unrecorded"):
            if time.monotonic() > deadline:
                raise ProgramFailed(f"{self.peer.name}: {left} jobs ran and are not recorded; {worker.log}")
            time.sleep(LOOK)

    def _fewer(self, jobs: int, work: int) -> int:
        """So many that the work alone takes two processes a second."""
        return min(jobs, max(50, 2_000 // work))

    def _start(self, role: str, command: list[str], env: dict[str, str] | None = None) -> Program:
        told = self.env | (env or {})
        program = Program(f"{self.peer.name}-{role}", self._filled(command, told), told, self.folder)
        self.running.append(program)
        return program

    @staticmethod
    def _filled(command: list[str], env: dict[str, str]) -> list[str]:
        return [word.format_map(env) for word in command]


def say(*words: Any) -> None:
    """Progress, on stderr."""
    print(*words, file=sys.stderr, flush=True)
