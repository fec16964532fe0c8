"""A census report as tables for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from furrow.plural import counted
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tasks.management.display import write

#: Packages that the table shows; the report has more.
SHOWN_PACKAGES = 15
#: Groups of identical files, and examples of each reason of failure, that are shown.
SHOWN_GROUPS, SHOWN_EXAMPLES = 5, 3

_WIDE = (
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
_NARROW = ("files", "failed", "lines", "functions", "mean_complexity", "max_complexity")
#: Columns of the terminal that the wide table needs.
_WIDTH = 120
_TITLES = {"mean_complexity": "mean cx", "max_complexity": "max cx"}
_LOOK: dict[str, Any] = {"box": box.SIMPLE_HEAD, "title_justify": "left"}


def print_report(console: Console, report: Mapping[str, Any]) -> None:
    """Print the packages, the most complex functions, the identical files, the failures."""
    wide = console.width >= _WIDTH
    console.print(packages(report, _WIDE if wide else _NARROW))
    console.print(functions(report, room=68 if wide else 34))
    _identical(console, report)
    _failures(console, report)
    if report["skipped"]:
        write(console, [f"Passed over ({len(report['skipped']) + report['cut']['skipped']:,}):"])
        write(console, [f"  {text}" for text in report["skipped"]])


def packages(report: Mapping[str, Any], numbers: Sequence[str] = _WIDE) -> Table:
    """The largest packages with these numbers, how many more there are, and the total."""
    table = Table(title="Packages by lines (cx: cyclomatic complexity of a function)", **_LOOK)
    table.add_column("package", overflow="fold")
    for name in numbers:
        table.add_column(_TITLES.get(name, name), justify="right", no_wrap=True)
    for row in report["packages"][:SHOWN_PACKAGES]:
        table.add_row(Text(row["package"]), *_cells(row, numbers))
    more = len(report["packages"]) + report["cut"]["packages"] - SHOWN_PACKAGES
    if more > 0:
        table.add_row(Text(f"and {more:,} more"))
    table.add_section()
    table.add_row(Text("all"), *_cells(report["total"], numbers))
    return table


def functions(report: Mapping[str, Any], room: int = 68) -> Table:
    """The most complex functions; ``room`` is the length to which names and paths are cut."""
    table = Table(title="Most complex functions", **_LOOK)
    table.add_column("cx", justify="right")
    table.add_column("function")
    table.add_column("where", overflow="fold")
    for row in report["most_complex"]:
        table.add_row(
            str(row["complexity"]), Text(_end(row["name"], room // 2 + 10)), Text(f"{_end(row['path'], room)}:{row['line']}")
        )
    return table


def _identical(console: Console, report: Mapping[str, Any]) -> None:
    groups = report["identical"]
    if not groups:
        return
    write(console, [f"Identical files, {counted(len(groups) + report['cut']['identical'], 'group')}; the most wasteful:"])
    for group in groups[:SHOWN_GROUPS]:
        more = f" and {group['files'] - 2:,} more" if group["files"] > 2 else ""
        write(console, [f"  {group['files']:,} x {counted(group['bytes'], 'byte')}: {', '.join(group['paths'][:2])}{more}"])


def _failures(console: Console, report: Mapping[str, Any]) -> None:
    for failure in report["failures"]:
        write(console, [f"Not measured, {failure['reason']}: {failure['count']:,}"])
        write(console, [f"  {example['error'] or example['path']}" for example in failure["examples"][:SHOWN_EXAMPLES]])


def _end(text: str, length: int) -> str:
    """The end of a text: what tells apart paths and qualified names."""
    return text if len(text) <= length else f"…{text[-length:]}"


def _cells(row: Mapping[str, Any], numbers: Sequence[str]) -> list[str]:
    return [f"{row[name]:,}" for name in numbers]
