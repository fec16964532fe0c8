"""Lines of a source text, by kind."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tasks.source.structure import Span


@dataclass(frozen=True, slots=True)
class Lines:
    """The kinds of lines. Each line is one kind: ``code + comment + docstring + blank == lines``."""

    lines: int
    code: int
    comment: int
    docstring: int
    blank: int


def count_lines(text: str, strings: Iterable[Span], docstrings: Iterable[Span]) -> Lines:
    """Count the lines of a text by kind.

    A line is a docstring's if it lies in a docstring that begins a line; blank if nothing is on it; a comment if it begins
    with ``#``; code otherwise. Inside of a string of several lines (also one in several parts) everything is code.
    """
    rows = text.split("\n")
    if not rows[-1]:
        rows.pop()
    documenting = {n for first, last in docstrings if _begins_with_string(rows[first - 1]) for n in range(first, last + 1)}
    quoted = {n for first, last in strings for n in range(first + 1, last + 1)}
    kinds = Counter(
        "docstring" if number in documenting else "code" if number in quoted else _kind(row.strip())
        for number, row in enumerate(rows, start=1)
    )
    return Lines(len(rows), kinds["code"], kinds["comment"], kinds["docstring"], kinds["blank"])


def _kind(row: str) -> str:
    if not row:
        return "blank"
    return "comment" if row.startswith("#") else "code"


def _begins_with_string(row: str) -> bool:
    return row.strip().lstrip("rRuU").startswith(("'", '"'))
