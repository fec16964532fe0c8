"""Many jobs of one kind from a table: CSV with a header of argument names, or one JSON object a line.

The whole table is checked; one bad cell refuses it, and every bad cell is named by its line and column. A cell means what the
same text means in the form; lists and objects are written as JSON; an empty cell is the argument's default.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ValidationError

from furrow.admin.forms.arguments import argument_fields
from furrow.admin.forms.fields import OMIT, ArgumentField
from furrow.admin.forms.file_field import FileField
from furrow.admin.forms.row_field import missing_rows
from furrow.errors import ArgumentError, did_you_mean
from furrow.kinds.kind import Kind
from furrow.plural import counted

#: The most that one table holds: submitting so many takes a few seconds, and must end within a web request.
MAX_ROWS, MAX_BYTES = 20_000, 10 * 1024 * 1024
_DELIMITERS = ",;\t"


@dataclass(frozen=True)
class Problem:
    """What is wrong with a cell; ``line`` is 0 for the whole table, ``column`` is empty for a whole line."""

    line: int
    column: str
    text: str

    def __str__(self) -> str:
        place = ", ".join(part for part in (f"line {self.line}" if self.line else "", self.column) if part)
        return f"{place}: {self.text}" if place else self.text


@dataclass
class Table:
    """What was read: ``given``, as :func:`furrow.submission.submit.submit_many` takes it; ``rows``, as it will stand in the
    jobs. Both are of no use while there are problems."""

    columns: list[str] = field(default_factory=list)
    given: list[dict[str, Any]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def refuse(self, line: int, column: str, text: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(line, column, text))


def read_csv(kind: Kind, content: bytes, user: Any, *, secrets: bool = False) -> Table:
    """Read and check a CSV table; separated by commas, semicolons or tabs, whichever the first line has most of.

    Args:
        user: must be allowed to see the rows of models that the table names; ``None``: whoever has a shell here.
        secrets: secret arguments may be columns.
    """
    table = Table()
    text = _decoded(content, table)
    if not table.problems:
        _read_cells(kind, text, secrets, table)
    return _checked(kind, user, table)


def read_json_lines(kind: Kind, content: bytes, user: Any) -> Table:
    """Read and check a table with a JSON object a line."""
    table = Table(columns=list(kind.arguments.names))
    for number, line in enumerate(_decoded(content, table).split("\n"), 1):
        if line.strip():
            row = _object(line, number, table)
            if row is not None and _has_room(table):
                _add(kind, row, number, table)
    return _checked(kind, user, table)


# --- Steps ------------------------------------------------------------------------------------------------------------


def _decoded(content: bytes, table: Table) -> str:
    """The text: UTF-8, or UTF-16 with its mark at the beginning, as spreadsheets write it."""
    if len(content) > MAX_BYTES:
        table.refuse(0, "", f"the table has {len(content):,} bytes, the limit is {MAX_BYTES:,}: split it")
        return ""
    wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        table.refuse(
            line, "", f"the byte {content[error.start]:#04x} is not UTF-{16 if wide else 8}: save the table as CSV UTF-8"
        )
        return ""


def _read_cells(kind: Kind, text: str, secrets: bool, table: Table) -> None:
    records = _records(text, table)
    line, header = next(records, (1, []))
    fields = argument_fields(kind)
    table.columns = [name.strip() for name in header]
    _check_header(kind, fields, line, secrets, table)
    if table.problems:
        return
    for line, cells in records:
        if len(cells) != len(header):
            table.refuse(
                line,
                "",
                f"has {counted(len(cells), 'cell')}, and the header has {len(header)}: quote cells that hold a separator",
            )
        elif _has_room(table):
            _read_row(kind, fields, line, cells, table)


def _records(text: str, table: Table) -> Iterator[tuple[int, list[str]]]:
    """The records that are not empty, each with the line it begins on."""
    csv.field_size_limit(MAX_BYTES)
    first = text.lstrip("\r\n").split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    begin = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield begin, cells
            begin = reader.line_num + 1
    except csv.Error as error:
        table.refuse(begin, "", f"cannot be read as CSV ({error}): a cell with quotes is quoted, and each quote in it doubled")


def _check_header(kind: Kind, fields: Mapping[str, ArgumentField], line: int, secrets: bool, table: Table) -> None:
    names = table.columns
    if not names:
        table.refuse(line, "", f"the table is empty: begin with the arguments' names, such as {','.join(fields) or 'a,b'}")
        return
    for name in dict.fromkeys(names):
        if name not in fields:
            table.refuse(line, name, f"is not an argument of {kind.name}: {did_you_mean(name, fields)}")
        elif names.count(name) > 1:
            table.refuse(line, name, "is there twice: keep one of the columns")
        elif isinstance(fields[name], FileField):
            table.refuse(line, name, "is a file, which no cell can hold: submit such jobs one by one")
        elif name in kind.arguments.secret and not secrets:
            table.refuse(line, name, "is secret, and a table is shown: submit such jobs one by one, or from the command line")
    for name, its_field in fields.items():
        if its_field.must_be_filled and name not in names:
            table.refuse(line, name, "is missing: add its column")


def _has_room(table: Table) -> bool:
    if len(table.rows) < MAX_ROWS:
        return True
    if not any(problem.line == 0 for problem in table.problems):
        table.refuse(0, "", f"the table has more than {MAX_ROWS:,} rows: split it")
    return False


def _read_row(kind: Kind, fields: Mapping[str, ArgumentField], line: int, cells: list[str], table: Table) -> None:
    given, before = {}, len(table.problems)
    for name, text in zip(table.columns, cells, strict=True):
        try:
            value = fields[name].read(text)
        except ValidationError as error:
            table.refuse(line, name, "; ".join(error.messages))
            continue
        if value is not OMIT:
            given[name] = value
    if len(table.problems) == before:
        _add(kind, given, line, table)


def _object(text: str, line: int, table: Table) -> dict[str, Any] | None:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        table.refuse(line, "", f"is not JSON: {error}")
        return None
    if not isinstance(row, dict):
        table.refuse(line, "", f"is no JSON object: write {json.dumps(dict.fromkeys(table.columns[:2] or ['name'], 1))}")
        return None
    return row


def _add(kind: Kind, given: dict[str, Any], line: int, table: Table) -> None:
    try:
        row = json.loads(kind.arguments.to_json(given))
    except ArgumentError as error:
        for name, text in error.fields.items():
            table.refuse(line, name, text)
    else:
        table.given.append(given)
        table.rows.append(row)
        table.lines.append(line)


def _checked(kind: Kind, user: Any, table: Table) -> Table:
    """Rows of models exist; there is a row at all. The problems are in the table's order."""
    if not table.rows and not table.problems:
        table.refuse(0, "", "the table has no rows: write a line for each job")
    for line, wrong in zip(table.lines, missing_rows(kind, user, table.rows), strict=True):
        for name, text in wrong.items():
            table.refuse(line, name, text)
    table.problems.sort(key=lambda problem: problem.line)
    return table
