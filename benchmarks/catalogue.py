"""Who takes part, how each peer is started and how many jobs it gets: enough for a second or two, so slow peers get fewer."""

import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from deploy import processes

from benchmarks.servers import Servers

ROOT = Path(__file__).resolve().parents[1]
PROCESSES = 2


@dataclass(frozen=True)
class Peer:
    """One peer; ``{python}`` in a command is its interpreter."""

    name: str
    module: str
    worker: list[str]
    #: A line of the worker's log that says that it consumes.
    ready: str
    #: Jobs of a drain and of an end to end run, of a latency measure, of one-by-one submits.
    jobs: int
    latency: int = 50
    singles: int = 200
    env: dict[str, str] = field(default_factory=dict)
    #: The variable that names a database of its own in PostgreSQL.
    database: str = ""
    #: The number of a database of its own in Redis.
    redis: int = 0
    #: A second process that it needs, and the line of its log that says that it works.
    helper: list[str] = field(default_factory=list)
    helper_ready: str = ""
    #: Pinned packages of an interpreter of its own; empty: the repository's.
    packages: tuple[str, ...] = ()


_CELERY = ["{python}", "-m", "celery"]
_QUIET = ["-c", str(PROCESSES), "--without-gossip", "--without-mingle", "-l", "info"]


def _celery(name: str, module: str, jobs: int, **options: object) -> Peer:
    worker = [*_CELERY, "-A", f"benchmarks.peers.{module}", "worker", "-n", f"{name}@bench", *_QUIET, "--without-heartbeat"]
    return Peer(name, f"benchmarks.peers.{module}", worker, r"@bench ready", jobs, **options)  # type: ignore[arg-type]


def _furrow(name: str, events: str, **options: object) -> Peer:
    env = {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "FURROW_MODULES": "benchmarks.peers.furrow_kinds",
        "FURROW_QUEUES": "default",
        "SECRET_KEY": "only for the benchmarks, where it guards nothing at all",
        "WORKER_SEND_TASK_EVENTS": events,
    }
    worker = [*_CELERY, "-A", "config", "worker", "-n", f"{name}@bench", *_QUIET]
    helper = ["{python}", "manage.py", "dispatcher"]
    return Peer(
        name,
        "benchmarks.peers.furrow",
        worker,
        r"@bench ready",
        8_000,
        env=env,
        database="DATABASE_URL",
        helper=helper,
        helper_ready="This dispatcher leads",
        **options,  # type: ignore[arg-type]
    )


OURS = [_furrow("furrow", "true"), _furrow("furrow-no-events", "false")]
CELERY = [
    _celery("celery-early", "celery_ignore", 4_000, env={"BENCH_ACKS_LATE": "0"}),
    _celery("celery-late", "celery_ignore", 3_000, env={"BENCH_ACKS_LATE": "1"}),
    _celery("celery-results", "celery_results", 160, singles=40, database="BENCH_RESULTS_URL"),
    _celery(
        "celery-results-reuse",
        "celery_results",
        350,
        singles=50,
        database="BENCH_RESULTS_URL",
        env={"BENCH_DB_REUSE": "1000"},
    ),
]
#: Two workers at once, for those that have no parent process.
_TWICE = ["/bin/sh", "-c", '"$@" & "$@" & wait', "sh"]
OTHERS = [
    Peer(
        "dramatiq",
        "benchmarks.peers.dramatiq",
        ["{python}", "-m", "dramatiq", "-p", str(PROCESSES), "-t", "1", "benchmarks.peers.dramatiq"],
        "Worker process is ready",
        4_000,
        env={"dramatiq_queue_prefetch": "128"},
        packages=("dramatiq==2.2.1", "pika==1.4.4"),
    ),
    Peer(
        "procrastinate",
        "benchmarks.peers.procrastinate",
        [*_TWICE, "{python}", "-m", "procrastinate", "--app=benchmarks.peers.procrastinate.app", "worker", "-c", "4"],
        "Starting worker",
        600,
        database="BENCH_DATABASE_URL",
        packages=("procrastinate==3.10.0", "psycopg[binary]==3.3.9", "psycopg-pool==3.3.3"),
    ),
    Peer(
        "rq",
        "benchmarks.peers.rq",
        [*_TWICE, "{python}", "-m", "rq.cli", "worker", "-w", "rq.worker.SimpleWorker", "-u", "{redis}", "bench-rq"],
        "Listening on",
        800,
        redis=1,
        packages=("rq==3.0.0", "redis==8.1.0"),
    ),
    Peer(
        "huey",
        "benchmarks.peers.huey",
        ["{python}", "-m", "huey.bin.huey_consumer", "benchmarks.peers.huey.huey", "-w", str(PROCESSES), "-k", "process"],
        "Huey consumer started",
        5_000,
        redis=2,
        packages=("huey==3.5.4", "redis==8.1.0"),
    ),
]


def chosen(names: Iterable[str] | None, peers: list[Peer]) -> list[Peer]:
    """The peers of these names, or all.

    Raises:
        SystemExit: a name is unknown.
    """
    if not names:
        return peers
    known = {peer.name: peer for peer in OURS + CELERY + OTHERS}
    if unknown := set(names) - set(known):
        raise SystemExit(f"Unknown peers: {', '.join(sorted(unknown))}. Known: {', '.join(known)}.")
    return [known[name] for name in names]


def mark(folder: Path) -> str:
    """Marks the processes of a run in this folder, in their environment."""
    return f"benchmarks in {folder}"


def environment(peer: Peer, servers: Servers, folder: Path) -> dict[str, str]:
    """What the processes of a peer are told: the servers, and nothing of the caller's that could change its ways."""
    counts = folder / "counts" / peer.name
    counts.mkdir(parents=True, exist_ok=True)
    env = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": os.environ.get("HOME", "/"),
        "LANG": "C.UTF-8",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}",
        "PYTHONUNBUFFERED": "1",
        processes.MARK: mark(folder),
        "FURROW_RUN": str(folder / "furrow"),
        "BROKER_URL": servers.broker.url,
        "REDIS_URL": servers.redis.url,
        "BENCH_QUEUE": f"bench-{peer.name}",
        "BENCH_COUNTS": str(counts),
        **peer.env,
    }
    if peer.redis:
        env["BENCH_REDIS_URL"] = f"{servers.redis.url.rpartition('/')[0]}/{peer.redis}"
    if peer.database:
        env[peer.database] = servers.database(f"bench-{peer.name}")
    return env


def interpreter(peer: Peer, make: Callable[[tuple[str, ...]], str]) -> str:
    """The peer's Python; ``make`` provides one with pinned packages."""
    return make(peer.packages) if peer.packages else sys.executable
