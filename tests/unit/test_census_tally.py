"""The report: sums, order, limits, and a size that stays below a result's limit whatever comes."""

import json
import random
from typing import Any

from tasks.source.tally import MAX_TEXT, Tally, clip

_EMPTY = {"bytes": 0, "lines": 0, "code": 0, "comment": 0, "docstring": 0, "blank": 0, "functions": 0, "classes": 0}


def measured(digest: str = "", **numbers: Any) -> dict[str, Any]:
    """A measurement with these numbers and zeros."""
    rest = {"complexity": 0, "max_complexity": 0, "max_nesting": 0, "most_complex": [], "sha256": digest}
    return {**_EMPTY, **rest, **numbers}


def function(name: str, complexity: int, line: int = 1) -> dict[str, Any]:
    return {"name": name, "line": line, "complexity": complexity}


def test_sums_by_package_and_in_all() -> None:
    tally = Tally()
    tally.add("/l/a/x.py", "a", measured("1", bytes=9, lines=10, code=8, functions=2, complexity=5, max_complexity=4))
    tally.add(
        "/l/a/y.py", "a", measured("2", bytes=9, lines=20, blank=3, functions=1, classes=1, complexity=7, max_complexity=7)
    )
    tally.add("/l/b.py", "b", measured("3", bytes=5, lines=90))
    tally.fail("/l/c.py", "c", "not Python", "NotPython: /l/c.py:1: invalid syntax")
    report = tally.report()
    assert [(row["package"], row["files"], row["failed"], row["lines"]) for row in report["packages"]] == [
        ("b", 1, 0, 90),
        ("a", 2, 0, 30),
        ("c", 0, 1, 0),
    ]
    row = report["packages"][1]
    assert (row["functions"], row["classes"], row["mean_complexity"], row["max_complexity"]) == (3, 1, 4.0, 7)
    assert report["packages"][0]["mean_complexity"] == 0
    assert report["total"] == {
        "files": 3, "failed": 1, "bytes": 23, "lines": 120, "code": 8, "comment": 0, "docstring": 0, "blank": 3,
        "functions": 3, "classes": 1, "mean_complexity": 4.0, "max_complexity": 7,
    }  # fmt: skip


def test_the_ten_most_complex_functions() -> None:
    tally = Tally()
    for n in range(20):
        functions = [function("f", n), function("g", n, line=5)]
        tally.add(f"/{n:02}.py", "p", measured(most_complex=functions, functions=2))
    names = [(row["complexity"], row["path"], row["name"]) for row in tally.report()["most_complex"]]
    assert names == [(n, f"/{n:02}.py", name) for n in range(19, 14, -1) for name in "fg"]


def test_identical_files_the_most_wasteful_first_and_empty_ones_left_out() -> None:
    tally = Tally()
    for path in ("/b", "/a", "/c"):
        tally.add(path, "p", measured("small", bytes=10))
    for path in ("/e", "/d"):
        tally.add(path, "p", measured("large", bytes=1_000))
    for path in ("/f", "/g"):
        tally.add(path, "p", measured("empty", bytes=0))
    tally.add("/h", "p", measured("alone", bytes=5_000))
    assert tally.report()["identical"] == [
        {"files": 2, "bytes": 1_000, "sha256": "large", "paths": ["/d", "/e"]},
        {"files": 3, "bytes": 10, "sha256": "small", "paths": ["/a", "/b", "/c"]},
    ]


def test_failures_by_reason_with_the_first_examples() -> None:
    tally = Tally()
    for n in reversed(range(8)):
        tally.fail(f"/{n}.py", "p", "not Python", f"error {n}")
    tally.fail("/x.py", "p", "not found", "gone")
    failures = tally.report()["failures"]
    assert [(f["reason"], f["count"]) for f in failures] == [("not Python", 8), ("not found", 1)]
    assert failures[0]["examples"][0] == {"path": "/0.py", "error": "error 0"}
    assert len(failures[0]["examples"]) == 5


def test_the_order_in_which_files_come_does_not_matter() -> None:
    dice = random.Random(1)
    numbers = [measured(str(n % 40), bytes=n % 40, lines=n % 11, most_complex=[function("f", n % 5)]) for n in range(200)]
    files = [(f"/{n}.py", f"p{n % 7}", of) for n, of in enumerate(numbers)]
    reports = []
    for _ in range(3):
        dice.shuffle(files)
        tally = Tally()
        for path, package, of in files:
            tally.add(path, package, of)
            tally.fail(f"{path}x", package, f"reason {of['bytes'] % 3}", "error")
        reports.append(json.dumps(tally.report(["a"])))
    assert len(set(reports)) == 1


def test_what_was_cut_is_said_and_the_worst_case_fits_a_result() -> None:
    wide = "🐄" * 5_000
    tally = Tally()
    for n in range(2_000):
        name = f"{n}{wide}{n}"
        tally.add(name, name, measured(f"{n % 900}", bytes=1, lines=n, functions=1, most_complex=[function(name, n)]))
        tally.fail(name, name, f"{n % 50}{wide}", wide + name)
    report = tally.report([f"{n}{wide}" for n in range(50)], skipped_more=1_000)
    assert len(json.dumps(report)) < 1024 * 1024
    assert len(json.dumps(report, ensure_ascii=False).encode()) < 1024 * 1024
    assert report["cut"] == {"packages": 1_900, "identical": 880, "failures": 38, "skipped": 1_030}
    assert report["total"]["files"] == 2_000


def test_of_nothing() -> None:
    report = Tally().report()
    assert report["total"]["files"] == 0
    assert report["packages"] == report["most_complex"] == report["identical"] == report["failures"] == []


def test_clip_keeps_both_ends() -> None:
    assert clip("x" * MAX_TEXT) == "x" * MAX_TEXT
    clipped = clip("/start" + "x" * 500 + "end.py")
    assert (len(clipped), clipped[:6], clipped[-6:]) == (MAX_TEXT, "/start", "end.py")
