"""Processor time of everybody who takes part: unlike jobs/s, it hardly depends on what else the machine does."""

from contextlib import suppress

import psutil

from benchmarks.programs import Program
from benchmarks.servers import Servers


class Meter:
    """Seconds of processor time so far: the worker's main process, its pool, and the servers."""

    def __init__(self, servers: Servers) -> None:
        self._servers = {
            "postgresql": servers.postgres.daemon.pid,
            "rabbitmq": servers.broker.daemon.pid,
            "redis": servers.redis.daemon.pid,
        }

    @staticmethod
    def of(program: Program) -> float:
        """Of one program and its children."""
        return sum(map(_own, program.processes()))

    def read(self, worker: Program) -> dict[str, float]:
        """Name → seconds."""
        main, *pool = worker.processes()
        seconds = {name: _tree(pid) for name, pid in self._servers.items() if pid}
        return {"worker": _own(main), "pool": sum(map(_own, pool)), **seconds}


def per_job(before: dict[str, float], after: dict[str, float], jobs: int) -> dict[str, float]:
    """Metric → microseconds a job."""
    return {f"cpu_{name}": 1e6 * (after[name] - before[name]) / max(1, jobs) for name in before if name in after}


def _own(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return float(times.user + times.system)
    return 0.0


def _tree(pid: int) -> float:
    """With its children, those that have ended as well."""
    with suppress(psutil.NoSuchProcess):
        main = psutil.Process(pid)
        times = main.cpu_times()
        ended = float(times.children_user + times.children_system)
        return _own(main) + ended + sum(map(_own, main.children(recursive=True)))
    return 0.0
