"""Which file of tests runs in which lane."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DURATIONS = Path(__file__).with_name("durations.json")
#: How many lanes run at once. Most of a test is waiting, for processes that start and for leases that end.
LANES = 7
#: Less than this (seconds) is not worth a second set of servers.
WORTH_A_LANE = 60.0
#: What a file is taken to last before it was measured, in seconds.
UNKNOWN = 5.0
#: These share what is made once: the browser; the wheel and its environment.
TOGETHER = ("tests/browser/", "tests/shop/")
#: What each database runs, of a file. Continuous integration: everything, on SQLite of what touches the engine.
EVERYTHING = {"postgresql": "", "sqlite": "engine"}
#: ``make test``: no test that shows again, in another way, what one of these does; on SQLite, of those that start processes of
#: their own, only the ones that SQL or its write lock decides.
MARKS = {"postgresql": "not thorough", "sqlite": "engine and not thorough and (not bare or dialect)"}

Durations = Mapping[str, Mapping[str, float]]


@dataclass
class Lane:
    """A pytest that is to run, on this database; ``targets`` as pytest takes them."""

    name: str
    database: str
    targets: list[str] = field(default_factory=list)
    seconds: float = 0


def measured() -> dict[str, dict[str, dict[str, float]]]:
    """The seconds of each file, by database: of all its tests, and of those that ``make test`` runs (``plain``)."""
    found: dict[str, dict[str, dict[str, float]]] = json.loads(DURATIONS.read_text())
    return found


def suites(root: Path = ROOT) -> list[str]:
    """All files of tests, below the root."""
    return sorted(path.relative_to(root).as_posix() for path in (root / "tests").rglob("test_*.py"))


def databases(file: str, root: Path = ROOT) -> list[str]:
    """Where a file runs: on SQLite only if it has tests of the engine."""
    return ["postgresql", *(["sqlite"] if "mark.engine" in (root / file).read_text() else [])]


def targets(paths: Iterable[str], root: Path = ROOT) -> dict[str, list[str]]:
    """What pytest is to run of each file. ``paths``: files, folders or single tests; all files if there are none."""
    everything, found = suites(root), dict[str, list[str]]()
    for path in paths or [str(root / "tests")]:
        name = Path(os.path.relpath(path.partition("::")[0], root)).as_posix()
        for file in everything:
            if file == name or file.startswith(f"{name}/"):
                found.setdefault(file, []).append(path if "::" in path else file)
    return found


def plan(chosen: Mapping[str, list[str]], durations: Durations, root: Path = ROOT) -> list[Lane]:
    """The lanes: the longest files first, each to the lane that has the least to do."""
    groups: dict[str, dict[str, list[str]]] = {}
    for file in chosen:
        for database in databases(file, root):
            group = next((folder for folder in TOGETHER if file.startswith(folder)), file)
            groups.setdefault(database, {}).setdefault(group, []).append(file)
    lasting = {
        database: {group: sum(durations.get(database, {}).get(file, UNKNOWN) for file in files) for group, files in of.items()}
        for database, of in groups.items()
    }
    lanes = []
    for database, count in _counts(lasting).items():
        of = [Lane(f"{database}-{number}", database) for number in range(1, count + 1)]
        for group, seconds in sorted(lasting[database].items(), key=lambda one: (-one[1], one[0])):
            lane = min(of, key=lambda lane: lane.seconds)
            lane.seconds += seconds
            lane.targets += [target for file in groups[database][group] for target in chosen[file]]
        lanes += of
    return lanes


def _counts(lasting: Mapping[str, Mapping[str, float]]) -> dict[str, int]:
    """How many lanes each database gets: one, and the others where a lane has most to do."""
    counts = dict.fromkeys(lasting, 1)
    while counts and sum(counts.values()) < LANES:
        each = {database: sum(lasting[database].values()) / counts[database] for database in counts}
        longest = max(each, key=lambda database: each[database])
        if each[longest] < WORTH_A_LANE or counts[longest] >= len(lasting[longest]):
            break
        counts[longest] += 1
    return counts
