"""``python -m benchmarks.locks``: lock and unlock, by one client, by four with a name each, by four that want the same name.

The peers take turns in each round; printed is the median of the rounds, in pairs of lock and unlock a second.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "apps"), str(ROOT / "platform")]

from deploy.services import Redis  # noqa: E402

from benchmarks import environments  # noqa: E402
from benchmarks.cases import figures  # noqa: E402
from benchmarks.locks.client import PEERS  # noqa: E402

PACKAGES = ("python-redis-lock==4.0.1", "redis==8.1.0")
#: What is measured: how many clients, and whether they want the same name.
CASES = {"one client": (1, False), "four clients, a name each": (4, False), "four clients, one name": (4, True)}


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.locks", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=ROOT / ".run" / "bench-locks", help="of the private Redis")
    parser.add_argument("--out", type=Path, default=ROOT / ".run" / "bench-locks.json", help="the JSON file")
    options = parser.parse_args()
    folder = options.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    python = environments.python(folder, PACKAGES)
    told: dict[str, dict[str, list[float]]] = {case: {peer: [] for peer in PEERS} for case in CASES}
    with Redis(folder / "redis") as redis:
        prepare(folder, redis)
        for number in range(options.rounds):
            for case, (clients, same) in CASES.items():
                for peer in list(PEERS) if number % 2 == 0 else reversed(PEERS):
                    told[case][peer].append(measure(folder, redis, python, peer, clients, same, options.seconds))
    medians = {case: {peer: round(statistics.median(runs)) for peer, runs in peers.items()} for case, peers in told.items()}
    options.out.write_text(json.dumps({"pairs_per_second": medians, "runs": told, **figures.machine({})}, indent=1))
    show(medians)
    print(f"Written to {options.out}")


def prepare(folder: Path, redis: Redis) -> None:
    """The database that Furrow's tokens begin with."""
    command = [sys.executable, str(ROOT / "manage.py"), "migrate", "-v", "0"]
    subprocess.run(command, env=environ(folder, redis), check=True)


def environ(folder: Path, redis: Redis) -> dict[str, str]:
    """What Furrow's clients are told."""
    return {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'apps'}{os.pathsep}{ROOT / 'platform'}",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
        "REDIS_URL": redis.url,
        "FURROW_RUN": str(folder),
    }


def measure(folder: Path, redis: Redis, python: Path, peer: str, clients: int, same: bool, seconds: float) -> float:
    """Pairs a second, of all clients together."""
    program = Path(__file__).with_name("client.py")
    interpreter = sys.executable if peer == "furrow" else str(python)
    running = []
    for number in range(clients):
        command = [interpreter, str(program), peer, redis.url, "name" if same else f"name {number}", str(seconds)]
        environment = environ(folder, redis) if peer == "furrow" else None
        running.append(
            subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        )
    for one in running:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n", f"{peer} did not start"
    for one in running:
        assert one.stdin is not None
        one.stdin.write("go\n")
    return sum(int(one.communicate()[0]) for one in running) / seconds


def show(medians: dict[str, dict[str, int]]) -> None:
    """A table, as the documents have it."""
    print("| lock and unlock, pairs/s | " + " | ".join(PEERS) + " |")
    print("|---|" + "---|" * len(PEERS))
    for case, peers in medians.items():
        print(f"| {case} | " + " | ".join(f"{rate:,}" for rate in peers.values()) + " |")


if __name__ == "__main__":
    main()
