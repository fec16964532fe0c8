"""What the private servers have in common: a folder, a port, credentials, a daemon, and patience until it answers."""

import os
import secrets
import shutil
import signal
import socket
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Self

from deploy import files, packages, ports, processes
from deploy.errors import ServiceFailed
from deploy.processes import Daemon

PORTS_TRIED = 3


class Service(ABC):
    """A private server that lives in `folder`. Starting and stopping are serialised across processes."""

    name: ClassVar[str]
    package: ClassVar[str]
    first_port: ClassVar[int]
    patience: ClassVar[float] = 120
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder).absolute()
        self.log = self.folder / "log"
        self.daemon = Daemon(self.folder / "pid.json")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.folder)!r})"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def alive(self) -> bool:
        """Whether its process lives; a frozen one does."""
        return self.daemon.alive

    @property
    def port(self) -> int:
        """Its port on 127.0.0.1, chosen at the first start and kept while it can be."""
        return int(self._state["port"])

    @property
    def ports(self) -> list[int]:
        """All the ports it listens on."""
        return [self.port]

    @property
    def password(self) -> str:
        """Its generated password: letters and digits."""
        return str(self._state["password"])

    @property
    @abstractmethod
    def url(self) -> str:
        """Where and as whom to connect."""

    @classmethod
    @abstractmethod
    def binary(cls) -> Path | None:
        """The installed server program, None if there is none."""

    @abstractmethod
    def command(self) -> list[str]:
        """Write what the server reads, and return what starts it in the foreground."""

    @abstractmethod
    def ready(self) -> bool:
        """Whether the server answers in its own protocol. May raise OSError instead of returning False."""

    def settle(self) -> None:  # noqa: B027 - most servers have nothing to do here
        """What a kind of server does each time it has come up, before `start` returns. By default nothing."""

    def start(self) -> None:
        """Bring it up and return once it answers; nothing happens if it does already.

        Raises PackagesMissing if it is not installed and cannot be, ServiceFailed if it does not come up.
        """
        if self.binary() is None:
            packages.install([self.package])
        files.close_folder(self.folder, passable=self.runs_as_another)
        with files.locked(self.folder / "lock"):
            for _ in range(PORTS_TRIED):
                if not self.alive:
                    self._launch()
                if processes.until(lambda: not self.alive or self._answers(), self.patience) and self.alive:
                    self.settle()
                    return
                if self.alive or all(map(ports.is_free, self.ports)):
                    break  # it was no other server, faster to take a port, that kept it from starting
        state = "is running but does not answer" if self.alive else "ended while starting"
        raise ServiceFailed(f"{self.name} {state}. The last lines of {self.log}:\n{files.tail(self.log)}")

    def stop(self) -> None:
        """Shut it down in an orderly way, by its process number; data, port and credentials stay."""
        with files.locked(self.folder / "lock"):
            self.daemon.stop(self.stop_signal)
            self._sweep()

    def restart(self) -> None:
        """Stop it and start it again, on the same port."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """SIGKILL the server and all its processes: the machine that loses power."""
        self.daemon.kill()

    def freeze(self) -> None:
        """SIGSTOP the server and all its processes: connections stay open, and nobody answers."""
        self.daemon.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Undo `freeze`."""
        self.daemon.send(signal.SIGCONT)

    def destroy(self) -> None:
        """Kill it and remove its folder with all data."""
        self.kill()
        self._sweep()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def runs_as_another(self) -> bool:
        """Whether its process belongs to another user than this one."""
        return False

    def environ(self) -> dict[str, str]:
        """What the server's process is told: nothing of the caller's environment that could change its ways."""
        path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/bin", "/sbin", "/bin"))
        return {"PATH": path, "HOME": str(self.folder), "LANG": "C.UTF-8", processes.MARK: str(self._state["mark"])}

    def launch(self, command: list[str]) -> None:
        """Start the daemon; a server that needs another user or folder overrides this."""
        self.daemon.start(command, env=self.environ(), log=self.log)

    @property
    def _state(self) -> dict[str, Any]:
        """What is remembered of this server: port, password, mark and whatever a kind of server adds."""
        path = self.folder / "state.json"
        state = files.read_json(path)
        if not state:
            port = ports.choose(ports.spread(self.first_port, self.folder))
            state = {"port": port, "password": secrets.token_hex(16), "mark": secrets.token_hex(8)}
            files.write_json(path, state)
        return state

    def _remember(self, **values: Any) -> None:
        files.write_json(self.folder / "state.json", self._state | values)

    def _launch(self) -> None:
        self._sweep()
        # A killed server is a zombie before its last thread has let go of the port; others know it under this one.
        processes.until(lambda: ports.is_free(self.port), timeout=3)
        self._remember(port=ports.choose(ports.spread(self.first_port, self.folder), remembered=self.port))
        self.launch(self.command())

    def _sweep(self) -> None:
        """End what an interrupted start left behind."""
        processes.sweep(str(self._state["mark"]))

    def _answers(self) -> bool:
        try:
            return self.ready()
        except OSError:
            return False

    def _connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=2)
