"""Each way in which a file cannot be measured is an error that names the file, the line and the reason."""

import os
import socket
import sys
from pathlib import Path

import pytest

from tasks.source import reading
from tasks.source.measurement import measure_file
from tasks.source.reading import NotAFile, NotPython, NotText, SourceError, TooDeep, TooLarge


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    return tmp_path / "bad.py"


@pytest.mark.parametrize(
    ("content", "error", "line", "text"),
    [
        (b"x = 1\nprint 'x'\n", NotPython, 2, "print"),
        (b"def f(:\n", NotPython, 1, "invalid syntax"),
        (b"if x:\n", NotPython, 1, "expected an indented block"),
        (b"if x:\n\ty\n        z\n", NotPython, 3, "inconsistent use of tabs"),
        (b"x = (1,\n", NotPython, 1, "never closed"),
        (b"x = 1\ny = '\x00'\n", NotPython, 2, "null byte"),
        (b"x = 0777\n", NotPython, 1, "leading zeros"),
        (b"x = " + b"9" * 5_000 + b"\n", NotPython, 1, "digits"),
        ("x = 1\n€ = 2\n".encode(), NotPython, 2, "U+20AC"),
        (b"x = 1\ny = '\xff'\n", NotText, 2, "0xff is not utf-8"),
        (b"x = 1\n\n\ny = '\xe4'\n", NotText, 4, "0xe4"),
        (b"# coding: uft-8\n", NotText, 1, "uft-8"),
        (b"#!/bin/sh\n# -*- coding: klingon -*-\n", NotText, 2, "klingon"),
        (b"# coding: rot13\n", NotText, 1, "rot13"),
        (b"# coding: hex\n", NotText, 1, "hex"),
        (b"\xef\xbb\xbf# coding: latin-1\n", NotText, 1, "encoding"),
        ("x = 1\n".encode("utf-16"), NotText, 1, ""),
        (b"# coding: ascii\nx = '\xc3\xa4'\n", NotText, 2, "ascii"),
        (b"# coding: unicode_escape\nx = '\\ud800'\n", NotPython, 0, "surrogates"),
        (b"(" * 500 + b")" * 500, (NotPython, TooDeep), None, "too many nested"),
        (b"x = " + b"-" * 100_000 + b"1", TooDeep, 0, ""),
        (b"x = " + b"+".join([b"1"] * 20_000), TooDeep, 0, ""),
    ],
)
def test_bad_content(bad: Path, content: bytes, error: type[SourceError], line: int | None, text: str) -> None:
    bad.write_bytes(content)
    with pytest.raises(error) as caught:
        measure_file(str(bad))
    if line is not None:
        assert caught.value.line == line
    place = f"{bad}:{caught.value.line}: " if caught.value.line else f"{bad}: "
    assert str(caught.value).startswith(place)
    assert text in str(caught.value)
    assert len(str(caught.value)) > len(place)


@pytest.mark.parametrize(
    "content",
    [
        b"# coding: latin-1\nx = '\xff'\n",
        b"# -*- coding: cp1252 -*-\nx = '\x80'\n",
        b"\xef\xbb\xbfx = 1\n",
        b"x = '\\d'\n",  # warns of an invalid escape
        b"x = 1 is 1\n",
        b"\x0c\n",
    ],
)
def test_strange_but_good_content(bad: Path, content: bytes) -> None:
    bad.write_bytes(content)
    assert measure_file(str(bad))["lines"] >= 1


def test_a_large_file_is_refused_before_it_is_parsed(bad: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_BYTES", 1_000)
    bad.write_bytes(b"#" * 1_000)
    assert measure_file(str(bad))["bytes"] == 1_000
    bad.write_bytes(b"#" * 1_001)
    with pytest.raises(TooLarge, match=r"bad\.py: it has 1,001 bytes, the limit is 1,000"):
        measure_file(str(bad))


def test_a_sparse_terabyte_is_not_read(bad: Path) -> None:
    with bad.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(TooLarge, match="1,099,511,627,776 bytes"):
        measure_file(str(bad))


def test_a_folder(bad: Path) -> None:
    bad.mkdir()
    with pytest.raises(NotAFile, match=r"bad\.py: it is a folder"):
        measure_file(str(bad))


@pytest.mark.timeout(10)
def test_a_pipe_is_not_waited_for(bad: Path) -> None:
    os.mkfifo(bad)
    with pytest.raises(NotAFile, match="pipe"):
        measure_file(str(bad))


def test_a_device(bad: Path) -> None:
    bad.symlink_to("/dev/zero")
    with pytest.raises(NotAFile, match="device"):
        measure_file(str(bad))


def test_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("bad.py")
        with pytest.raises(OSError, match=r"bad\.py"):
            measure_file("bad.py")


def test_a_dangling_link_and_a_vanished_file(bad: Path) -> None:
    bad.symlink_to(bad.with_name("gone.py"))
    for path in (bad, bad.with_name("gone.py")):
        with pytest.raises(FileNotFoundError, match=path.name):
            measure_file(str(path))


def test_a_link_to_itself(bad: Path) -> None:
    bad.symlink_to(bad)
    with pytest.raises(OSError, match=r"bad\.py"):
        measure_file(str(bad))


def test_no_permission(bad: Path) -> None:
    bad.touch(mode=0)
    user = os.geteuid()
    if user == 0:  # who may read everything
        os.seteuid(65534)
    try:
        with pytest.raises(PermissionError, match=r"bad\.py"):
            measure_file(str(bad))
    finally:
        os.seteuid(user)


def test_descriptors_are_closed(bad: Path) -> None:
    bad.mkdir()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with pytest.raises(NotAFile):
            measure_file(str(bad))
    assert len(os.listdir("/proc/self/fd")) == before


def test_deep_code_leaves_the_interpreter_usable(bad: Path) -> None:
    bad.write_bytes(b"x = " + b"-" * 100_000 + b"1")
    limit = sys.getrecursionlimit()
    with pytest.raises(TooDeep):
        measure_file(str(bad))
    assert sys.getrecursionlimit() == limit
    bad.write_bytes(b"x = 1\n")
    assert measure_file(str(bad))["code"] == 1
