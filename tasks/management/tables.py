"""A census report as tables for people."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tasks.management.display import write

#: Packages that the table shows; the report has more.
SHOWN_PACKAGES = 15
#: Groups of identical files, and examples of each reason of failure, that are shown.
SHOWN_GROUPS, SHOWN_EXAMPLES = 5, 3

_NUMBERS = (
    "files",
    "failed",
    "lines",
    "code",
    "comment",
    "docstring",
    "functions",
    "classes",
    "mean_complexity",
    "max_complexity",
)
_TITLES = {"mean_complexity": "mean cx", "max_complexity": "max cx"}
_LOOK: dict[str, Any] = {"box": box.SIMPLE_HEAD, "title_justify": "left"}


def print_report(console: Console, report: Mapping[str, Any]) -> None:
    """Print the packages, the most complex functions, the identical files, the failures."""
    console.print(packages(report))
    console.print(functions(report))
    _identical(console, report)
    _failures(console, report)
    if report["skipped"]:
        write(console, [f"Passed over ({len(report['skipped']) + report['cut']['skipped']:,}):"])
        write(console, [f"  {text}" for text in report["skipped"]])


def packages(report: Mapping[str, Any]) -> Table:
    """The largest packages, how many more there are, and the total."""
    table = Table(title="Packages by lines (cx: McCabe's cyclomatic complexity of a function)", **_LOOK)
    table.add_column("package")
    for name in _NUMBERS:
        table.add_column(_TITLES.get(name, name), justify="right")
    for row in report["packages"][:SHOWN_PACKAGES]:
        table.add_row(Text(row["package"]), *_cells(row))
    more = len(report["packages"]) + report["cut"]["packages"] - SHOWN_PACKAGES
    if more > 0:
        table.add_row(Text(f"and {more:,} more"))
    table.add_section()
    table.add_row(Text("all"), *_cells(report["total"]))
    return table


def functions(report: Mapping[str, Any]) -> Table:
    """The most complex functions."""
    table = Table(title="Most complex functions", **_LOOK)
    table.add_column("cx", justify="right")
    table.add_column("function")
    table.add_column("where", overflow="fold")
    for row in report["most_complex"]:
        table.add_row(str(row["complexity"]), Text(row["name"]), Text(f"{row['path']}:{row['line']}"))
    return table


def _identical(console: Console, report: Mapping[str, Any]) -> None:
    groups = report["identical"]
    if not groups:
        return
    write(console, [f"Identical files, {len(groups) + report['cut']['identical']:,} groups; the most wasteful:"])
    for group in groups[:SHOWN_GROUPS]:
        more = f" and {group['files'] - 2:,} more" if group["files"] > 2 else ""
        write(console, [f"  {group['files']:,} x {group['bytes']:,} bytes: {', '.join(group['paths'][:2])}{more}"])


def _failures(console: Console, report: Mapping[str, Any]) -> None:
    for failure in report["failures"]:
        write(console, [f"Not measured, {failure['reason']}: {failure['count']:,}"])
        write(console, [f"  {example['error'] or example['path']}" for example in failure["examples"][:SHOWN_EXAMPLES]])


def _cells(row: Mapping[str, Any]) -> list[str]:
    return [f"{row[name]:,}" for name in _NUMBERS]
