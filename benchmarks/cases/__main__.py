"""``python -m benchmarks.cases [name …] [--scale 0.1]``: run them, write the JSON file, print the table."""

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "apps"), str(ROOT / "platform")]

from deploy import files, processes  # noqa: E402

from benchmarks.cases import events, figures, finished, limits, locked_row, open_transaction, pending, scheduled, workflows  # noqa: E402
from benchmarks.cases.bench import Bench  # noqa: E402
from benchmarks.cases.figures import Figure  # noqa: E402
from benchmarks.peer import mark  # noqa: E402
from benchmarks.servers import Servers  # noqa: E402
from benchmarks.trial import say  # noqa: E402

CASES: dict[str, Callable[[Bench], list[Figure]]] = {
    "pending": pending.run,
    "scheduled": scheduled.run,
    "open_transaction": open_transaction.run,
    "finished": finished.run,
    "limits": limits.run,
    "locked_row": locked_row.run,
    "workflows": workflows.run,
    "events": events.run,
}


def main() -> None:
    """See the module. Ends with status 1 when a goal was missed at full scale."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cases", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(CASES)}; all of them without a name")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the jobs of a full run")
    parser.add_argument(
        "--folder", type=Path, default=ROOT / ".run" / "bench-cases", help="of the private servers and the logs"
    )
    parser.add_argument("--out", type=Path, default=ROOT / ".run" / "bench-cases.json", help="the JSON file")
    options = parser.parse_args()
    if unknown := set(options.names) - set(CASES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = options.folder.absolute()
    with files.locked(folder / "lock", wait=False) as free:
        if not free:
            sys.exit(f"These cases run already, in {folder}.")
        told, about = run(options.names or list(CASES), folder, options.scale)
    figures.write(options.out, {**about, "scale": options.scale}, told)
    figures.show(told)
    print(f"Written to {options.out}")
    if options.scale >= 1 and not all(figure.reached for case in told.values() for figure in case):
        sys.exit(1)


def run(names: list[str], folder: Path, scale: float) -> tuple[dict[str, list[Figure]], dict[str, object]]:
    """The figures of these cases, and the machine; whatever happens, nothing is left running."""
    processes.sweep(mark(folder))  # what a killed run has left
    servers, told = Servers(folder), {}
    try:
        servers.start()
        for name in names:
            say(name)
            bench = Bench(servers, folder, scale=scale)
            try:
                told[name] = CASES[name](bench)
            finally:
                bench.close()
        return told, figures.machine(servers.versions())
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        servers.stop()


if __name__ == "__main__":
    main()
