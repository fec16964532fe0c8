"""What the harness knows of a peer, and what the peer's processes are told."""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from deploy import processes

from benchmarks import environments
from benchmarks.servers import Servers

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Peer:
    """One peer. In commands, ``{NAME}`` is a variable of :func:`environment`."""

    name: str
    #: A module of ``benchmarks.peers`` (or, of one that has ``npm`` packages, a file of ``benchmarks/peers/node``).
    module: str
    worker: list[str]
    #: A line of the worker's log that says that it consumes.
    ready: str
    #: Jobs of a drain and of an end to end run, of a latency measure, of one-by-one submits.
    jobs: int
    latency: int = 50
    singles: int = 200
    env: dict[str, str] = field(default_factory=dict)
    #: What is different when jobs sleep: a worker that grabs many at once would leave the other none.
    sleeping: dict[str, str] = field(default_factory=dict)
    #: The variable that names a database of its own in PostgreSQL.
    database: str = ""
    #: The number of a database of its own in Redis.
    redis: int = 0
    #: A second process that it needs, and the line of its log that says that it works.
    helper: list[str] = field(default_factory=list)
    helper_ready: str = ""
    #: Pinned packages of an interpreter of its own; empty: the repository's.
    packages: tuple[str, ...] = ()
    #: Pinned packages of Node.js, which ``packages`` must bring.
    npm: tuple[str, ...] = ()
    #: Whether it is watched while it has nothing to do.
    idle: bool = False

    @property
    def client(self) -> list[str]:
        """The command of its client (see :mod:`benchmarks.client`)."""
        if self.npm:
            return ["{BENCH_NODE}", "benchmarks/peers/node/main.cjs", "client", self.module]
        return ["{BENCH_PYTHON}", "-m", "benchmarks.client", f"benchmarks.peers.{self.module}"]

    @property
    def versions(self) -> dict[str, str]:
        """Package → version, of those that the repository does not need."""
        return dict(package.rsplit(at, 1) for at, names in (("==", self.packages), ("@", self.npm)) for package in names)

    @property
    def database_name(self) -> str:
        """Its database in PostgreSQL; empty: none."""
        return f"bench-{self.name}" if self.database else ""


def mark(folder: Path) -> str:
    """Marks the processes of a run in this folder, in their environment."""
    return f"benchmarks in {folder}"


def environment(peer: Peer, servers: Servers, folder: Path) -> dict[str, str]:
    """What the processes of a peer are told: the servers, and nothing of the caller's that could change its ways.

    Installs what the peer needs. Raises ProgramFailed if that cannot be had.
    """
    counts = folder / "counts" / peer.name
    counts.mkdir(parents=True, exist_ok=True)
    python = environments.python(folder, peer.packages) if peer.packages else Path(sys.executable)
    env = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": os.environ.get("HOME", "/"),
        "LANG": "C.UTF-8",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'apps'}:{ROOT / 'platform'}",
        "PYTHONUNBUFFERED": "1",
        processes.MARK: mark(folder),
        "FURROW_RUN": str(folder / "furrow"),
        "BROKER_URL": servers.broker.url,
        "REDIS_URL": servers.redis.url,
        "BENCH_PYTHON": str(python),
        "BENCH_QUEUE": f"bench-{peer.name}",
        "BENCH_COUNTS": str(counts),
        **peer.env,
    }
    if peer.npm:
        program = environments.node(python)
        env |= {"BENCH_NODE": str(program), "NODE_PATH": str(environments.node_modules(folder, program, peer.npm))}
    if peer.redis:
        env["BENCH_REDIS_URL"] = f"{servers.redis.url.rpartition('/')[0]}/{peer.redis}"
    if peer.database:
        env[peer.database] = servers.database(peer.database_name)
    return env
