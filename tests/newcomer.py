"""A project that ``furrow startproject`` writes, and what somebody types in it."""

import os
import sqlite3
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

from deploy import processes

from tests import forks, services
from tests.stack import Process


@cache
def broker_url() -> str:
    """A virtual host of the tests' RabbitMQ for other projects: the queues of the tests' own have the same names."""
    ctl, name = services.broker.ctl, "projects"
    if name not in ctl("list_vhosts", "--quiet", "--no-table-headers", "name").split():
        ctl("add_vhost", name)
        ctl("set_permissions", "--vhost", name, "furrow", ".*", ".*", ".*")
    return services.broker.url.removesuffix("/") + name


class Project:
    """Made in a folder of its own, on SQLite, with this checkout's package and the tests' RabbitMQ."""

    def __init__(self, folder: Path) -> None:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("FURROW", "DJANGO", "CELERY")) and name not in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY")
        }
        self.environ = kept | {
            "PYTHONPATH": str(services.ROOT / "apps"),
            "BROKER_URL": broker_url(),
            "PYTHONUNBUFFERED": "1",
            processes.MARK: services.MARK,
        }
        self.folder = folder
        made = self.run("-m", "furrow", "startproject", "bakery")
        assert made.returncode == 0, made.stderr
        self.folder = folder / "bakery"

    def run(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a Python command to its end."""
        environ = self.environ | environ
        return forks.run([sys.executable, *words], env=environ, cwd=self.folder)

    def start(self, name: str, *words: str) -> Process:
        """Start a Python command."""
        return Process(f"bakery-{name}", [sys.executable, *words], self.environ, self.folder)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What its database answers."""
        link = sqlite3.connect(self.folder / "db.sqlite3", timeout=20)
        try:
            return link.execute(query).fetchall()
        finally:
            link.close()
