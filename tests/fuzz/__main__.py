"""Fuzz one entrance, or all in turn, for a time: ``python -m tests.fuzz [ENTRANCE ...] --minutes 60``."""

import argparse
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
ENTRANCES = sorted(path.stem.removeprefix("test_") for path in HERE.glob("test_*.py"))


def main() -> int:
    """Run rounds, each with a seed of its own; 1 after the first that fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("entrances", nargs="*", metavar="ENTRANCE", help=f"{', '.join(ENTRANCES)}; without any: all")
    parser.add_argument("--minutes", type=float, default=5.0)
    given = parser.parse_args()
    if unknown := set(given.entrances) - set(ENTRANCES):
        parser.error(f"there is no entrance {', '.join(sorted(unknown))}; there are {', '.join(ENTRANCES)}")
    files = [str(HERE / f"test_{name}.py") for name in given.entrances or ENTRANCES]
    end, rounds = time.monotonic() + 60 * given.minutes, 0
    while time.monotonic() < end:
        seed = secrets.randbelow(2**32)
        command = [sys.executable, "-m", "pytest", "-q", "-x", "--tb=short", f"--hypothesis-seed={seed}", *files]
        done = subprocess.run(command, env={**os.environ, "FURROW_FUZZ": "1"}, capture_output=True, text=True)
        rounds += 1
        if done.returncode:
            print(f"{done.stdout}{done.stderr}\nRound {rounds} failed; again: FURROW_FUZZ=1 {' '.join(command[1:])}")
            return 1
        print(f"round {rounds}, seed {seed}: {done.stdout.strip().splitlines()[-1]}", flush=True)
    print(f"{rounds} rounds of {', '.join(given.entrances or ENTRANCES)}: nothing was found.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
