"""The machine that measured, and the part of ``docs/benchmarks.md`` that a run fills in."""

import datetime as dt
import json
import os
import platform
import statistics
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from benchmarks import plot
from benchmarks.peer import Peer
from benchmarks.report import Row, number, reached
from benchmarks.servers import Servers

BEGIN, END = "<!-- results: written by python -m benchmarks page -->", "<!-- end of results -->"
PICTURE = "images/benchmarks.svg"
_TABLES = {
    "No-op jobs": ("drain", "drain_pending", "end_to_end", "submit_one", "submit_bulk", "latency_p50", "latency_p99"),
    "Jobs that sleep": ("drain_1ms", "drain_20ms", "end_to_end_1ms", "end_to_end_20ms"),
    "Memory and disk": ("memory_pss", "memory_pss_process", "memory_pss_dispatcher", "database_mib_per_million"),
    "At idle": ("cpu_idle_worker", "cpu_idle_dispatcher", "transactions_idle"),
    "Processor": ("cpu_worker", "cpu_pool", "cpu_postgresql", "cpu_rabbitmq", "cpu_redis", "cpu_dispatcher"),
}
_OURS = ("celery", "kombu", "Django", "django_celery_results", "psycopg")


def machine(servers: Servers, peers: list[Peer], strangers: list[float], seconds: float) -> dict[str, Any]:
    """What a reader needs to know of a run; ``strangers``: the machine's load in percent just before each trial."""
    versions = {"Python": platform.python_version(), **servers.versions(), **{name: version(name) for name in _OURS}}
    for peer in peers:
        versions |= peer.versions
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "others_percent": round(statistics.mean(strangers)) if strangers else 0,
        "seconds": round(seconds),
        "versions": versions,
    }


def update(page: Path, rows: list[Row], about: dict[str, Any]) -> None:
    """Put a run's results between the marks of the page, and their picture beside it."""
    picture = page.parent / PICTURE
    picture.parent.mkdir(exist_ok=True)
    picture.write_text(plot.svg(rows))
    text = page.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    page.write_text(f"{before}{BEGIN}\n\n{_render(rows, about)}\n{END}{after}")


def load(path: Path) -> tuple[list[Row], dict[str, Any]]:
    """A run's results, and what is known of its machine."""
    return json.loads(path.read_text()), json.loads(about_path(path).read_text())


def about_path(path: Path) -> Path:
    """Where the machine is described: beside the results."""
    return path.with_suffix(".machine.json")


def _render(rows: list[Row], about: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {text}" for name, text in about["versions"].items())
    lines = [
        f"Measured on {about['date']}: {about['cores']} cores, {about['memory_gib']} GiB, {about['system']}; "
        f"{about['seconds']} s in all. Just before the trials, with nothing of the benchmark at work, other processes used "
        f"{about['others_percent']} % of the machine on average.",
        "",
        f"{versions}.",
        "",
        *(f"Left out: `{name}`, {_short(reason)}.\n" for name, reason in about.get("left_out", {}).items()),
        "| goal | against | at least | measured | |",
        "|---|---|---|---|---|",
    ]
    for goal, ratio, met in reached(rows):
        sign = "≤ " if goal.at_most else ""
        verdict = "reached" if met else "**missed**"
        lines.append(f"| {goal.metric}, {goal.ours} | {goal.peer} | {sign}{goal.ratio:g} x | {ratio:.2f} x | {verdict} |")
    lines += ["", f"![Jobs/s of all peers, drain and end to end]({PICTURE})"]
    for title, metrics in _TABLES.items():
        lines += _table(title, [metric for metric in metrics if any(row["metric"] == metric for row in rows)], rows)
    return "\n".join(lines) + "\n"


def _table(title: str, metrics: list[str], rows: list[Row]) -> list[str]:
    if not metrics:
        return []
    units = {row["metric"]: row["unit"] for row in rows}
    cells = {(row["peer"], row["metric"]): row for row in rows}
    lines = ["", f"### {title}", "", f"Median (minimum to maximum); runs: {_runs(rows)}.", ""]
    lines.append("| | " + " | ".join(f"{metric} ({units[metric]})" for metric in metrics) + " |")
    lines.append("|---" * (len(metrics) + 1) + "|")
    for peer in dict.fromkeys(row["peer"] for row in rows if row["metric"] in metrics):
        lines.append(f"| {peer} | " + " | ".join(_cell(cells.get((peer, metric))) for metric in metrics) + " |")
    return lines


def _short(reason: str) -> str:
    """The first line of why a peer was left out, without the path of its log."""
    return reason.splitlines()[0].split("; /")[0].rstrip(".")


def _runs(rows: list[Row]) -> str:
    counts = sorted({row["runs"] for row in rows})
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def _cell(row: Row | None) -> str:
    if row is None:
        return ""
    if row["runs"] == 1:
        return number(row["median"])
    return f"{number(row['median'])} ({number(row['min'])} to {number(row['max'])})"
