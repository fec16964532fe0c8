"""``python -m benchmarks.pages [word …]``: fill a database once, serve the admin from it, measure each page, print a table.

With words only the pages whose name holds one of them. The database is kept for the next run.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "apps"), str(ROOT / "platform")]

import psycopg  # noqa: E402
from deploy import ports, processes  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from benchmarks.pages.addresses import ADDRESSES  # noqa: E402
from benchmarks.pages.population import Amounts, populate  # noqa: E402
from benchmarks.pages.visitor import Visitor  # noqa: E402
from benchmarks.peer import mark  # noqa: E402
from benchmarks.programs import Program  # noqa: E402
from benchmarks.servers import Servers  # noqa: E402
from benchmarks.trial import say  # noqa: E402

#: Visits of a page, of which the first does not count; milliseconds to the first byte at the median.
VISITS, GOAL = 16, 300
USER, PASSWORD = "visitor", "only for the benchmark"


def main() -> None:
    """See the module. Ends with status 1 when a page missed the goal."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="word", help=f"of {', '.join(ADDRESSES)}")
    parser.add_argument("--jobs", type=int, default=Amounts.jobs, help="rows of the table of jobs")
    parser.add_argument("--fresh", action="store_true", help="fill the database anew")
    parser.add_argument("--folder", type=Path, default=ROOT / ".run" / "bench-pages", help="of the private servers")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = options.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    processes.sweep(mark(folder))  # what a killed run has left
    servers = Servers(folder)
    try:
        servers.start()
        env = _environment(servers, folder, options.jobs, fresh=options.fresh)
        _fill(env, options.jobs)
        measured = _measure(env, folder, [name for name in ADDRESSES if _wanted(name, options.words)])
    finally:
        servers.stop()
    _show(measured, options.jobs)
    sys.exit(any(times and statistics.median(times) > GOAL for times in measured.values()))


def _wanted(name: str, words: list[str]) -> bool:
    return not words or any(word in name for word in words)


def _environment(servers: Servers, folder: Path, jobs: int, *, fresh: bool) -> dict[str, str]:
    name = f"pages-{jobs}"
    if fresh:
        with psycopg.connect(servers.postgres.url, autocommit=True) as link:
            link.execute(f'DROP DATABASE IF EXISTS "{name}"'.encode())
    return {
        "PATH": os.environ.get("PATH", ""),
        "HOME": os.environ.get("HOME", "/"),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'apps'}:{ROOT / 'platform'}",
        "PYTHONUNBUFFERED": "1",
        processes.MARK: mark(folder),
        "FURROW_RUN": str(folder / "furrow"),
        "DATABASE_URL": servers.database(name),
        "BROKER_URL": servers.broker.url,
        "REDIS_URL": servers.redis.url,
        "FURROW_QUEUES": "default,mail,reports,imports",
        "SECRET_KEY": "only for the benchmark",
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
    }


def _fill(env: dict[str, str], jobs: int) -> None:
    """Unless an earlier run has."""
    manage = [sys.executable, "manage.py"]
    subprocess.run([*manage, "migrate", "-v0"], env=env, cwd=ROOT, check=True)
    with psycopg.connect(env["DATABASE_URL"], autocommit=True) as link:
        if link.execute("SELECT EXISTS (SELECT FROM furrow_job)").fetchone() == (True,):
            return
        say(f"filling the tables with {jobs:,} jobs ...")
        populate(link, Amounts.scaled(jobs))
    account = ["createsuperuser", "--noinput", "--username", USER, "--email", "visitor@example.com"]
    subprocess.run([*manage, *account, "-v0"], env=env, cwd=ROOT, check=True)


def _measure(env: dict[str, str], folder: Path, names: list[str]) -> dict[str, list[float]]:
    """Milliseconds of each visit, by page."""
    port = ports.choose(ports.spread(29000, folder))
    serve = ["-m", "gunicorn", "-c", "python:config.web_server", "config.wsgi", "--bind", f"127.0.0.1:{port}", "--threads", "2"]
    web = Program("web", [sys.executable, *serve], env, folder)
    try:
        web.wait_for("Booting worker")
        visitor, found = Visitor(f"http://127.0.0.1:{port}", USER, PASSWORD), _examples(env)
        measured = {}
        for name in names:
            path = "/admin/" + ADDRESSES[name].format(**found)
            measured[name] = [1e3 * visitor.first_byte(path) for _ in range(VISITS)][1:]
        visitor.close()
        return measured
    finally:
        web.stop()


def _examples(env: dict[str, str]) -> dict[str, Any]:
    with psycopg.connect(env["DATABASE_URL"]) as link:
        row = link.execute(
            """SELECT (SELECT id FROM furrow_job WHERE state = 'succeeded' ORDER BY id DESC LIMIT 1),
                      (SELECT id FROM furrow_job WHERE state = 'failed' ORDER BY id DESC LIMIT 1),
                      (SELECT id FROM furrow_job WHERE state = 'running' ORDER BY id DESC LIMIT 1),
                      (SELECT id FROM furrow_worker ORDER BY id DESC LIMIT 1)"""
        ).fetchone()
    assert row
    return dict(zip(("job", "failed", "running", "worker"), row, strict=True))


def _show(measured: dict[str, list[float]], jobs: int) -> None:
    table = Table("page", "median", "fastest", "slowest", "", title=f"Milliseconds to the first byte, with {jobs:,} jobs")
    for name, times in measured.items():
        median = statistics.median(times)
        verdict = "reached" if median <= GOAL else "MISSED"
        table.add_row(name, f"{median:.0f}", f"{min(times):.0f}", f"{max(times):.0f}", verdict)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
