"""Add up measurements to a report of bounded size. The same measurements give the same report, in whatever order they come."""

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: Entries of each list in a report. With texts of at most :data:`MAX_TEXT` characters, and twelve bytes for the worst of them
#: in JSON, a report cannot reach a result's limit of 1 MiB.
MAX_PACKAGES, MAX_FUNCTIONS, MAX_GROUPS, MAX_PATHS, MAX_REASONS, MAX_EXAMPLES, MAX_SKIPPED = 100, 10, 20, 5, 12, 5, 20
MAX_TEXT = 200

_SUMS = ("bytes", "lines", "code", "comment", "docstring", "blank", "functions", "classes", "complexity")


@dataclass(slots=True)
class Sums:
    """The sums over some files."""

    files: int = 0
    failed: int = 0
    max_complexity: int = 0
    totals: Counter[str] = field(default_factory=Counter)

    def add(self, measured: Mapping[str, Any]) -> None:
        """Add one file's measurement."""
        self.files += 1
        self.max_complexity = max(self.max_complexity, measured["max_complexity"])
        self.totals.update({name: measured[name] for name in _SUMS})

    def row(self) -> dict[str, Any]:
        """As JSON; ``mean_complexity`` is per function."""
        counts = {name: self.totals[name] for name in _SUMS if name != "complexity"}
        mean = self.totals["complexity"] / (self.totals["functions"] or 1)
        return {
            "files": self.files,
            "failed": self.failed,
            **counts,
            "mean_complexity": round(mean, 2),
            "max_complexity": self.max_complexity,
        }


class Tally:
    """Takes measurements and failures one at a time; keeps sums, not files."""

    def __init__(self) -> None:
        self._all = Sums()
        self._packages: dict[str, Sums] = {}
        self._functions: list[tuple[int, str, int, str]] = []
        self._paths: dict[str, list[str]] = {}
        self._sizes: dict[str, int] = {}
        self._reasons: dict[str, list[tuple[str, str]]] = {}

    def add(self, path: str, package: str, measured: Mapping[str, Any]) -> None:
        """Take what :func:`tasks.source.measurement.measure_file` found in a file."""
        self._all.add(measured)
        self._of(package).add(measured)
        named = ((-f["complexity"], path, f["line"], f["name"]) for f in measured["most_complex"])
        self._functions = heapq.nsmallest(MAX_FUNCTIONS, [*self._functions, *named])
        if measured["bytes"]:
            self._paths.setdefault(measured["sha256"], []).append(path)
            self._sizes[measured["sha256"]] = measured["bytes"]

    def fail(self, path: str, package: str, reason: str, error: str) -> None:
        """Take a file that could not be measured: why in a few words, and the error's text."""
        self._all.failed += 1
        self._of(package).failed += 1
        self._reasons.setdefault(reason, []).append((path, error))

    def _of(self, package: str) -> Sums:
        return self._packages.setdefault(package, Sums())

    def report(self, skipped: Sequence[str] = (), skipped_more: int = 0) -> dict[str, Any]:
        """The report, as JSON: at most so many entries of each list, and under ``cut`` how many more there were.

        ``total`` and each of ``packages`` (most lines first) have the same numbers. ``most_complex`` are functions,
        ``identical`` are groups of files with the same content (empty files are not compared), ``failures`` have a
        ``reason``, a ``count`` and ``examples``; ``skipped`` are names that did not become jobs, ``skipped_more`` of them
        not given here.
        """
        packages = sorted(self._packages.items(), key=lambda item: (-item[1].totals["lines"], item[0]))
        groups = sorted(
            (-self._sizes[digest] * (len(paths) - 1), sorted(paths), digest)
            for digest, paths in self._paths.items()
            if len(paths) > 1
        )
        failures = sorted(self._reasons.items(), key=lambda item: (-len(item[1]), item[0]))
        return {
            "total": self._all.row(),
            "packages": [{"package": clip(name), **sums.row()} for name, sums in packages[:MAX_PACKAGES]],
            "most_complex": [
                {"name": clip(name), "path": clip(path), "line": line, "complexity": -negative}
                for negative, path, line, name in self._functions
            ],
            "identical": [self._group(digest, paths) for _, paths, digest in groups[:MAX_GROUPS]],
            "failures": [_failure(reason, cases) for reason, cases in failures[:MAX_REASONS]],
            "skipped": [clip(text) for text in skipped[:MAX_SKIPPED]],
            "cut": {
                "packages": max(0, len(packages) - MAX_PACKAGES),
                "identical": max(0, len(groups) - MAX_GROUPS),
                "failures": max(0, len(failures) - MAX_REASONS),
                "skipped": skipped_more + max(0, len(skipped) - MAX_SKIPPED),
            },
        }

    def _group(self, digest: str, paths: list[str]) -> dict[str, Any]:
        shown = [clip(path) for path in paths[:MAX_PATHS]]
        return {"files": len(paths), "bytes": self._sizes[digest], "sha256": digest, "paths": shown}


def _failure(reason: str, cases: list[tuple[str, str]]) -> dict[str, Any]:
    examples = [{"path": clip(path), "error": clip(error)} for path, error in sorted(cases)[:MAX_EXAMPLES]]
    return {"reason": clip(reason), "count": len(cases), "examples": examples}


def clip(text: str) -> str:
    """The text, its middle left out when it is longer than :data:`MAX_TEXT` characters: both ends of a path matter."""
    half = MAX_TEXT // 2
    return text if len(text) <= MAX_TEXT else f"{text[: half - 1]}…{text[-half:]}"
