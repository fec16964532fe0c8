"""A real dispatcher and a real worker, on the test database and a broker: for what only they do (timeouts, parallel runs)."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.models.functions import Now

from furrow.models import Job, Leader, Worker
from furrow.models.database import connection
from furrow.rabbitmq import private_host
from furrow.rabbitmq.queues import broker_urls
from furrow.states import FINAL

#: ``-P`` keeps its folder from the path, where modules have common names.
PROGRAM = Path(__file__).with_name("program.py")
#: Seconds until both work, and until they end once asked to.
READY, ENDS = 60.0, 30.0
#: Seconds between two looks.
LOOK = 0.05


class RealWorker:
    """Both processes. ``start`` returns when they work; ``stop`` ends them. The fixture ``furrow_worker`` does that."""

    def __init__(self, broker: str, *, processes: int = 2) -> None:
        self.broker, self.processes = broker, processes
        self.node = f"furrow-tests-{uuid.uuid4().hex[:8]}@localhost"
        self._began: dict[str, tuple[subprocess.Popen[bytes], Path]] = {}

    def start(self) -> None:
        """Start both, and wait until they work.

        Raises:
            ImproperlyConfigured: they could not see the test database.
            BrokerError: RabbitMQ has no virtual host for them.
            AssertionError: they do not work in time; with the end of their logs.
        """
        databases = {alias: _shared_name(alias) for alias in connections}
        private_host.prepare(self.broker)
        given = {"databases": databases, "broker": self.broker, "node": self.node, "processes": self.processes}
        environ = {**os.environ, "FURROW_TESTING": json.dumps(given), "DJANGO_SETTINGS_MODULE": settings.SETTINGS_MODULE}
        environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        for name in ("dispatcher", "worker"):
            log = Path(tempfile.mkstemp(prefix=f"furrow-{name}-", suffix=".log")[1])
            with log.open("wb") as file:
                popen = subprocess.Popen(
                    [sys.executable, "-P", str(PROGRAM), name],
                    env=environ,
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            self._began[name] = popen, log
        self._wait(self._works, READY, "dispatcher and worker do not work")

    def wait(self, *jobs: Job | uuid.UUID, seconds: float = 30.0) -> None:
        """Wait until these jobs have ended; without any, all that there are.

        Raises:
            AssertionError: they have not, in time; with the end of the logs.
        """
        ids = [job.pk if isinstance(job, Job) else job for job in jobs]
        left = Job.objects.exclude(state__in=FINAL).filter(**({"pk__in": ids} if ids else {}))
        self._wait(lambda: not left.exists(), seconds, "jobs have not ended")
        for job in jobs:
            if isinstance(job, Job):
                job.refresh_from_db()

    def stop(self) -> None:
        """End both; jobs that run are handed back."""
        for popen, _ in self._began.values():
            popen.send_signal(signal.SIGTERM)
        for popen, log in self._began.values():
            try:
                popen.wait(ENDS)
            except subprocess.TimeoutExpired:
                os.killpg(popen.pid, signal.SIGKILL)
                popen.wait()
            log.unlink(missing_ok=True)
        self._began.clear()

    def _works(self) -> bool:
        leads = Leader.objects.filter(lease_until__gt=Now(), progressed_at__isnull=False).exists()
        return leads and Worker.objects.filter(node=self.node, lease_until__gt=Now(), stopped_at=None).exists()

    def _wait(self, condition: Any, seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            ended = [name for name, (popen, _) in self._began.items() if popen.poll() is not None]
            if ended or time.monotonic() > deadline:
                why = f"the {ended[0]} has ended" if ended else f"within {seconds:g} s"
                raise AssertionError(f"{what} ({why}){''.join(self._logs())}")
            time.sleep(LOOK)

    def _logs(self) -> Iterable[str]:
        for name, (_, log) in self._began.items():
            yield f"\n--- {name}\n{log.read_text(errors='replace')[-3000:]}"


def _shared_name(alias: str) -> str:
    link = connections[alias]
    name = str(link.settings_dict["NAME"])
    if link.vendor == "sqlite" and (link.is_in_memory_db() or "mode=memory" in name):  # type: ignore[attr-defined]
        raise ImproperlyConfigured(
            f"The test database of {alias!r} is in this process's memory, where no worker sees it: give it a file, "
            f"DATABASES[{alias!r}]['TEST'] = {{'NAME': BASE_DIR / 'test.sqlite3'}}."
        )
    return name


def default_broker() -> str:
    """The project's broker, with a virtual host of this test database: two runs, or two processes of pytest-xdist, do not get
    each other's messages."""
    url = broker_urls()[0]
    parts = urlsplit(url)
    name = Path(str(connection.settings_dict["NAME"])).name
    return f"{parts.scheme}://{parts.netloc}/{quote(f'furrow-{name}', safe='')}"
