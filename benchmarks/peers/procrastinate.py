"""Procrastinate on PostgreSQL. Records each job, its status and events (deferred, started, succeeded), not its result.

Loses nothing that was committed; a job of a worker that died stays ``doing`` until a task that the application writes looks for
stalled jobs and retries them. Two worker processes; each runs what its event loop holds, one job at a time.
"""

import os
from typing import Any

import procrastinate  # type: ignore[import-not-found]
import psycopg

from benchmarks.client import Client
from benchmarks.counter import count_async

URL = os.environ["BENCH_DATABASE_URL"]
#: The worker's.
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=URL), import_paths=["benchmarks.peers.procrastinate"])


@app.task(name="noop")  # type: ignore[untyped-decorator]
async def noop(work: int) -> None:
    """Count, after so many milliseconds."""
    await count_async(work)


class Procrastinate(Client):
    """Defers jobs through the connector for ordinary, synchronous code."""

    def prepare(self) -> None:
        self.link = psycopg.connect(URL, autocommit=True)
        app.open()
        if not self.link.execute("SELECT to_regclass('procrastinate_jobs')").fetchone()[0]:  # type: ignore[index]
            app.schema_manager.apply_schema()

    def reset(self) -> None:
        self.link.execute("TRUNCATE procrastinate_jobs, procrastinate_events, procrastinate_workers CASCADE")
        self.link.execute("CHECKPOINT")

    def submit_one(self, work: int) -> Any:
        return noop.defer(work=work)

    def submit_bulk(self, n: int, work: int) -> None:
        for start in range(0, n, 500):
            noop.batch_defer(*[{"work": work}] * min(500, n - start))

    def recorded(self, handle: Any) -> bool:
        row = self.link.execute("SELECT status = 'succeeded' FROM procrastinate_jobs WHERE id = %s", [handle]).fetchone()
        return bool(row and row[0])

    def unrecorded(self) -> int:
        row = self.link.execute("SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')").fetchone()
        return int(row[0]) if row else 0


def client() -> Client:
    """For :mod:`benchmarks.client`."""
    return Procrastinate()
