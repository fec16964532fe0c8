"""Processor time, which hardly depends on what else the machine does as jobs/s do; transactions; bytes."""

from contextlib import suppress

import psutil
import psycopg

from benchmarks.programs import Program
from benchmarks.servers import Servers


class Meter:
    """Reads the programs of a trial and the servers."""

    def __init__(self, servers: Servers) -> None:
        self._databases = servers
        self._servers = {
            "postgresql": servers.postgres.daemon.pid,
            "rabbitmq": servers.broker.daemon.pid,
            "redis": servers.redis.daemon.pid,
        }

    @staticmethod
    def of(program: Program) -> float:
        """Seconds of processor time so far of one program and its children."""
        return sum(map(_own, program.processes()))

    def read(self, worker: Program) -> dict[str, float]:
        """Seconds of processor time so far: of the worker's main process, its pool, and each server."""
        main, *pool = worker.processes()
        seconds = {name: _tree(pid) for name, pid in self._servers.items() if pid}
        return {"worker": _own(main), "pool": sum(map(_own, pool)), **seconds}

    def transactions(self, database: str) -> int:
        """How many there were so far; a statement that nobody put into a transaction is one."""
        with psycopg.connect(self._databases.postgres.url) as link:
            row = link.execute("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = %s", [database])
            return int(row.fetchone()[0])  # type: ignore[index]

    def table_bytes(self, database: str) -> int:
        """Bytes of all its tables with their indexes, packed first (``VACUUM FULL``): without what dead rows took."""
        where = "WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND c.relkind = 'r'"
        query = f"SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace {where}"
        with psycopg.connect(self._databases.database(database), autocommit=True) as link:
            tables = [str(name) for (name,) in link.execute(query)]
            for table in tables:
                link.execute(f"VACUUM FULL {table}".encode())
            row = link.execute(
                "SELECT sum(pg_total_relation_size(name::regclass)) FROM unnest(%s::text[]) name", [tables]
            ).fetchone()
            return int(row[0] or 0) if row else 0


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
