"""``pip install furrow-jobs && furrow startproject bakery && cd bakery && make demo``, with the wheel."""

import os
import shutil
import signal
import sqlite3
from pathlib import Path
from typing import Any

import psutil
import pytest
from deploy import processes

from tests import services
from tests.shop.conftest import FOLDER, environment, offline, run
from tests.stack import Process, wait_until


@pytest.mark.timeout(400)
def test_a_new_project_is_made_checked_and_runs_its_demo(wheelhouse: Path, broker: str) -> None:
    folder, venv = FOLDER / "new", FOLDER / "venv-new"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    environ = {
        "PATH": f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(FOLDER),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "BROKER_URL": broker,
        processes.MARK: services.MARK,
        **offline(wheelhouse),
    }
    if not venv.exists():
        environment(venv)
        run([str(venv / "bin" / "pip"), "install", "furrow-jobs"], env=environ, cwd=folder)
    run(["furrow", "startproject", "bakery"], env=environ, cwd=folder)
    project = folder / "bakery"
    run([str(venv / "bin" / "pip"), "install", "-r", "requirements.txt"], env=environ, cwd=project)
    run(["python", "manage.py", "check", "--fail-level", "WARNING"], env=environ, cwd=project)

    demo = Process("new-project", ["make", "demo"], environ, project)
    try:
        wait_until(lambda: _ended(project) >= {"examples.tasks.greet"}, what=f"a job ended; {demo.log}")
        assert "Traceback" not in demo.text
        left = psutil.Process(demo.popen.pid).children(recursive=True)
        os.killpg(demo.popen.pid, signal.SIGINT)  # as a terminal does
        demo.wait()
        assert "All processes have ended." in demo.text
        assert not [process for process in left if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    except BaseException:
        print(demo.text[-6000:])
        raise
    finally:
        demo.kill()


def _ended(project: Path) -> set[Any]:
    link = sqlite3.connect(project / "db.sqlite3", timeout=20)
    try:
        return {kind for (kind,) in link.execute("SELECT kind FROM furrow_job WHERE state = 'succeeded'")}
    except sqlite3.OperationalError:  # not migrated yet
        return set()
    finally:
        link.close()
