"""Lines by kind, and the measurement of a file."""

import hashlib
import textwrap
from dataclasses import astuple
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.source.lines import Lines, count_lines
from tasks.source.measurement import measure_file
from tasks.source.reading import decode, parse
from tasks.source.structure import structure


def count(source: bytes) -> Lines:
    text = decode("x.py", source)
    found = structure(parse("x.py", text))
    return count_lines(text, found.strings, found.docstrings)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (b"", (0, 0, 0, 0, 0)),
        (b"\n", (1, 0, 0, 0, 1)),
        (b"x = 1", (1, 1, 0, 0, 0)),
        (b"x = 1\n", (1, 1, 0, 0, 0)),
        (b"x = 1  # why\n# because\n\n", (3, 1, 1, 0, 1)),
        (b'"""Doc\n\n# still doc\n"""\nx = 1\n', (5, 1, 0, 4, 0)),
        (b"r'''Doc'''\n", (1, 0, 0, 1, 0)),
        (b'x = """a\n\n# no comment\n"""\n', (4, 4, 0, 0, 0)),
        (b'x = f"""a\n\n{1}\n"""\n', (4, 4, 0, 0, 0)),
        (b'def f(): "doc"\n', (1, 1, 0, 0, 0)),
        (b'class A:\n    """Doc"""\n\n    def f(self):\n        """Doc\n        """\n', (6, 2, 0, 3, 1)),
        (b"x = 1\r\n# c\r\n\r\n", (3, 1, 1, 0, 1)),
        (b"x = 1\r# c\r\r", (3, 1, 1, 0, 1)),
        (b"x = (1 +\n\n     # c\n     2)\n", (4, 2, 1, 0, 1)),
        (b"\xef\xbb\xbf# BOM\n", (1, 0, 1, 0, 0)),
        (b"x = 1\n   ", (2, 1, 0, 0, 1)),
        (b"\x0c\nx = 1\n", (2, 1, 0, 0, 1)),
    ],
)
def test_lines_by_kind(source: bytes, expected: tuple[int, ...]) -> None:
    assert astuple(count(source)) == expected


_BLOCKS = st.sampled_from(
    ["x = 1", "# a comment", "", "   ", 'y = """a\n\n# b\n"""', "def f():\n    '''Doc\n\n    more'''", "z = [\n]"]
)


@given(st.lists(_BLOCKS), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
def test_every_line_is_of_one_kind(blocks: list[str], end: str, last_end: bool) -> None:
    source = "\n".join(blocks) + "\n" * last_end
    lines = count(source.replace("\n", end).encode())
    assert lines.code + lines.comment + lines.docstring + lines.blank == lines.lines
    assert lines.lines == source.count("\n") + (source != "" and not source.endswith("\n"))


def test_measurement_of_a_file(tmp_path: Path) -> None:
    source = textwrap.dedent(
        '''
        """Example."""

        class A:
            def first(self, x):
                if x:  # why
                    return 1

            def second(self):
                return [x for x in self if x]
        '''
    ).encode()
    path = tmp_path / "a.py"
    path.write_bytes(source)
    assert measure_file(str(path)) == {
        "bytes": len(source),
        "lines": 10,
        "code": 6,
        "comment": 0,
        "docstring": 1,
        "blank": 3,
        "functions": 2,
        "classes": 1,
        "complexity": 5,
        "max_complexity": 3,
        "max_nesting": 1,
        "sha256": hashlib.sha256(source).hexdigest(),
        "most_complex": [
            {"name": "A.second", "line": 9, "complexity": 3},
            {"name": "A.first", "line": 5, "complexity": 2},
        ],
    }


def test_an_empty_file_has_zeros(tmp_path: Path) -> None:
    (tmp_path / "empty.py").touch()
    measured = measure_file(str(tmp_path / "empty.py"))
    assert {measured[name] for name in ("bytes", "lines", "functions", "complexity", "max_complexity", "max_nesting")} == {0}
    assert measured["most_complex"] == []


def test_at_most_ten_functions_are_named_and_their_names_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "many.py"
    path.write_text("\n".join(f"def {'f' * 300}{n}(): pass" for n in range(50)))
    measured = measure_file(str(path))
    assert measured["functions"] == 50
    assert [function["line"] for function in measured["most_complex"]] == list(range(1, 11))
    assert {len(function["name"]) for function in measured["most_complex"]} == {200}
