"""Which file runs in which lane."""

from pathlib import Path

import pytest

from tests.lanes.plan import LANES, measured, plan, suites, targets
from tests.thorough import first_of


def test_every_file_runs_once_on_postgresql_and_the_engines_on_sqlite() -> None:
    lanes = plan(targets([]), measured()["all"])
    ran = {
        database: sorted(t for lane in lanes if lane.database == database for t in lane.targets)
        for database in ("postgresql", "sqlite")
    }
    assert ran["postgresql"] == suites()
    assert set(ran["sqlite"]) < set(suites())
    assert len(ran["sqlite"]) == len(set(ran["sqlite"]))
    assert "tests/faults/test_processes_die.py" in ran["sqlite"]
    assert "tests/architecture/test_layout.py" not in ran["sqlite"]
    assert len(lanes) == LANES


def test_lanes_have_the_same_to_do(tmp_path: Path) -> None:
    names = _files(tmp_path, **{f"test_{number}": "" for number in range(40)})
    lanes = plan(targets([], tmp_path), {"postgresql": {name: 10.0 + n for n, name in enumerate(names)}}, tmp_path)
    assert len(lanes) == LANES
    assert max(lane.seconds for lane in lanes) - min(lane.seconds for lane in lanes) < 50


def test_a_new_file_falls_into_a_lane(tmp_path: Path) -> None:
    _files(tmp_path, test_new="pytestmark = pytest.mark.engine")
    lanes = plan(targets([], tmp_path), {}, tmp_path)
    assert [(lane.database, lane.targets) for lane in lanes] == [("postgresql", [NEW]), ("sqlite", [NEW])]


NEW = "tests/unit/test_new.py"


@pytest.mark.parametrize(
    ("path", "file", "target"),
    [
        ("tests/unit/test_new.py", NEW, NEW),
        ("tests/unit", NEW, NEW),
        ("tests/unit/test_new.py::test_one", NEW, "tests/unit/test_new.py::test_one"),
    ],
)
def test_only_what_was_asked_for(path: str, file: str, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _files(tmp_path, test_new="", test_newer="") if path.endswith(".py") or "::" in path else _files(tmp_path, test_new="")
    monkeypatch.chdir(tmp_path)
    assert targets([path], tmp_path) == {file: [target]}


def test_the_other_parameters_of_a_test_are_left_to_ci() -> None:
    one, *others = first_of([("a", 1), ("b", 2), ("c", 3)])
    assert one == ("a", 1)
    assert [(other.values, [mark.name for mark in other.marks]) for other in others] == [
        (("b", 2), ["thorough"]),
        (("c", 3), ["thorough"]),
    ]


def _files(root: Path, **texts: str) -> list[str]:
    folder = root / "tests" / "unit"
    folder.mkdir(parents=True)
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    return suites(root)
