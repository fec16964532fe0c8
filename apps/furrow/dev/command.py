"""``manage.py furrow dev``: web, dispatcher, workers and Flower for a developer."""

import importlib.util
import os
import signal
import socket
import sys
import threading
from argparse import ArgumentParser
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils.termcolors import make_style

from furrow.dev.child import Child
from furrow.dev.group import Group
from furrow.dev.watch import Watch
from furrow.monitoring import health
from furrow.rabbitmq.queues import broker_setting

#: Ports that are tried, from the first upwards.
TRIED = 100
COLOURS = ("cyan", "yellow", "green", "magenta", "blue")


class Command(BaseCommand):
    """Runs until Ctrl-C."""

    help = (
        "For development: run web, dispatcher, workers, bridges (if there are any) and Flower (if it is installed) in this "
        "terminal, and start them again when code changes. Ctrl-C ends all in order, a second one at once."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What runs, and where."""
        project = os.environ.get("DJANGO_SETTINGS_MODULE", "").partition(".")[0]
        parser.add_argument("--port", type=int, default=8000, help="of web; another one is chosen if it is taken; default 8000")
        parser.add_argument("--workers", type=int, default=1, help="how many workers; default 1")
        parser.add_argument("--processes", type=int, default=2, help="pool processes of each; default 2")
        parser.add_argument("--app", "-A", default=project, help=f"the Celery application; default: {project or 'none'}")
        parser.add_argument("--no-web", action="store_true", help="without the web server")
        parser.add_argument("--no-flower", action="store_true", help="without Flower")
        parser.add_argument("--no-reload", action="store_true", help="go on with the code as it was at the start")

    def handle(self, *args: Any, workers: int, processes: int, no_reload: bool, **options: Any) -> None:
        """Look whether the servers are there, and run."""
        for name, number in {"--workers": workers, "--processes": processes}.items():
            if not 0 < number <= 64:
                raise CommandError(f"{name} {number}: give a number from 1 to 64.")
        _refuse_without_servers()
        wake = threading.Event()
        watch = None
        if not no_reload:
            if importlib.util.find_spec("watchfiles"):
                watch = Watch(Path.cwd(), wake)
            else:
                self.stderr.write("Code that changes is not seen: pip install 'furrow-jobs[dev]' has what sees it.")
        self.begin_lines(colour=self.stdout.isatty() and not os.environ.get("NO_COLOR") and not options["no_color"])
        Group(self._stages(workers, processes, options), self.say, wake, watch).run()
        self.say("dev", "All processes have ended.")

    def begin_lines(self, *, colour: bool) -> None:
        """Get ready to :meth:`say` lines."""
        self._mutex, self._coloured = threading.Lock(), colour
        self._colours: dict[str, Any] = {}

    def _stages(self, workers: int, processes: int, options: dict[str, Any]) -> list[list[Child]]:
        """The dispatcher ends last: it puts right what the others leave."""
        python = [sys.executable]
        manage = [*python, "manage.py"] if Path("manage.py").exists() else [*python, "-m", "django"]
        celery = [*python, "-m", "celery", "-A", options["app"]]
        path = os.pathsep.join(folder or os.getcwd() for folder in sys.path)
        environ = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
        first: list[Child] = []
        if not options["no_web"]:
            address = f"127.0.0.1:{self._port(options['port'], 'web')}"
            self.say("dev", f"web: http://{address}/")
            runserver = [*manage, "runserver", "--noreload", address]
            first.append(Child("web", runserver, environ, self.say, needs_templates=True))
        if not options["no_flower"] and importlib.util.find_spec("flower"):
            port = self._port(5555, "Flower")
            self.say("dev", f"Flower: http://127.0.0.1:{port}/")
            flower = [*celery, "flower", "--address=127.0.0.1", f"--port={port}"]
            first.append(Child("flower", flower, environ, self.say))
        for number in range(1, workers + 1):
            name = f"worker-{number}"
            worker = [*celery, "worker", "-l", "INFO", "-c", str(processes), "-n", f"dev-{os.getpid()}-{number}@%h"]
            # Cold: what runs is handed back at once, and not counted as an attempt.
            first.append(Child(name, worker, environ, self.say, stop=signal.SIGQUIT))
        bridges = [*manage, "furrow", "bridges", "--if-any"]
        first.append(Child("bridges", bridges, environ, self.say, may_end=True))
        return [first, [Child("dispatcher", [*manage, "furrow", "dispatcher"], environ, self.say)]]

    def _port(self, first: int, what: str) -> int:
        for port in range(first, min(first + TRIED, 65536)):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            if port != first:
                self.say("dev", f"Port {first} is taken: {what} gets {port}.")
            return port
        raise CommandError(f"No port from {first} to {first + TRIED - 1} is free for {what}: name another one with --port.")

    def say(self, name: str, line: str) -> None:
        """One line, of one of the processes or of this one. From any thread."""
        with self._mutex:
            prefix = f"{name:<10} |"
            if self._coloured:
                colour = COLOURS[len(self._colours) % len(COLOURS)]
                prefix = self._colours.setdefault(name, make_style(fg=colour, opts=("bold",)))(prefix)
            with suppress(OSError):  # the terminal was closed; the processes are ended all the same
                self.stdout.write(f"{prefix} {line}")
                self.stdout.flush()


def _refuse_without_servers() -> None:
    """Name each that is not there.

    Raises:
        CommandError: with what is to be done.
    """
    remedies = {
        "RabbitMQ": "Start it (docker compose up -d --wait rabbitmq; on Debian sudo apt-get install rabbitmq-server), or name "
        f"another one in {broker_setting()}.",
        "Redis": "Start it, or leave FURROW['REDIS_URL'] empty: it is optional.",
    }
    try:
        missing = health.missing()
    except DatabaseError as error:
        raise CommandError(f"The database does not answer: {str(error).strip()}. Start it, or change DATABASES.") from None
    if missing:
        said = [
            " ".join([trouble, *(remedy for name, remedy in remedies.items() if trouble.startswith(name))])
            for trouble in missing
        ]
        raise CommandError("\n".join(said))
