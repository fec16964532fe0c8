"""Furrow's own processes for the tests: real ones, started and killed like in production, on the test database."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import psutil
from deploy import ports, processes
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now

from tests.forks import Fork, fork
from tests.services import MARK, RUN

PYTHON = sys.executable
CELERY = [PYTHON, "-m", "celery", "-A", "config"]


def wait_until(condition: Callable[[], object], *, seconds: float = 60, what: str = "") -> None:
    """Poll until the condition holds.

    Raises:
        AssertionError: it did not in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what or condition}"
        time.sleep(0.02)


def all_ended(seconds: float = 120) -> None:
    """Wait until no job is left that has not ended.

    Raises:
        AssertionError: some have not; says which, and where they stand.
    """
    from furrow.models import Job
    from furrow.states import FINAL

    left = Job.objects.exclude(state__in=FINAL)
    try:
        wait_until(lambda: not left.exists(), seconds=seconds, what="all jobs ended")
    except AssertionError as error:
        columns = ("id", "kind", "state", "attempt", "worker", "run_at", "queued_at", "started_at", "excused", "error")
        raise AssertionError(f"{error}; {left.count()} left: {list(left.values(*columns)[:5])}") from None


class Process:
    """One started process and its log."""

    def __init__(self, name: str, command: list[str], env: dict[str, str], cwd: Path | None = None) -> None:
        self.name = name
        self.log = RUN / "log" / f"{name}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.popen: Fork | subprocess.Popen[bytes]
        with self.log.open("wb") as log:
            self.popen = fork(command, env=env, cwd=cwd, log=log) or subprocess.Popen(
                command,
                env=env,
                cwd=cwd,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    @property
    def text(self) -> str:
        """What it has logged."""
        return self.log.read_text(errors="replace")

    def children(self) -> list[psutil.Process]:
        """Its pool processes."""
        return psutil.Process(self.popen.pid).children()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process alone."""
        self.popen.send_signal(number)

    def kill(self) -> None:
        """SIGKILL it and its children, as a machine that loses power."""
        if self.popen.poll() is None:
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait(10)

    def stop(self, seconds: float = 60) -> int:
        """SIGTERM, and wait; its exit code."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
        return self.wait(seconds)

    def wait(self, seconds: float = 60) -> int:
        """Wait for its end; its exit code. What does not end says where its threads are (``PYTHONFAULTHANDLER``).

        Raises:
            AssertionError: it did not end in time; with the end of its log.
        """
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.popen.send_signal(signal.SIGABRT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(5)
            self.kill()
            raise AssertionError(f"{self.name} did not end within {seconds} s:\n{self.text[-6000:]}") from None


class Stack:
    """Starts dispatcher, workers, web and Flower, and stops what still runs."""

    flower_auth = ("flower", "only for the tests")
    admin = ("admin", "only for the tests")

    def __init__(self) -> None:
        self.processes: list[Process] = []
        self._ports: dict[str, int] = {}

    def environ(self, **extra: str) -> dict[str, str]:
        """The environment of the processes: the test database, the test servers."""
        return {
            **os.environ,
            "DATABASE_URL": database_url(),
            "PYTHONUNBUFFERED": "1",
            "PYTHONFAULTHANDLER": "1",
            processes.MARK: MARK,
            **extra,
        }

    def start(self, name: str, command: list[str], **extra: str) -> Process:
        """Start a process; it is stopped with the stack."""
        process = Process(name, command, self.environ(**extra))
        self.processes.append(process)
        return process

    def dispatcher(self, name: str = "dispatcher", **extra: str) -> Process:
        """Start a dispatcher."""
        return self.start(name, [PYTHON, "manage.py", "furrow", "dispatcher"], **extra)

    def worker(self, name: str = "worker", *, processes: int | str = 2, ready: bool | str = True, **extra: str) -> Process:
        """Start a worker, and wait until it consumes. ``processes``: how many, or ``most,fewest`` as of ``--autoscale``."""
        scale = "--autoscale" if isinstance(processes, str) else "-c"
        options = [scale, str(processes), "-n", f"{name}@test", "--without-gossip", "--without-mingle", "-l", "info"]
        process = self.start(name, [*CELERY, "worker", *options], **extra)
        if ready:
            wait_until(lambda: f"{name}@test ready" in process.text, what=f"{name} ready; log: {process.log}")
        return process

    def web(self) -> Process:
        """Start the web server."""
        bind = self.web_url.removeprefix("http://")
        return self.start(
            "web",
            [PYTHON, "-m", "gunicorn", "-c", "python:config.web_server", "config.wsgi", "--bind", bind, "--threads", "4"],
            FLOWER_URL=self.flower_url,
            FLOWER_BASIC_AUTH=":".join(self.flower_auth),
        )

    def flower(self) -> Process:
        """Start Flower."""
        port = str(self._port("flower"))
        return self.start(
            "flower",
            [*CELERY, "flower", "--conf=platform/config/flowerconfig.py", f"--port={port}"],
            FLOWER_BASIC_AUTH=":".join(self.flower_auth),
        )

    def expire(self, killed: Process) -> None:
        """End the lease of a dispatcher or worker that was killed, where noticing that it is dead is not the subject."""
        from furrow.models import Leader, Worker

        if "dispatcher" in killed.popen.args:  # type: ignore[operator]
            Leader.objects.update(lease_until=Now())
        else:
            Worker.objects.filter(node=f"{killed.name}@test", stopped_at=None).update(heartbeat_at=F("lease_until"))

    @property
    def worker_process(self) -> Process:
        """The worker that was started last."""
        return [process for process in self.processes if "worker" in process.popen.args][-1]  # type: ignore[operator]

    @property
    def web_url(self) -> str:
        """Where the admin answers."""
        return f"http://127.0.0.1:{self._port('web')}"

    @property
    def flower_url(self) -> str:
        """Where Flower itself answers; the door to it is below ``web_url``."""
        return f"http://127.0.0.1:{self._port('flower')}/flower"

    def stop(self) -> None:
        """Stop what runs, gently first."""
        for process in self.processes:
            if process.popen.poll() is None:
                process.popen.send_signal(signal.SIGCONT)
                process.popen.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 15
        for process in self.processes:
            try:
                process.popen.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
        self.processes.clear()

    def _port(self, name: str) -> int:
        if name not in self._ports:
            self._ports[name] = ports.choose(ports.spread(28000 if name == "web" else 28500, Path(RUN)))
        return self._ports[name]


def database_url() -> str:
    """The test database, as a URL."""
    given = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{given['NAME']}"
    user, password = quote(given["USER"]), quote(given["PASSWORD"])
    return f"postgresql://{user}:{password}@{given['HOST']}:{given['PORT']}/{given['NAME']}"
