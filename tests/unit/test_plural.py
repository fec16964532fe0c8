"""Counts are said as people say them."""

import ast
import re
from pathlib import Path

import pytest
from furrow.plural import counted

ROOT = Path(__file__).resolve().parents[2]
#: No count of what may be one: a limit or an amount that is always large, a verb, what is said of more than one only.
EXEMPT = re.compile(r"(?:bytes|characters|seconds|rows|starts|times|is|has|was|runs nothing)\b")


@pytest.mark.parametrize(
    ("number", "words", "said"),
    [(1, ["job"], "1 job"), (0, ["job"], "0 jobs"), (6037, ["job"], "6,037 jobs"), (2, ["entry", "entries"], "2 entries")],
)
def test_one_is_no_plural(number: int, words: list[str], said: str) -> None:
    assert counted(number, *words) == said


def test_no_text_counts_by_itself() -> None:
    """A number that is put in front of a plural says "1 jobs" one day."""
    found = []
    for path in sorted((ROOT / "apps").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            texts: list[str] = []
            if isinstance(node, ast.JoinedStr):
                texts = [
                    str(after.value)
                    for before, after in zip(node.values, node.values[1:], strict=False)
                    if isinstance(before, ast.FormattedValue)
                    and isinstance(after, ast.Constant)
                    and re.search(r"\blen\(|count|\bmany\b|number\b", ast.unparse(before.value))
                    and "counted(" not in ast.unparse(before.value)
                ]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts = re.findall(r"%d( [a-z]+s\b.*)", node.value)
            found += [
                f"{path.name}:{getattr(node, 'lineno', 0)}: …{text}"
                for text in texts
                if re.match(r" [a-z]+s\b(?<!ss)", str(text)) and not EXEMPT.match(str(text).strip())
            ]
    assert "\n".join(found) == ""
