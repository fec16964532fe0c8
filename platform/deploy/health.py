"""Whether the processes of the stack do their work, asked the way a user would."""

import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping

from deploy import ROOT, ports, processes
from deploy.errors import PortTaken, StackFailed
from deploy.files import tail
from deploy.processes import until
from deploy.supervisor import Supervisor

_PATIENCE = 90
_INTERVAL = 0.2


def wait(supervisor: Supervisor, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield each program once it works.

    Raises:
        PortTaken: another program listens where one of ours should.
        StackFailed: a program does not work; ends with the last lines of its log.
    """
    for program, works in checks(supervisor, environ).items():
        if not _comes_up(supervisor, program, works, environ):
            log = supervisor.run / "log" / f"{program}.log"
            raise StackFailed(f"{program} does not work yet. The last lines of {log}:\n{tail(log)}")
        yield program


def checks(supervisor: Supervisor, environ: Mapping[str, str]) -> dict[str, Callable[[], bool]]:
    """A question for each program; each can be asked again and again until the answer is yes.

    An answer counts only if it comes from a process of this stack, by the mark in `environ`.
    """
    web, flower = (f"http://127.0.0.1:{environ[name]}" for name in ("WEB_PORT", "FLOWER_PORT"))
    return {
        "web": lambda: _is_ours("WEB_PORT", environ) and status(f"{web}/admin/login/") == 200,
        "dispatcher": lambda: supervisor.states().get("dispatcher") == "RUNNING",
        "worker": lambda: supervisor.states().get("worker") == "RUNNING" and worker_answers(environ),
        "bridges": lambda: supervisor.states().get("bridges") == "RUNNING",
        "flower": lambda: _is_ours("FLOWER_PORT", environ) and status(f"{flower}/flower/healthcheck") == 200,
    }


def refuse_strangers(environ: Mapping[str, str]) -> None:
    """Raise PortTaken if another program listens on a port that this stack chose for itself."""
    for name in ("WEB_PORT", "FLOWER_PORT"):
        if not ports.is_free(int(environ[name])) and not _is_ours(name, environ):
            raise PortTaken(f"{name} {environ[name]} is taken by another program")


def _is_ours(name: str, environ: Mapping[str, str]) -> bool:
    return processes.listens(int(environ[name]), environ[processes.MARK])


def _comes_up(supervisor: Supervisor, program: str, works: Callable[[], bool], environ: Mapping[str, str]) -> bool:
    """Wait until it works. A program that was seen waiting between crashes for five seconds has failed."""
    seen_crashed = 0

    def decided() -> bool:
        nonlocal seen_crashed
        refuse_strangers(environ)
        seen_crashed += supervisor.states().get(program) == "BACKOFF"
        return seen_crashed > 5 / _INTERVAL or works()

    return until(decided, _PATIENCE, _INTERVAL) and works()


def status(url: str) -> int:
    """The HTTP status of a GET; 0 if nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code
    except OSError:
        return 0


def worker_answers(environ: Mapping[str, str]) -> bool:
    """Whether the worker answers a ping through the broker."""
    command = [sys.executable, "-m", "celery", "-A", "config", "inspect", "ping"]
    command += ["--timeout", "1", "--destination", environ["WORKER_NODE"]]
    try:
        asked = subprocess.run(command, env=dict(environ), cwd=ROOT, capture_output=True, timeout=30)
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0
