"""Medians, the JSON file, the table and the ratios that Furrow wants to reach."""

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from rich.console import Console
from rich.table import Table

from benchmarks import catalogue


class Row(TypedDict):
    """One line of the JSON file."""

    peer: str
    metric: str
    unit: str
    median: float
    min: float
    max: float
    runs: int


@dataclass(frozen=True)
class Goal:
    """A ratio of one of our medians to a peer's."""

    metric: str
    ours: str
    peer: str
    ratio: float
    #: For latencies: at most so much of the peer's.
    at_most: bool = False


GOALS = [
    Goal("drain", "furrow", "celery-early", 2.5),
    Goal("drain", "furrow-no-events", "celery-early", 3.5),
    Goal("drain", "furrow", "celery-results", 40),
    Goal("end_to_end", "furrow", "celery-late", 2.5),
    Goal("end_to_end", "furrow", "celery-results", 25),
    Goal("submit_bulk", "furrow", "celery-early", 8),
    Goal("latency_p50", "furrow", "celery-results", 0.5, at_most=True),
    Goal("latency_p99", "furrow", "celery-results", 0.5, at_most=True),
]
for _peer in catalogue.OTHERS:
    if _peer.name != "graphile-worker-local-queue":
        GOALS.append(Goal("drain", "furrow", _peer.name, 1))
    GOALS.append(Goal("end_to_end", "furrow", _peer.name, 1))
GOALS.append(Goal("latency_p50", "furrow", "procrastinate", 1, at_most=True))

#: Of metrics that begin so; all others count jobs/s.
_UNITS = {
    "latency": "ms",
    "memory": "MiB",
    "database": "MiB",
    "cpu_idle": "% of a core",
    "cpu": "µs/job",
    "transactions": "1/s",
}


def unit(metric: str) -> str:
    """What a metric counts."""
    return next((unit for start, unit in _UNITS.items() if metric.startswith(start)), "jobs/s")


def rows(results: Iterable[tuple[str, dict[str, float]]]) -> list[Row]:
    """The results of all trials (peer, metric → value), summed up."""
    collected: dict[tuple[str, str], list[float]] = defaultdict(list)
    for peer, values in results:
        for metric, value in values.items():
            collected[peer, metric].append(value)
    return [
        Row(
            peer=peer,
            metric=metric,
            unit=unit(metric),
            median=round(statistics.median(values), 3),
            min=round(min(values), 3),
            max=round(max(values), 3),
            runs=len(values),
        )
        for (peer, metric), values in collected.items()
    ]


def write(path: Path, given: list[Row]) -> None:
    """As JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps(given, indent=1) + "\n")
    new.replace(path)


def reached(given: list[Row]) -> list[tuple[Goal, float, bool]]:
    """Each goal whose two sides were measured, with the ratio, and whether that is enough."""
    medians = {(row["peer"], row["metric"]): row["median"] for row in given}
    found = []
    for goal in GOALS:
        ours, theirs = medians.get((goal.ours, goal.metric)), medians.get((goal.peer, goal.metric))
        if ours and theirs:
            ratio = ours / theirs
            found.append((goal, ratio, ratio <= goal.ratio if goal.at_most else ratio >= goal.ratio))
    return found


def number(value: float) -> str:
    """With three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def show(given: list[Row]) -> None:
    """Both tables, on the terminal."""
    console = Console()
    console.width = max(100, console.width)
    table = Table("metric", "peer", "unit", title="results")
    for name in ("median", "min", "max", "runs"):
        table.add_column(name, justify="right")
    for metric in dict.fromkeys(row["metric"] for row in given):
        for row in (row for row in given if row["metric"] == metric):
            figures = (number(row["median"]), number(row["min"]), number(row["max"]), str(row["runs"]))
            table.add_row(metric, row["peer"], row["unit"], *figures)
        table.add_section()
    console.print(table)
    goals = Table("metric", "ours", "against", "goal", "measured", "", title="ratios")
    for goal, ratio, met in reached(given):
        sign = "≤" if goal.at_most else "≥"
        goals.add_row(
            goal.metric, goal.ours, goal.peer, f"{sign} {goal.ratio:g} x", f"{ratio:.2f} x", "reached" if met else "missed"
        )
    console.print(goals)
