"""The private stack: servers, network and processes in a folder of their own; nothing of the user's is touched."""

import json
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from deploy import ROOT, files, ports, processes
from deploy.services import RabbitMQ, Redis, Service

from furrow.conf import conf
from furrow.prove import listener, records, sink, spec
from furrow.prove.database import Database, PostgreSQL, SQLite
from furrow.prove.means.disk import Disk
from furrow.prove.program import Program, ProgramFailed
from furrow.prove.proxy import Network
from furrow.prove.server import OwnPostgres
from furrow.tables import LEADER

#: Seconds; shorter than the defaults, so that ten minutes hold many deaths. The engine's code is the same.
TIMES = {
    "FURROW_WORKER_LEASE": "5",
    "FURROW_LEADER_LEASE": "4",
    "FURROW_SHUTDOWN_GRACE": "3",
    "FURROW_RESEND_AFTER": "10",
}
LEASE = float(TIMES["FURROW_WORKER_LEASE"])
#: Jobs a second that the submitters aim at together, unless told otherwise.
RATE = {"postgresql": 800, "sqlite": 120}
#: Messages of the bridge's queue for each of these jobs.
BRIDGED = 0.1
_VARIABLES = {"postgres": "DATABASE_URL", "rabbitmq": "BROKER_URL", "redis": "REDIS_URL"}


