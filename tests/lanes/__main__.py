"""Run the lanes, and say how they ended."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.lanes import __doc__ as described
from tests.lanes.plan import DURATIONS, EVERYTHING, MARKS, ROOT, Lane, measured, plan, targets
from tests.lanes.recorder import recorded

RUN = ROOT / ".run"
#: pytest's exit code when no test was chosen: by marks or ``-k``, in this lane.
NO_TESTS = 5


def main() -> int:
    """The exit code: 0 when every test passed."""
    parser = argparse.ArgumentParser(prog="python -m tests.lanes", description=described, allow_abbrev=False)
    parser.add_argument("--record", action="store_true", help="write the seconds of each file to durations.json; with --all")
    parser.add_argument("--all", action="store_true", help="also what is left to CI: FURROW_TEST_ALL=1 says the same")
    given, rest = parser.parse_known_args()
    paths = [one for one in rest if not one.startswith("-") and Path(one.partition("::")[0]).exists()]
    options = [one for one in rest if one not in paths]
    # A file that somebody names runs as a whole.
    whole = bool(given.all or given.record or paths or os.environ.get("FURROW_TEST_ALL"))
    lanes = plan(targets(paths), measured()["all" if whole else "plain"])
    if not lanes:
        parser.error(f"there are no tests in {' '.join(paths)}")
    with _started(lanes, EVERYTHING if whole else MARKS, options) as started:
        codes = _wait(started)
    if given.record:
        _record(lanes)
    if set(codes) == {NO_TESTS}:
        print("There is no test of this name.")
    return 0 if set(codes) <= {0, NO_TESTS} and 0 in codes else 1


Started = dict[str, tuple[Lane, "subprocess.Popen[bytes]"]]


@contextmanager
def _started(lanes: list[Lane], marks: dict[str, str], options: list[str]) -> Iterator[Started]:
    """The lanes, running. Interrupted, they end in order and take their servers with them."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    RUN.mkdir(exist_ok=True)
    started: Started = {}
    try:
        for lane in lanes:
            print(f"{lane.name}: about {lane.seconds:.0f} s, {_log(lane).relative_to(ROOT)}", flush=True)
            started[lane.name] = (lane, _start(lane, marks[lane.database], options))
        yield started
    finally:
        for _, process in started.values():
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for _, process in started.values():
            process.wait()


def _start(lane: Lane, marks: str, options: list[str]) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "pytest", "-p", "tests.lanes.recorder", "-m", marks, *lane.targets, *options]
    recorded(_folder(lane)).unlink(missing_ok=True)
    env = {**os.environ, "FURROW_TEST_RUN": str(_folder(lane)), "DATABASE": "sqlite" if lane.database == "sqlite" else ""}
    with _log(lane).open("wb") as log:
        return subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)


def _wait(started: Started) -> list[int]:
    """The exit codes; each lane tells as it ends: all that it printed if it failed or runs alone, else the last line."""
    began, codes, left = time.monotonic(), [], dict(started)
    while left:
        for name, (lane, process) in list(left.items()):
            try:
                code = process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
            text = _log(lane).read_text(errors="replace").rstrip()
            brief = code in (0, NO_TESTS) and len(started) > 1
            print(
                f"\n{name} ended after {time.monotonic() - began:.0f} s:",
                text.rpartition("\n")[2] if brief else text,
                flush=True,
            )
            codes.append(code)
            del left[name]
    return codes


def _record(lanes: list[Lane]) -> None:
    """Write what the files took; those that did not run keep their seconds, those that are gone are left out."""
    known = measured()
    for lane in lanes:
        with suppress(FileNotFoundError):  # it did not get so far
            for which, seconds in json.loads(recorded(_folder(lane)).read_text()).items():
                rounded = {file: round(took, 1) for file, took in seconds.items()}
                known[which].setdefault(lane.database, {}).update(rounded)
    kept = {
        which: {
            database: {file: of[file] for file in sorted(of) if (ROOT / file).exists()} for database, of in databases.items()
        }
        for which, databases in known.items()
    }
    DURATIONS.write_text(json.dumps(kept, indent=1) + "\n")


def _folder(lane: Lane) -> Path:
    return RUN / f"test-{lane.name}"


def _log(lane: Lane) -> Path:
    return RUN / f"test-{lane.name}.log"


if __name__ == "__main__":
    sys.exit(main())
