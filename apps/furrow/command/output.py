"""Output of commands: tables for people, plain lines without a terminal, or one JSON document.

Results go to standard output; what is said on the way goes to standard error when the result is JSON.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from django.core.management.base import OutputWrapper
from django.core.serializers.json import DjangoJSONEncoder
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from furrow.console import console_on
from furrow.diagnosis.wording import COLOURS, plain

#: Columns where there is no terminal to ask: nothing is cut, for programs read it.
WIDE = 2_000
#: A terminal's style, by the colour of a label.
STYLES = {"success": "green", "danger": "red", "warning": "yellow", "primary": "cyan", "info": "blue"}


class Output:
    """Where results and remarks go."""

    def __init__(self, stdout: OutputWrapper, stderr: OutputWrapper, *, as_json: bool) -> None:
        self.as_json = as_json
        self._stdout = stdout
        self.console = console_on(stdout, WIDE)
        #: For what is said on the way.
        self.remarks = console_on(stderr, WIDE) if as_json else self.console

    def json(self, value: Any) -> None:
        """The result, as one JSON document; ASCII, so that no terminal is misled by what is in it."""
        self._stdout.write(json.dumps(value, indent=2, cls=DjangoJSONEncoder))

    def json_line(self, value: Any) -> None:
        """One of many results, as JSON on one line."""
        self._stdout.write(json.dumps(value, cls=DjangoJSONEncoder))
        self._stdout.flush()

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str = "") -> None:
        """A table; a column whose name begins with ``>`` is aligned to the right."""
        is_terminal = self.console.is_terminal
        table = Table(title=title or None, box=box.SIMPLE_HEAD if is_terminal else None, title_justify="left", pad_edge=False)
        for name in columns:
            right = name.startswith(">")
            table.add_column(name.lstrip(">"), justify="right" if right else "left", overflow="fold", no_wrap=name == "id")
        for row in rows:
            table.add_row(*map(cell, row))
        self._print(table)

    def facts(self, rows: Iterable[tuple[str, Any]]) -> None:
        """Names and values, one a line."""
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in rows:
            table.add_row(name, cell(value))
        self._print(table)

    def _print(self, table: Table) -> None:
        """A table; where there is no terminal, without the blanks at the ends of its lines."""
        if self.console.is_terminal:
            self.console.print(table)
            return
        with self.console.capture() as captured:
            self.console.print(table)
        for line in captured.get().splitlines():
            self._stdout.write(line.rstrip())

    def say(self, text: str) -> None:
        """A remark."""
        write(self.remarks, text)


def cell(value: Any) -> Text:
    """A cell's text, harmless, coloured if it is a state or an outcome."""
    text = plain("" if value is None else str(value))
    return Text(text, style=STYLES.get(COLOURS.get(text, ""), ""))


def write(console: Console, text: str) -> None:
    """A line as it is: logs and errors may hold what looks like markup, and worse."""
    console.print(Text(plain(text)), soft_wrap=True)
