"""A plugin of pytest, in the environment of Celery's tests: writes down each outcome, and in the modes other than ``stock``
puts this product's application and worker where Celery's own would be. It changes nothing else."""

import functools
import json
import os
from pathlib import Path
from typing import Any

import pytest

MODE = os.environ["CELERY_SUITE"]


class Written:
    """Appends lines of JSON: that a run began; a test, its outcome, in which phase, and why."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a")
        print(json.dumps(["", "began"]), file=self._file, flush=True)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Setup, call and teardown each have a report: the call's counts, and that of another one that did not pass."""
        if report.when == "call" or report.outcome != "passed":
            self._write(report, str(report.when))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that cannot be read counts as one test."""
        if report.outcome != "passed":
            self._write(report, "collect")

    def _write(self, report: Any, when: str) -> None:
        print(json.dumps([report.nodeid, report.outcome, when, _reason(report)]), file=self._file, flush=True)


def _reason(report: Any) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    if report.outcome == "skipped" and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2])
    return str(crash.message if crash else report.longrepr or "")[:600]


def pytest_configure(config: pytest.Config) -> None:
    """Celery's plugin and its tests are imported after this."""
    config.pluginmanager.register(Written(Path(os.environ["CELERY_SUITE_OUT"])))
    if MODE != "stock":
        _take_place()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Celery runs a test that failed five times more, of five minutes each: what fails always would take half an hour."""
    for item in items:
        if item.get_closest_marker("flaky"):
            item.add_marker(pytest.mark.flaky(reruns=2, reruns_delay=1), append=False)
        item.add_marker(pytest.mark.timeout(int(os.environ["CELERY_SUITE_SECONDS"])), append=False)


def _take_place() -> None:
    """What ``from furrow.celery import Celery`` in the place of ``from celery import Celery`` does to a project."""
    import celery
    import django

    django.setup()
    from celery.contrib.testing import app, worker
    from furrow.celery import Celery
    from furrow.worker.celery.worker import Worker

    celery.Celery = app.Celery = Celery

    class TestWorker(worker.TestWorkController, Worker):  # type: ignore[misc]
        """The worker, told by Celery's own test fixture to say when it has started."""

        def install_platform_tweaks(self, controller: Any) -> None:
            """It runs in a thread of the tests' process, where no signal arrives."""

    worker.start_worker = functools.partial(worker.start_worker, WorkController=TestWorker)
