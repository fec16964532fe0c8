"""A pytest plugin: writes the seconds of each file to the folder of the run (``FURROW_TEST_RUN``)."""

import json
import os
from collections import defaultdict
from pathlib import Path

import pytest

_seconds: defaultdict[str, float] = defaultdict(float)


def recorded(folder: Path) -> Path:
    """Where the seconds of a run in this folder stand."""
    return folder / "durations.json"


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Setup and teardown count as well."""
    _seconds[report.nodeid.partition("::")[0]] += report.duration


def pytest_sessionfinish() -> None:
    """Write them down."""
    recorded(Path(os.environ["FURROW_TEST_RUN"])).write_text(json.dumps(_seconds))
