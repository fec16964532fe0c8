"""A private PostgreSQL cluster. TCP only: a Unix socket's path has a limit of 107 characters, a folder has not.

PostgreSQL refuses to run as root. Started by root, it runs as the user `postgres`, else `nobody`; if that user cannot
get to the folder (a clone under /root), the data lies in a private folder under /var/tmp that the state remembers.
"""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import psutil
import psycopg

from deploy import files, packages
from deploy.errors import ServiceFailed
from deploy.services.base import Service

_NAME = "furrow"
_RELAXED = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")


class Postgres(Service):
    """A private PostgreSQL. `durable=False` trades safety in a crash of the machine for speed: for tests."""

    name = "PostgreSQL"
    package = "postgresql"
    first_port = 25000
    stop_signal = signal.SIGINT  # "fast": open connections are cut

    def __init__(self, folder: Path | str, *, durable: bool = True) -> None:
        super().__init__(folder)
        self.durable = durable

    @property
    def url(self) -> str:
        return f"postgresql://{_NAME}:{self.password}@127.0.0.1:{self.port}/{_NAME}"

    @classmethod
    def binary(cls) -> Path | None:
        versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=_version)
        return versions[-1] if versions else packages.find("postgres")

    def command(self) -> list[str]:
        data = self._data()
        if not (data / "PG_VERSION").exists():
            self._initialise(data)
        _forget_zombie(data / "postmaster.pid")
        options = [
            "listen_addresses=127.0.0.1",
            f"port={self.port}",
            "unix_socket_directories=",
            "max_connections=200",
            "logging_collector=off",
            "log_destination=stderr",
            *(() if self.durable else _RELAXED),
        ]
        return [str(self._program("postgres")), "-D", str(data), *(f"-c{option}" for option in options)]

    @property
    def runs_as_another(self) -> bool:
        return os.geteuid() == 0

    def launch(self, command: list[str]) -> None:
        user, group = _unprivileged() if self.runs_as_another else (None, None)
        self.daemon.start(command, env=self.environ(), log=self.log, user=user, group=group)

    def ready(self) -> bool:
        """It takes the password and has the database, which is made here the first time."""
        try:
            with psycopg.connect(self.url.rpartition("/")[0] + "/postgres", autocommit=True, connect_timeout=2) as link:
                if not link.execute("SELECT 1 FROM pg_database WHERE datname = %s", [_NAME]).fetchone():
                    link.execute(f"CREATE DATABASE {_NAME}")
        except psycopg.OperationalError:
            return False
        return True

    def destroy(self) -> None:
        data = self._state.get("data")
        super().destroy()
        if data:
            shutil.rmtree(Path(data).parent, ignore_errors=True)

    def _data(self) -> Path:
        """The data folder, made at the first start where the server's user can reach it."""
        if known := self._state.get("data"):
            return Path(known)
        home = self.folder / "cluster"
        if self.runs_as_another:
            user, group = _unprivileged()
            if not _reaches(self.folder, user, group):
                home = Path(tempfile.mkdtemp(prefix="furrow-postgres-", dir="/var/tmp"))
            home.mkdir(mode=0o700, exist_ok=True)
            os.chown(home, user, group)
        home.mkdir(mode=0o700, exist_ok=True)
        self._remember(data=str(home / "data"))
        return home / "data"

    def _initialise(self, data: Path) -> None:
        """Create the cluster, under another name until it is whole. What an interrupted attempt left is removed."""
        new = data.with_name("data.new")
        shutil.rmtree(new, ignore_errors=True)
        user, group = _unprivileged() if self.runs_as_another else (None, None)
        secret = data.parent / f"password-{secrets.token_hex(4)}"
        files.write(secret, self.password)
        if user is not None and group is not None:
            os.chown(secret, user, group)
        done = subprocess.run(
            [
                str(self._program("initdb")),
                "-D",
                str(new),
                "-U",
                _NAME,
                "--auth=scram-sha-256",
                f"--pwfile={secret}",
                "--encoding=UTF8",
                "--no-locale",
                "--no-instructions",
                *(() if self.durable else ("--no-sync",)),
            ],
            env=self.environ(),
            cwd="/",
            capture_output=True,
            text=True,
            errors="replace",
            user=user,
            group=group,
            extra_groups=None if user is None else [],
        )
        secret.unlink()
        if done.returncode:
            raise ServiceFailed(f"initdb failed for {data}:\n{done.stdout}{done.stderr}")
        new.rename(data)

    def _program(self, name: str) -> Path:
        """A program of the version that made the cluster, or of the newest one if there is no cluster yet."""
        version = Path(self._state.get("data", "/nonexistent")) / "PG_VERSION"
        newest = self.binary()
        assert newest is not None, "start() installs it"
        if not version.exists():
            return newest.with_name(name)
        matching = Path("/usr/lib/postgresql") / version.read_text().strip() / "bin" / name
        return matching if matching.exists() else newest.with_name(name)


def _forget_zombie(lock: Path) -> None:
    """Remove the lock of a killed server that nobody reaps (a container whose first process is no init).

    PostgreSQL takes the zombie for a running server and refuses to start.
    """
    with contextlib.suppress(OSError, ValueError, psutil.NoSuchProcess):
        if psutil.Process(int(lock.read_text().split()[0])).status() == psutil.STATUS_ZOMBIE:
            lock.unlink()


def _version(binary: Path) -> float:
    try:
        return float(binary.parts[-3])
    except ValueError:
        return 0


def _unprivileged() -> tuple[int, int]:
    """The user and group that the server runs as when root starts it."""
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise ServiceFailed("PostgreSQL does not run as root, and there is neither a user postgres nor nobody.")


def _reaches(folder: Path, user: int, group: int) -> bool:
    """Whether that user may pass through `folder`."""
    asked = subprocess.run(["test", "-x", str(folder)], cwd="/", user=user, group=group, extra_groups=[])
    return asked.returncode == 0
