"""The local stack of one run folder: its private servers and its processes, brought up and down as a whole."""

import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deploy import ROOT, environment, files, health, packages, processes
from deploy.environment import Memory
from deploy.errors import PackagesMissing, PortTaken, StackFailed
from deploy.services import Postgres, RabbitMQ, Redis, Service
from deploy.services.base import PORTS_TRIED
from deploy.supervisor import PROGRAMS, Supervisor


def say(subject: str, what: str) -> None:
    """One line of progress."""
    print(f"  {subject:<12}{what}", flush=True)


class Stack:
    """What `up`, `down` and `status` act on. Two of them on one run folder wait for each other."""

    def __init__(self, run: Path, environ: Mapping[str, str] | None = None) -> None:
        self.run = run
        self.environ = dict(os.environ if environ is None else environ)
        self.memory = Memory(run)
        self.servers: dict[str, Service] = {
            "DATABASE_URL": Postgres(run / "postgres"),
            "BROKER_URL": RabbitMQ(run / "rabbitmq"),
            "REDIS_URL": Redis(run / "redis"),
        }

    @property
    def supervisor(self) -> Supervisor:
        """supervisord of this run folder."""
        known = self.memory["ports"]["SUPERVISOR_PORT"]
        return Supervisor(self.run, port=known, password=self.memory["supervisor_password"])

    def told(self) -> dict[str, str]:
        """The environment of a command that belongs to the stack."""
        own = {name: value for name, value in self.environ.items() if value}
        return {**environment.load(self.run), **own, "FURROW_RUN": str(self.run), "PYTHONUNBUFFERED": "1"}

    def up(self) -> None:
        """Bring everything up and return once it works; what runs already is left alone, unless its settings changed.

        Raises DeployError; what did come up stays up.
        """
        self._claim_folder()
        with files.locked(self.run / "lock") as at_once:
            if not at_once:
                say("lock", "waited for another command on this run folder")
            stores = self._start_servers()
            self._settle(stores)
            self._prepare()
            for tries_left in reversed(range(PORTS_TRIED)):
                try:
                    self._start_processes()
                    return
                except PortTaken as error:
                    if not tries_left:
                        raise
                    say("ports", f"{error}: choosing others")
                    self._choose(stores)

    def _start_processes(self) -> None:
        """Start them, unless they run, and wait until each works. Raises PortTaken, StackFailed."""
        told = self.told() | {processes.MARK: self.memory["id"]}
        if not self.supervisor.alive:
            health.refuse_strangers(told)
            say("supervisor", f"starting {', '.join(PROGRAMS)}")
            self.supervisor.start(told)
        for program in health.wait(self.supervisor, told):
            say(program, "works")

    def down(self) -> None:
        """Stop what `up` started, by its process numbers, and then whatever still carries this stack's mark."""
        if not self.run.exists():
            say("stack", "nothing is running")
            return
        with files.locked(self.run / "lock"):
            stopped = [self._stop_processes(), *(self._stop_server(server) for server in self.servers.values())]
        if not any(stopped):
            say("stack", "nothing is running")

    def status(self) -> tuple[list[str], list[str]]:
        """Print the state of every part that `up` would start; returns the names of those that run, and of the others."""
        parts: dict[bool, list[str]] = {True: [], False: []}
        if not (self.run / "env").exists():
            return parts[True], parts[False]
        settings, states = self.told(), self.supervisor.states()
        if settings["DATABASE_URL"].startswith("sqlite"):
            say("database", f"SQLite, {self.run / 'db.sqlite3'}")
        for variable, server in self.servers.items():
            if self._is_private(variable, settings[variable]):
                say(server.name, f"{'running' if server.alive else 'stopped'}, 127.0.0.1:{server.port}")
                parts[server.alive].append(server.name)
        for program in PROGRAMS:
            say(program, states.get(program, "stopped").lower())
            parts[states.get(program) == "RUNNING"].append(program)
        return parts[True], parts[False]

    def addresses(self) -> list[str]:
        """Where to look, and as whom to log in."""
        settings = self.told()
        web = f"http://127.0.0.1:{settings['WEB_PORT']}"
        return [
            f"Admin    {web}/admin/    login admin / {self.memory['admin_login']}",
            f"Flower   {web}/flower/   the same login",
        ]

    def _claim_folder(self) -> None:
        self.run.mkdir(parents=True, exist_ok=True)
        if not os.access(self.run, os.W_OK | os.X_OK):
            owner = self.run.owner()
            raise StackFailed(f"{self.run} belongs to {owner}: remove it, or set FURROW_RUN to a folder of yours.")
        self._close_folders()

    def _close_folders(self) -> None:
        """Passwords, logs and data are nobody else's. Started by root, PostgreSQL runs as another user, whose folder lies
        within."""
        as_root = os.geteuid() == 0
        files.close_folder(self.run, passable=as_root)
        files.close_folder(self.run / "log")
        for path in self.run.iterdir():
            if path.is_symlink() or path.stat().st_uid != os.geteuid():
                continue
            if path.is_dir():
                files.close_folder(path, passable=as_root and "postgres" in (path.name, *os.listdir(path)))
            elif path.is_file():
                path.chmod(0o600)

    def _start_servers(self) -> dict[str, str]:
        """Start the private servers that no variable replaces; returns the stores' URLs by variable."""
        kind = environment.database_kind(self.memory, self.environ)
        self.memory.remember(database=kind, given=environment.given(self.memory, self.environ))
        stores, private = {}, {}
        for variable, server in self.servers.items():
            given = self.environ.get(variable, "")
            if given and not self._is_private(variable, given):
                stores[variable] = given
                say(server.name, f"yours, from {variable}")
            elif variable != "DATABASE_URL" or kind == "postgres" or given:
                private[variable] = server
        self._install(private)
        with ThreadPoolExecutor() as pool:
            list(pool.map(Service.start, private.values()))
        for variable, server in private.items():
            stores[variable] = server.url
            say(server.name, f"ready on 127.0.0.1:{server.port}")
        return stores

    def _is_private(self, variable: str, url: str) -> bool:
        """Whether this URL is the private server's own, which a shell that has read `<run>/env` hands back."""
        server = self.servers[variable]
        return server.folder.exists() and server.url == url

    def _install(self, private: Mapping[str, Service]) -> None:
        missing = [server.package for server in private.values() if server.binary() is None]
        try:
            packages.install(missing)
        except PackagesMissing as error:
            variables = ", ".join(name for name, server in private.items() if server.package in missing)
            raise PackagesMissing(
                f"{error}\nOr use servers of your own: set {variables}.\n"
                "Or run everything in containers:\n    docker compose up"
            ) from error

    def _settle(self, stores: Mapping[str, str]) -> None:
        """Decide ports and settings, write them down, and stop processes that were started with other settings."""
        if self.supervisor.alive:
            settings = environment.compose(self.run, self.memory, stores, self.environ)
            if settings == environment.load(self.run):
                return
            say("settings", "changed: restarting the processes")
        self._choose(stores)

    def _choose(self, stores: Mapping[str, str]) -> None:
        self._stop_processes()
        environment.choose_ports(self.memory, self.environ)
        environment.save(self.run, environment.compose(self.run, self.memory, stores, self.environ))

    def _prepare(self) -> None:
        """Migrate, and see to the administrator. Raises StackFailed with the last lines of what went wrong."""
        told = self.told()
        say("database", f"{'SQLite' if told['DATABASE_URL'].startswith('sqlite') else 'PostgreSQL'}, migrating")
        command = [sys.executable, "-m", "deploy.prepare"]
        done = subprocess.run(command, env=told, cwd=ROOT, umask=0o077, capture_output=True, text=True)
        if done.returncode:
            last = "\n".join((done.stdout + done.stderr).splitlines()[-20:])
            raise StackFailed(f"The database could not be prepared:\n{last}")
        opens = done.stdout.split()[-1] == "generated"
        self.memory.remember(admin_login=told["ADMIN_PASSWORD"] if opens else "(the password you set)")

    def _stop_processes(self) -> bool:
        was_alive = self.supervisor.alive
        if was_alive:
            say("processes", "stopping; running jobs get up to 30 seconds")
        self.supervisor.stop()
        strays = processes.sweep(self.memory["id"])
        if strays:
            say("processes", f"ended {strays} left behind")
        return was_alive or strays > 0

    def _stop_server(self, server: Service) -> bool:
        if not server.folder.exists():
            return False
        was_alive = server.alive
        server.stop()
        if was_alive:
            say(server.name, "stopped")
        return was_alive
