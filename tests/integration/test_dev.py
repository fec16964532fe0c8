"""``furrow dev`` in a new project: everything runs, code that changes is taken up, a Ctrl-C leaves nothing behind."""

import signal
import socket
import urllib.request
from pathlib import Path

import psutil
import pytest

from tests.newcomer import Project
from tests.stack import Process, wait_until

SUBSCRIBER = """

from furrow import Occurred, publish, subscribe


@subscribe("counted")
def hear(event: Occurred) -> None:
    current_job.log("heard %s", event.type)
"""

#: What is typed after ``startproject``, and why there will be none.
REFUSED = {
    "two-words": "valid identifier",
    "json": "conflicts with the name of an existing Python module",
    "furrow": "conflicts with the name of an existing Python module",
    "examples": "its first application is called so",
    "other bakery": "bakery is there, and it is not an empty folder",
    "other bakery/manage.py": "is there, and it is not an empty folder",
}


def said(process: Process, text: str, times: int = 1) -> None:
    """Wait until it has."""
    wait_until(lambda: process.text.count(text) >= times or process.popen.poll() is not None, what=f"{text!r}, {process.log}")
    assert process.text.count(text) >= times, process.text[-6000:]


def dispatcher_of(process: Process) -> psutil.Process:
    """Its dispatcher."""
    (found,) = [child for child in process.children() if "dispatcher" in child.cmdline()]
    return found


@pytest.mark.thorough
def test_the_processes_of_a_project_run_change_and_end_together(tmp_path: Path) -> None:
    project = Project(tmp_path)
    refused = project.run("-m", "furrow", "dev")
    assert "The database lacks" in refused.stderr
    assert project.run("manage.py", "migrate").returncode == 0
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        dev = project.start("dev", "-m", "furrow", "dev", "--port", str(port), "--no-flower")
        try:
            said(dev, f"Port {port} is taken: web gets ")
            _run_change_and_end(project, dev)
        finally:
            dev.stop()


def _run_change_and_end(project: Project, dev: Process) -> None:
    said(dev, "ready.")
    said(dev, "This dispatcher leads")
    address = dev.text.partition("web: ")[2].split()[0]
    wait_until(lambda: _status(f"{address}admin/login/") == 200, seconds=180, what="web answers")
    assert _status(f"{address}api/docs") == 200

    # A job runs on through a change of the code: it is handed back, not counted, and runs with the new code.
    assert project.run("-m", "furrow", "jobs", "submit", "examples.tasks.count", "to=100000").returncode == 0
    job = "SELECT state, attempt - excused, result FROM furrow_job WHERE kind = 'examples.tasks.count'"
    wait_until(lambda: project.rows(job) == [("running", 1, None)], what=f"it runs: {dev.log}")
    tasks = project.folder / "examples" / "tasks.py"
    tasks.write_text(tasks.read_text().replace("time.sleep(1)", 'publish("counted", {})\n        break') + SUBSCRIBER)
    said(dev, "examples/tasks.py changed: starting again web, worker-1, bridges, dispatcher.")
    wait_until(lambda: project.rows(job)[0][0] == "succeeded", what=f"it ends: {dev.log}")
    assert project.rows(job) == [("succeeded", 1, "100000")]
    attempts = "FROM furrow_attempt JOIN furrow_job ON furrow_job.id = job_id WHERE kind = 'examples.tasks.count'"
    outcomes = project.rows(f"SELECT outcome {attempts} ORDER BY number")
    assert outcomes[-1] == ("succeeded",)
    assert {*outcomes[:-1]} == {("interrupted",)}

    # The first subscriber is run for that: the bridges' process, which had nothing to do, began with it.
    heard = "SELECT count(*) FROM furrow_job WHERE kind = 'examples.tasks.hear' AND state = 'succeeded'"
    wait_until(lambda: project.rows(heard)[0][0], what=f"a subscriber ran: {dev.log}")

    # A process that dies is named, and there is another one.
    dispatcher_of(dev).kill()
    said(dev, "dispatcher was ended by SIGKILL; it is started again in 1 s, or when code changes.")
    wait_until(lambda: any("dispatcher" in child.cmdline() for child in dev.children()), what="another dispatcher")

    left = psutil.Process(dev.popen.pid).children(recursive=True)
    assert len(left) >= 5  # web, worker with two pool processes, dispatcher
    dev.send(signal.SIGINT)
    assert dev.wait() == 0, dev.text[-3000:]
    assert "All processes have ended." in dev.text
    assert not [process for process in left if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    assert "\x1b[" not in dev.text  # no terminal, no colour


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except OSError:
        return 0


def test_a_server_that_is_away_is_named_with_the_remedy(tmp_path: Path) -> None:
    project = Project(tmp_path)
    assert project.run("manage.py", "migrate").returncode == 0
    refused = project.run("manage.py", "furrow", "dev", BROKER_URL="amqp://guest:secret@127.0.0.1:9//")
    assert refused.returncode == 1
    assert "RabbitMQ does not answer" in refused.stderr
    assert "name another one in CELERY_BROKER_URL" in refused.stderr
    assert "secret" not in refused.stderr
    assert project.run("manage.py", "furrow", "dev", "--workers", "0").returncode == 1


def test_a_project_that_cannot_be_is_refused(tmp_path: Path) -> None:
    project = Project(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    project.folder = tmp_path
    for words, reason in REFUSED.items():
        refused = project.run("-m", "furrow", "startproject", *words.split())
        assert refused.returncode == 1, words
        assert reason in refused.stderr
    assert [path for path in sorted(tmp_path.rglob("*")) if "__pycache__" not in path.parts] == before
