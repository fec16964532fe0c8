"""What a newcomer's processes say, in the simplest of projects: Django's own logging, no table, the one line forgotten."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from deploy import processes

from tests import forks, services
from tests.newcomer import broker_url
from tests.stack import Process, wait_until

SETTINGS = """
SECRET_KEY = "a newcomer's"
INSTALLED_APPS = [*(f"django.contrib.{{name}}" for name in ("contenttypes", "auth", "admin")), "furrow"]
SILENCED_SYSTEM_CHECKS = ["admin.E403", "admin.E406", "admin.E408", "admin.E409", "admin.E410"]
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": {database!r}}}}}
CELERY_BROKER_URL = {broker!r}
"""
CELERY = """
import os

from {line} import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
app = Celery("shop")
app.config_from_object("django.conf:settings", namespace="CELERY")
"""
MANAGE = """
import os, sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
from django.core.management import execute_from_command_line

execute_from_command_line(sys.argv)
"""


class Newcomer:
    """The project, and what is started in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.began: list[Process] = []
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("FURROW", "DJANGO", "CELERY"))}
        self.environ = kept | {
            "PYTHONPATH": str(services.ROOT / "apps"),
            "PYTHONUNBUFFERED": "1",
            processes.MARK: services.MARK,
        }
        (folder / "shop").mkdir()
        database = str(folder / "shop.sqlite3")
        for name, text in {
            "manage.py": MANAGE,
            "shop/settings.py": SETTINGS.format(database=database, broker=broker_url()),
            "shop/celery.py": CELERY.format(line="furrow.celery"),
            "shop/__init__.py": "from shop.celery import app as celery_app",
        }.items():
            (folder / name).write_text(text)

    def start(self, name: str, *words: str) -> Process:
        """Start a process; it is stopped with the test."""
        self.began.append(Process(f"newcomer-{name}", [sys.executable, *words], self.environ, self.folder))
        return self.began[-1]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return forks.run([sys.executable, *words], env=self.environ, cwd=self.folder)


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[Newcomer]:
    newcomer = Newcomer(tmp_path)
    yield newcomer
    for process in newcomer.began:
        process.kill()


def said(process: Process, text: str) -> None:
    """Wait until it has."""
    wait_until(lambda: text in process.text or process.popen.poll() is not None, what=f"{text!r} in {process.log}")
    assert text in process.text, process.text[-3000:]


def test_a_dispatcher_tells_what_it_works_on_and_names_what_it_lacks_once(newcomer: Newcomer) -> None:
    first = newcomer.start("first", "manage.py", "furrow", "dispatcher")
    said(first, "The database lacks tables or columns: type python manage.py migrate")
    migrated = newcomer.run("manage.py", "migrate")
    assert migrated.returncode == 0, migrated.stderr
    said(first, "This dispatcher leads (term 1).")
    second = newcomer.start("second", "manage.py", "furrow", "dispatcher")
    said(second, "Standing by: ")
    assert f":{first.popen.pid}:" in second.text
    said(first, "The database is back.")
    assert f"database {newcomer.folder}/shop.sqlite3; broker amqp://furrow:********@127.0.0.1" in first.text
    assert services.broker.password not in first.text
    # Of a migration that is half done it may lack another one: each is told once.
    lacks = [line for line in first.text.splitlines() if "lacks tables" in line]
    assert len(lacks) == len({*lacks})
    assert first.text.index("lacks tables") < first.text.index("The database is back.")


def test_a_worker_of_celerys_own_application_does_not_start_in_silence(newcomer: Newcomer) -> None:
    (newcomer.folder / "shop" / "celery.py").write_text(CELERY.format(line="celery"))
    worker = newcomer.start("stock", "-m", "celery", "-A", "shop", "worker", "--pool", "solo", "--queues", "newcomers")
    said(worker, "This worker runs no jobs: its Celery application, shop, is Celery's own")
    assert "from furrow.celery import Celery" in worker.text


def test_the_console_script_is_called_by_its_own_name(newcomer: Newcomer) -> None:
    for words, usage in {("-m", "furrow"): "furrow", ("manage.py", "furrow"): "manage.py furrow"}.items():
        assert newcomer.run(*words, "--help").stdout.startswith(f"usage: {usage} ")
        assert newcomer.run(*words, "jobs", "--help").stdout.startswith(f"usage: {usage} jobs ")
    (newcomer.folder / "deploy").mkdir()  # the newcomer's own, instead of the repository's
    (newcomer.folder / "deploy" / "__init__.py").touch()
    refused = newcomer.run("-m", "furrow", "prove", "--help")
    assert refused.returncode == 1
    assert "needs a clone of Furrow's repository" in refused.stderr


def test_the_command_line_needs_no_admin(newcomer: Newcomer) -> None:
    settings = newcomer.folder / "shop" / "settings.py"
    settings.write_text(settings.read_text().replace('"auth", "admin"', '"auth"'))
    migrated = newcomer.run("manage.py", "migrate")
    assert migrated.returncode == 0, migrated.stderr
    listed = newcomer.run("-m", "furrow", "jobs", "stats")
    assert listed.returncode == 0, listed.stderr
    assert "Start one: celery -A shop worker" in listed.stdout