class Stack:
    """See the module. ``database`` is ``postgresql`` or ``sqlite``; ``modules`` are loaded besides the campaign's kinds;
    ``means`` is what the faults need of the machine, of :data:`furrow.prove.means.LACKING`."""

    def __init__(
        self,
        folder: Path,
        database: str,
        *,
        seed: int,
        rate: float = 0,
        modules: Iterable[str] = (),
        means: Iterable[str] = (),
    ) -> None:
        self.folder = folder
        self.vendor = database
        self.seed = seed
        self.rate = rate or RATE[database]
        self.mark = _mark(folder)
        self._modules = list(modules)
        self.rabbitmq = RabbitMQ(folder / "rabbitmq")
        self.redis = Redis(folder / "redis")
        self.servers: dict[str, Service] = {"rabbitmq": self.rabbitmq, "redis": self.redis}
        self.database: Database = SQLite(folder / "db.sqlite3")
        if database == "postgresql":
            self.postgres = OwnPostgres(folder / "postgres", clocked="clock" in means, mounted="disk" in means)
            self.servers["postgres"] = self.postgres
            self.database = PostgreSQL(self.postgres, clocked=self.postgres.clocked)
        #: Of the workers, by their names, where they have disks of their own.
        self.disks: dict[str, Disk] = {}
        if "disk" in means:
            self.disks = {name: _disk(folder, name) for name in ("worker-1", "worker-2")}
        self.network = Network()
        self.programs: dict[str, Program] = {}
        self._password = ""
        #: What the webhook's receiver and the external workers are told.
        self._secrets: dict[str, str] = {}
        #: Set when the campaign has ended.
        self.over = threading.Event()

    def of(self, role: str) -> list[Program]:
        """The programs of a role: ``worker``, ``dispatcher``, ``web``, ``bridge``, ``external``, ``listener``, ``sink``,
        ``client``."""
        return [program for name, program in self.programs.items() if name.partition("-")[0] == role]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Everything up; whatever happens, everything is gone afterwards."""
        with files.locked(self.folder / "lock"):
            self.destroy()
            try:
                self._start_servers()
                self._prepare_database()
                self._start_programs()
                yield
            finally:
                self.over.set()
                self.network.close()
                self._sweep()
                for server in self.servers.values():
                    server.kill()
                self._let_go()

    def destroy(self) -> None:
        """Remove the folder with all data; of what an earlier campaign with this seed left, too."""
        self._sweep()
        let_go(self.folder)
        for server in self.servers.values():
            server.destroy()
        for left in self.folder.iterdir():
            if left.name != "lock":
                shutil.rmtree(left) if left.is_dir() else left.unlink()

    def environ(self, client: str, *, direct: bool = False) -> dict[str, str]:
        """What a process is told: its links to the servers (or the servers themselves), and the campaign's settings."""
        told = {
            **os.environ,
            **TIMES,
            "FURROW_RUN": str(self.folder),
            "DATABASE_URL": f"sqlite:///{quote(str(self.folder / 'db.sqlite3'))}",
            "FURROW_MODULES": ",".join([*conf().modules, "furrow.prove.kinds", *self._modules]),
            "FURROW_QUEUES": ",".join(
                [*(str(conf().partitioned.get(queue, queue)) for queue in self.queues), "prove_lined:4:key"]
            ),
            "FURROW_EVENTS": ",".join(f"job.{kind}.#" for kind in spec.TOLD),
            "FURROW_WEBHOOK_NETWORKS": "127.0.0.0/8",
            "MEDIA_ROOT": str(self.folder / "media"),
            "PYTHONUNBUFFERED": "1",
            "SECRET_KEY": "only for a private stack that lives for minutes",
            "ALLOWED_HOSTS": "127.0.0.1",
            "HTTPS": "false",
            records.FOLDER: str(self.folder / "records"),
            processes.MARK: self.mark,
        }
        for name, server in self.servers.items():
            port = server.port if direct else self.network.connect(client, name, server)
            told[_VARIABLES[name]] = _with(server.url, port=port)
        if not direct and self.vendor == "postgresql":
            told["DATABASE_URL"] = self._as_prove(told["DATABASE_URL"])
        if client in self.disks:
            told["TMPDIR"] = str(self.disks[client].folder)
        return told

    @property
    def queues(self) -> list[str]:
        """The job queues: the installation's own, and the campaign's."""
        return [*conf().queues, "prove"]

    def change_password(self, password: str) -> None:
        """Give the role that the processes log in as another password; what runs still has the old one."""
        self.database.run(f"ALTER ROLE prove PASSWORD '{password}'")
        self._password = password

    def restart_programs(self) -> None:
        """SIGTERM all processes at once, and start them again with the settings of now."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda program: program.stop(seconds=20), self.programs.values()))
        for program in self.programs.values():
            program.env["DATABASE_URL"] = self._as_prove(program.env["DATABASE_URL"])
            program.start()

    def leader(self) -> int:
        """The process number of the dispatcher that leads; 0 when none does, or the database is away."""
        try:
            found = self.database.rows(f"SELECT holder FROM {LEADER} WHERE role = 'dispatcher'")
        except (psycopg.Error, sqlite3.Error):
            return 0
        return int(found[0][0].split(":")[1]) if found else 0

    def tend(self) -> None:
        """Start again what has ended; called all the time."""
        for program in self.programs.values():
            program.tend()

    def _start_servers(self) -> None:
        with ThreadPoolExecutor() as pool:
            list(pool.map(Service.start, self.servers.values()))

    def _prepare_database(self) -> None:
        command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        told = self.environ("prepare", direct=True)
        done = subprocess.run(command, env=told, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise ProgramFailed(f"The private database could not be prepared:\n{done.stdout}{done.stderr}")
        self.sink_port = ports.choose(ports.spread(28000, self.folder))
        command = [sys.executable, "-m", "furrow.prove.outsiders", f"http://127.0.0.1:{self.sink_port}/"]
        done = subprocess.run(command, env=told, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise ProgramFailed(f"The programs outside could not be made known:\n{done.stdout}{done.stderr}")
        self._secrets = json.loads(done.stdout.splitlines()[-1])
        self.database.run(self.database.audit)
        if self.vendor == "postgresql":
            self.database.run("CREATE ROLE prove LOGIN IN ROLE furrow, pg_write_all_data, pg_read_all_data")
            self.change_password(secrets.token_hex(8))

    def _as_prove(self, url: str) -> str:
        """The processes log in as a role of their own, whose password the campaign may change."""
        return _with(url, user=f"prove:{self._password}")

    def _start_programs(self) -> None:
        python, celery = [sys.executable], [sys.executable, "-m", "celery", "-A", "config", "worker"]
        celery += ["--concurrency", "2", "--without-gossip", "--without-mingle", "--loglevel", "info"]
        self.web_port = ports.choose(ports.spread(27000, self.folder))
        gunicorn = ["-m", "gunicorn", "-c", "python:config.web_server", "furrow.prove.web"]
        gunicorn += ["--bind", f"127.0.0.1:{self.web_port}", "--threads", "6"]
        load = [str(self.rate / 2), str(self.web_port)]
        commands = {
            **{f"dispatcher-{n}": [*python, "manage.py", "furrow", "dispatcher"] for n in (1, 2)},
            **{f"worker-{n}": [*celery, "--hostname", f"worker-{n}@prove"] for n in (1, 2)},
            "web": [*python, *gunicorn],
            **{f"bridge-{n}": [*python, "-m", "furrow.prove.bridged", "bridge"] for n in (1, 2)},
            **{f"external-{n}": _external_worker() for n in (1, 2)},
            "listener": [*python, "-m", "furrow.prove.listener"],
            "sink": [*python, "-m", "furrow.prove.sink", str(self.sink_port), str(self.seed)],
            **{f"client-{n}": [*python, "-m", "furrow.prove.load", f"{self.seed}:{n}", *load] for n in (1, 2)},
            "client-3": [*python, "-m", "furrow.prove.bridged", "publish", str(self.seed), str(self.rate * BRIDGED)],
        }
        for disk in self.disks.values():
            disk.mount()
        for name, command in commands.items():
            log = self.disks[name].folder if name in self.disks else self.folder / "log"
            told = self.environ(name, direct=name == "listener") | self._told_besides(name)
            self.programs[name] = Program(name, command, told, log / f"{name}.log")
        threading.Thread(target=self._tend_until_the_end, name="prove-tend", daemon=True).start()
        for role in ("sink", "listener", "dispatcher", "worker", "web", "bridge", "external"):
            for program in self.of(role):
                program.start()
        for program in self.of("worker"):
            program.wait_for("ready.", 90)
        self.programs["listener"].wait_for(listener.READY, 90)
        if not processes.until(lambda: self.database.rows(self.database.triggers, ["furrow_tell_update"]), 90):
            raise ProgramFailed("No dispatcher made the triggers that write events of jobs: see log/dispatcher-1.log.")

    def _told_besides(self, name: str) -> dict[str, str]:
        """What a program outside is told."""
        if name == "sink":
            return {sink.SECRET: self._secrets["webhook"]}
        if name.startswith("external"):
            url = f"http://127.0.0.1:{self.web_port}/api"
            return {"FURROW_URL": url, "FURROW_TOKEN": self._secrets["token"], "FURROW_NAME": name}
        return {}

    def _tend_until_the_end(self) -> None:
        while not self.over.wait(0.2):
            self.tend()

    def _let_go(self) -> None:
        """Keep the logs that are on disks of their own, and unmount these."""
        for name, disk in self.disks.items():
            if disk.mounted and (log := disk.folder / f"{name}.log").exists():
                shutil.copy(log, self.folder / "log")
        let_go(self.folder)

    def _sweep(self) -> None:
        for program in self.programs.values():
            program.hold()
        processes.sweep(self.mark)


def end_leftovers(parent: Path) -> None:
    """End what campaigns left behind that were killed; one that still runs holds its folder's lock and is left alone."""
    for folder in sorted(parent.glob("*/")):
        with files.locked(folder / "lock", wait=False) as free:
            if not free:
                continue
            processes.sweep(_mark(folder))
            for server in (RabbitMQ(folder / "rabbitmq"), Redis(folder / "redis"), OwnPostgres(folder / "postgres")):
                if server.folder.exists():
                    server.kill()
            let_go(folder)


def let_go(folder: Path) -> None:
    """Unmount the disks of the stack in this folder; what is on them stays in their images."""
    OwnPostgres(folder / "postgres").let_go()
    for image in (folder / "disks").glob("*.img"):
        _disk(folder, image.stem).unmount()


def _external_worker() -> list[str]:
    """The one for Node.js of docs/other_languages, or where there is no Node.js the one for Python."""
    programs, node = ROOT / "docs" / "other_languages", shutil.which("node")
    return [node, str(programs / "worker.mjs")] if node else [sys.executable, str(programs / "worker.py")]


def _disk(folder: Path, name: str) -> Disk:
    return Disk(folder / "disks" / f"{name}.img", folder / "disks" / name)


def _mark(folder: Path) -> str:
    return f"prove in {folder}"


def _with(url: str, *, port: int | None = None, user: str | None = None) -> str:
    parts = urlsplit(url)
    old_user, _, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user or old_user}@127.0.0.1:{port or parts.port}"))
