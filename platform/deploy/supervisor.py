"""The processes of the stack, kept running by supervisord."""

import http.client
import shlex
import sys
import xmlrpc.client
from collections.abc import Mapping
from pathlib import Path

from deploy import ROOT
from deploy.errors import StackFailed
from deploy.files import tail
from deploy.processes import Daemon, until

PROGRAMS = ("web", "dispatcher", "worker", "bridges", "flower")
_CONFIG = Path(__file__).with_name("supervisord.conf")
_STOP_PATIENCE = 45  # longer than the longest stopwaitsecs
_UNREACHABLE = (OSError, http.client.HTTPException, xmlrpc.client.Error)


class Supervisor:
    """supervisord of one run folder, reached on loopback with a password."""

    def __init__(self, run: Path, *, port: int, password: str) -> None:
        self.run = run
        self.port = port
        self.password = password
        self.daemon = Daemon(run / "supervisord.json")

    @property
    def alive(self) -> bool:
        """Whether supervisord runs, whatever its processes do."""
        return self.daemon.alive

    def start(self, environ: Mapping[str, str]) -> None:
        """Start it and with it every program, each in `environ`. Raises StackFailed if it does not stay."""
        log = self.run / "log" / "supervisord.out"
        told = {
            **environ,
            "FURROW_ROOT": str(ROOT),
            "FURROW_LOGS": str(log.parent).replace("%", "%%"),  # the one place that supervisord expands twice
            "FURROW_PYTHON": shlex.quote(sys.executable),
            "SUPERVISOR_PORT": str(self.port),
            "SUPERVISOR_PASSWORD": self.password,
        }
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(_CONFIG)]
        self.daemon.start(command, env=told, log=log, folder=ROOT)
        until(lambda: not self.alive or self.states(), timeout=20)
        if not self.states():
            raise StackFailed(f"supervisord did not come up:\n{tail(log)}")

    def stop(self) -> None:
        """Ask every process to end, kill those that take too long, and end supervisord."""
        self.daemon.stop(timeout=_STOP_PATIENCE)

    def states(self) -> dict[str, str]:
        """The state of each program in supervisord's words (RUNNING, BACKOFF, ...); empty if it cannot be asked."""
        if not self.alive:
            return {}
        server = xmlrpc.client.ServerProxy(f"http://furrow:{self.password}@127.0.0.1:{self.port}/RPC2")
        with server:
            try:
                answer = server.supervisor.getAllProcessInfo()
            except _UNREACHABLE:
                return {}
        assert isinstance(answer, list)
        return {str(program["name"]): str(program["statename"]) for program in answer if isinstance(program, dict)}
