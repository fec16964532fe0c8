"""``python -m benchmarks quick | full | smoke``: run the peers in turn, write the JSON file, print the table.

``python -m benchmarks page`` puts the results of the last full run into ``docs/benchmarks.md``.
"""

import argparse
import json
import signal
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "apps"), str(ROOT / "platform")]

from deploy import files, processes  # noqa: E402

from benchmarks import catalogue, page, report, trial  # noqa: E402
from benchmarks.meter import Meter  # noqa: E402
from benchmarks.peer import Peer, environment, mark  # noqa: E402
from benchmarks.programs import ProgramFailed  # noqa: E402
from benchmarks.servers import Servers  # noqa: E402


@dataclass(frozen=True)
class Mode:
    """How much is measured."""

    peers: list[Peer]
    file: str
    rounds: int
    #: Share of the jobs that the catalogue gives each peer.
    scale: float
    #: Jobs that sleep for so many milliseconds are measured as well.
    works: tuple[int, ...]
    #: Seconds for which some peers are watched while they have nothing to do.
    idle: float
    #: Seconds; no round begins that would last longer.
    budget: float


_ALL = catalogue.OURS + catalogue.CELERY + catalogue.OTHERS
MODES = {
    "quick": Mode(catalogue.OURS + catalogue.CELERY, "bench-quick.json", 3, 1.0, (), 0, 170),
    "full": Mode(_ALL, "bench.json", 3, 1.0, (1, 20), 20, 1500),
    "smoke": Mode([catalogue.OURS[0], catalogue.CELERY[0]], "bench-smoke.json", 1, 0.02, (20,), 1, 600),
}


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("mode", choices=[*MODES, "page"])
    parser.add_argument("--peers", help="only these, separated by commas")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--folder", type=Path, default=ROOT / ".run" / "bench", help="of the private servers and the logs")
    parser.add_argument("--out", type=Path, help="the JSON file")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if options.mode == "page":
        page.update(ROOT / "docs" / "benchmarks.md", *page.load(options.out or ROOT / ".run" / MODES["full"].file))
        return
    mode = MODES[options.mode]
    peers = catalogue.chosen(options.peers and options.peers.split(","), mode.peers)
    mode = replace(mode, peers=peers, rounds=options.rounds or mode.rounds)
    out = options.out or ROOT / ".run" / mode.file
    folder = options.folder.absolute()
    with files.locked(folder / "lock", wait=False) as free:
        if not free:
            sys.exit(f"Another benchmark runs in {folder}.")
        rows, about = run(mode, folder)
    report.write(out, rows)
    page.about_path(out).write_text(json.dumps(about, indent=1) + "\n")
    report.show(rows)
    print(f"Written to {out}")
    for name, reason in about["left_out"].items():
        trial.say(f"Left out: {name}: {reason}")
    if any(peer.name in about["left_out"] for peer in catalogue.OURS):
        sys.exit("Furrow itself was not measured to the end.")


def run(mode: Mode, folder: Path) -> tuple[list[report.Row], dict[str, Any]]:
    """All rounds, every other one in reverse order, and about the run; whatever happens, nothing is left running."""
    servers = Servers(folder)
    contestants: list[trial.Contestant] = []
    results: list[tuple[str, dict[str, float]]] = []
    strangers: list[float] = []
    left_out: dict[str, str] = {}
    begin = time.monotonic()
    processes.sweep(mark(folder))  # what a killed run has left
    try:
        servers.start()
        meter = Meter(servers)
        for peer in mode.peers:
            try:
                contestants.append(trial.Contestant(peer, environment(peer, servers, folder), folder, meter))
                contestants[-1].client.call("prepare")
            except ProgramFailed as error:
                left_out[peer.name] = str(error)
        for number in range(mode.rounds):
            contestants = _still(contestants, left_out)
            started = time.monotonic()
            for contestant in contestants if number % 2 == 0 else reversed(contestants):
                strangers.append(psutil.cpu_percent(0.3))
                before, name = time.monotonic(), contestant.peer.name
                try:
                    results.append((name, contestant.trial(scale=mode.scale, works=mode.works, idle=mode.idle)))
                except (ProgramFailed, psutil.Error) as error:
                    left_out[name] = str(error)
                trial.say(f"round {number + 1}: {name} ({time.monotonic() - before:.0f} s) {left_out.get(name, '')}")
            if time.monotonic() - begin + (time.monotonic() - started) > mode.budget:
                break
        about = page.machine(servers, mode.peers, strangers, time.monotonic() - begin) | {"left_out": left_out}
    finally:
        for signal_number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signal_number, signal.SIG_IGN)
        for contestant in contestants:
            contestant.close()
        servers.stop()
    return report.rows(results), about


def _still(contestants: list[trial.Contestant], left_out: dict[str, str]) -> list[trial.Contestant]:
    """Those that go on; a peer that failed is out, and its rounds so far count."""
    for contestant in contestants:
        if contestant.peer.name in left_out:
            contestant.close()
    return [contestant for contestant in contestants if contestant.peer.name not in left_out]


if __name__ == "__main__":
    main()
