"""What a case measured, with the goal where it has one."""

import json
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """One number; ``at_least`` and ``at_most`` are the goal, if there is one."""

    metric: str
    value: float
    unit: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def reached(self) -> bool:
        """Whether the goal is reached; true without one."""
        return (self.at_least is None or self.value >= self.at_least) and (self.at_most is None or self.value <= self.at_most)

    @property
    def goal(self) -> str:
        """The goal in words; empty without one."""
        if self.at_least is not None:
            return f"≥ {self.at_least:g}"
        return "" if self.at_most is None else f"≤ {self.at_most:g}"


def machine(versions: dict[str, str]) -> dict[str, Any]:
    """What a reader needs to know of where the figures come from."""
    return {
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "versions": {"Python": platform.python_version(), **versions},
    }


def write(path: Path, about: dict[str, Any], cases: dict[str, list[Figure]]) -> None:
    """One JSON object: the machine, and the figures of each case."""
    told = {name: [{**asdict(figure), "reached": figure.reached} for figure in figures] for name, figures in cases.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**about, "cases": told}, indent=1) + "\n")


def show(cases: dict[str, list[Figure]]) -> None:
    """A table on the terminal."""
    table = Table("case", "metric", "value", "unit", "goal", "")
    for name, figures in cases.items():
        for figure in figures:
            verdict = ("reached" if figure.reached else "MISSED") if figure.goal else ""
            table.add_row(name, figure.metric, f"{figure.value:,.4g}", figure.unit, figure.goal, verdict)
    Console(width=140).print(table)
