"""A pytest plugin: writes the seconds of each file to the folder of the run (``FURROW_TEST_RUN``)."""

import json
import os
from collections import defaultdict
from pathlib import Path

import pytest

_seconds: dict[str, defaultdict[str, float]] = {name: defaultdict(float) for name in ("all", "plain")}


def recorded(folder: Path) -> Path:
    """Where the seconds of a run in this folder stand."""
    return folder / "durations.json"


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Setup and teardown count as well. ``plain``: of the tests that ``make test`` runs."""
    marks = report.keywords
    elsewhere = os.environ.get("DATABASE") == "sqlite" and "bare" in marks and "dialect" not in marks
    file = report.nodeid.partition("::")[0]
    _seconds["all"][file] += report.duration
    _seconds["plain"][file] += 0 if elsewhere or "thorough" in marks else report.duration


def pytest_sessionfinish() -> None:
    """Write them down."""
    recorded(Path(os.environ["FURROW_TEST_RUN"])).write_text(json.dumps(_seconds))
