"""Who takes part, how each peer is started and how many jobs it gets: enough for a second or two, so slow peers get fewer."""

import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

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
    latency: int = 60
    singles: int = 200
    env: dict[str, str] = field(default_factory=dict)
    #: The variable that names a database of its own in PostgreSQL.
    database: str = ""
    #: A second process that it needs, and the line of its log that says that it works.
    helper: list[str] = field(default_factory=list)
    helper_ready: str = ""
    #: Pinned packages of an interpreter of its own; empty: the repository's.
    packages: tuple[str, ...] = ()
    #: Leave out what another variant of the same peer says already.
    drain_only: bool = False


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
        10_000,
        env=env,
        database="DATABASE_URL",
        helper=helper,
        helper_ready="This dispatcher leads",
        **options,  # type: ignore[arg-type]
    )


OURS = [_furrow("furrow", "true"), _furrow("furrow-no-events", "false", drain_only=True)]
CELERY = [
    _celery("celery-early", "celery_ignore", 5_000, env={"BENCH_ACKS_LATE": "0"}),
    _celery("celery-late", "celery_ignore", 4_000, env={"BENCH_ACKS_LATE": "1"}),
    _celery("celery-results", "celery_results", 300, database="BENCH_RESULTS_URL"),
    _celery(
        "celery-results-reuse",
        "celery_results",
        600,
        database="BENCH_RESULTS_URL",
        env={"BENCH_DB_REUSE": "1000"},
        drain_only=True,
    ),
]
OTHERS: list[Peer] = []


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
        "FURROW_RUN": str(folder / "furrow"),
        "BROKER_URL": servers.broker.url,
        "REDIS_URL": servers.redis.url,
        "BENCH_QUEUE": f"bench-{peer.name}",
        "BENCH_COUNTS": str(counts),
        **peer.env,
    }
    if peer.database:
        env[peer.database] = servers.database(f"bench-{peer.name}")
    return env


def interpreter(peer: Peer, make: Callable[[tuple[str, ...]], str]) -> str:
    """The peer's Python; ``make`` provides one with pinned packages."""
    return make(peer.packages) if peer.packages else sys.executable
