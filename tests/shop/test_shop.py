"""A shop takes Furrow on, as README says line by line, and off again; what is its own goes on as before.

The shop (``project/``) knows nothing of Furrow: apps of its own below ``apps/``, one of them with the label ``jobs``, a user
without a user name, a back office of its own, Celery with classic queues. Furrow is there as the wheel, with the packages that
the wheel declares, at the versions of requirements.txt.
"""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import amqp
import pytest
from deploy import processes

from tests import services
from tests.shop.conftest import FOLDER, OWN, environment, offline, run
from tests.stack import Process

README = (services.ROOT / "README.md").read_text()


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("database", "theme"), [("sqlite", "stock"), ("postgresql", "unfold")], indirect=["database"])
def test_a_shop_takes_furrow_on_and_off(wheelhouse: Path, database: str, broker: str, theme: str) -> None:
    """Without Furrow; with it, as README says; without it again."""
    shop = Shop(theme, database, broker, wheelhouse)
    with shop.stopped():
        shop.run("python manage.py migrate")
        shop.start("celery -A shop worker")
        before, tables, queues = shop.visit("own"), shop.visit("tables"), shop.own_queues()
        assert (before["result"], before["refused"]) == (5, [402, 0])
        shop.stop()

        shop.adopt()
        with_jobs = shop.visit("jobs")
        assert with_jobs == {
            "kind": "apps.orders.tasks.charge",
            "arguments": True,
            "result": True,
            "delay": True,
            "by send_task": True,
            "listed": True,
            "page": [200, True],
            "output": 200,
            "buttons": True,
            "lists": dict.fromkeys(with_jobs["lists"], 200),
            "submit": [200, 200],
            "unknown job": 404,
        }
        assert {"job", "attempt", "queue", "worker"} <= with_jobs["lists"].keys()
        assert shop.visit("own") == before
        assert shop.own_queues() == queues
        shop.stop()

        shop.give_up()
        shop.start("celery -A shop worker")
        assert shop.visit("own") == before
        assert shop.visit("tables") == tables
        assert shop.own_queues() == queues


class Shop:
    """A copy of the project, with an environment of its own."""

    def __init__(self, theme: str, database: str, broker: str, wheelhouse: Path) -> None:
        self.theme, self.broker = theme, broker
        self.folder = FOLDER / "project"
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(Path(__file__).parent / "project", self.folder)
        self.began: list[Process] = []
        venv = FOLDER / f"venv-{theme}"
        self.environ = {
            "PATH": f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(FOLDER),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            processes.MARK: services.MARK,
            **offline(wheelhouse),
            "SHOP_THEME": theme,
            "SHOP_DATABASE": database,
            "SHOP_BROKER": broker,
            "SHOP_RESULTS": "django-db" if theme == "unfold" else services.redis.url.rpartition("/")[0] + "/5",
        }
        if not venv.exists():
            environment(venv)
            self.run(f"pip install {' '.join(map(repr, OWN))} {'django-unfold' if theme == 'unfold' else ''}")

    def run(self, line: str) -> str:
        """What a line that is typed in the project's folder prints."""
        return run(["bash", "-ec", line], env=self.environ, cwd=self.folder)

    def start(self, line: str) -> Process:
        """A process that goes on."""
        process = Process(f"shop-{len(self.began)}", ["bash", "-ec", f"exec {line}"], self.environ, self.folder)
        self.began.append(process)
        return process

    def stop(self) -> None:
        """End what was started."""
        for process in self.began:
            process.stop()

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Nothing is left running; what went wrong is told with the logs."""
        try:
            yield
        except BaseException:
            for process in self.began:
                print(f"{process.log}:\n{process.text[-4000:]}")
            raise
        finally:
            for process in self.began:
                process.kill()

    def visit(self, what: str) -> Any:
        """See ``project/visit.py``."""
        return json.loads(self.run(f"python visit.py {what}").rpartition("SEEN")[2])

    def own_queues(self) -> dict[str, bool]:
        """Declares the shop's queues as its settings do: RabbitMQ refuses if they have become other ones."""
        with amqp.Connection(
            f"127.0.0.1:{services.broker.port}", userid="furrow", password=services.broker.password, virtual_host="shop"
        ) as connection:
            channel = connection.channel()
            for name, arguments in {"celery": {}, "mail": {"x-max-priority": 10}}.items():
                channel.exchange_declare(name, "direct", durable=True, auto_delete=False)
                channel.queue_declare(name, durable=True, auto_delete=False, arguments=arguments)
        return {"as declared": True}

    def adopt(self) -> None:
        """Do what README says, line by line."""
        lines = _lines("Add it to your project")
        assert [line.split()[0] for line in lines] == ["pip", "INSTALLED_APPS", "from", "python", "celery", "python"]
        for line in lines:
            if line.startswith("INSTALLED_APPS"):
                self._append("shop/settings.py", line)
            elif line.startswith("from furrow.celery"):
                self._refused_without(line)
                self._replace("shop/celery.py", "from celery import Celery", line)
                self._first_job()
            elif line.startswith("celery") or line.endswith("dispatcher"):
                self.start(line)
            else:
                self.run(line if self.theme == "unfold" else line.replace("[unfold,flower]", ""))

    def _refused_without(self, line: str) -> None:
        """With Celery's own class there is an error that names the line."""
        with pytest.raises(subprocess.CalledProcessError) as refused:
            self.run("python manage.py check")
        assert line in str(refused.value.stderr)

    def _first_job(self) -> None:
        """README's first job, and where it is submitted; and an admin site of one's own."""
        task, call = _blocks("A job in ten lines")[:2]
        self._append("apps/orders/tasks.py", task)
        submit = next(line.strip() for line in call.splitlines() if ".submit(" in line)
        self._replace("apps/orders/views.py", "# here a job is submitted", f"tasks.{submit}")
        if self.theme == "stock":
            self._append("shop/admin.py", "\n".join(line for line in _blocks("Your own admin site")[0].splitlines()))
            self._append("shop/settings.py", f"FURROW = {{'REDIS_URL': {services.redis.url!r}}}")

    def give_up(self) -> None:
        """Take it off, as README says."""
        for line in _lines("Take it off again"):
            if line.startswith("pip") and "--yes" not in line:
                line += " --yes"
            if line.startswith("from celery"):  # and all else that the shop added
                shutil.rmtree(self.folder)
                shutil.copytree(Path(__file__).parent / "project", self.folder)
            else:
                self.run(line)

    def _append(self, name: str, text: str) -> None:
        with (self.folder / name).open("a") as file:
            file.write(f"\n{text}\n")

    def _replace(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))


def _blocks(title: str) -> list[str]:
    """The code below one of README's titles."""
    found: list[str] = []
    block: list[str] | None = None
    here = False
    for line in README.splitlines():
        if line.startswith("```"):
            if block is not None and here:
                found.append("\n".join(block))
            block = [] if block is None else None
        elif block is not None:
            block.append(line)
        elif line.startswith("#"):
            here = line.strip("# ") == title
    assert found, f"README has no code below {title!r}"
    return found


def _lines(title: str) -> list[str]:
    """The lines of the first of these, without what is said of them."""
    return [line.split("  #")[0].strip() for line in _blocks(title)[0].splitlines() if line.strip()]
