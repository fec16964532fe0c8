"""The table of docs/versions.md: one row a Debian, written by the run that tried it."""

import datetime
import re
from collections.abc import Mapping
from pathlib import Path

COLUMNS = ("Debian", "Python", "packages", "PostgreSQL", "RabbitMQ", "Redis")
_BEGIN, _END = "<!-- rows: python -m tests.versions -->", "<!-- end of rows -->"


def record(page: Path, versions: Mapping[str, str], found: Mapping[str, tuple[bool, str]], day: datetime.date) -> None:
    """Write a run's row in place of the one of the same suite; a check that did not run keeps what the row said of it."""
    before, begin, rest = page.read_text().partition(_BEGIN)
    rows, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"{page} lacks the lines {_BEGIN} and {_END}, between which its rows stand.")
    suite = re.sub(r".*\((\w+)\)", r"\1", versions["Debian"])
    kept, results = [], {}
    for row in rows.strip().splitlines()[2:]:
        if f"({suite})" in row:
            told = row.strip("| ").split(" | ")[-1].rpartition(" (")[0]
            results = dict(one.split(": ", 1) for one in told.split("; "))
        else:
            kept.append(row)
    results |= {name: last if passed else f"**{last}**" for name, (passed, last) in found.items()}
    told = "; ".join(f"{name}: {last}" for name, last in results.items())
    kept.append("| " + " | ".join([*(versions[column] for column in COLUMNS), f"{told} ({day.isoformat()})"]) + " |")
    head = ["| " + " | ".join([*COLUMNS, "found"]) + " |", "|" + "---|" * (len(COLUMNS) + 1)]
    page.write_text("\n".join([before + _BEGIN, "", *head, *sorted(kept), "", _END + after]))
