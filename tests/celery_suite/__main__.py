"""``python -m tests.celery_suite MODE [--only FILE …] [-k WORDS]``: Celery's own integration tests, in one of three modes.

``stock``: Celery as it is, with results in Redis. ``plain``: tasks as they are, in this product's application and worker.
``adopted``: each task a job. ``table`` compares what was written down and puts the counts into docs/celery_compatibility.md.

Fetches the source of Celery's release from the package index into a folder of its own, with an environment of its own, and
starts a private RabbitMQ, Redis and PostgreSQL there; all of it is below ``.run/celery_suite``. A whole run takes half an hour.
"""

import argparse
import hashlib
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "apps"), str(ROOT / "platform")]

import psycopg  # noqa: E402
import redis  # noqa: E402
from deploy import files  # noqa: E402
from deploy.services import Postgres, RabbitMQ, Redis  # noqa: E402

from tests.celery_suite import table  # noqa: E402

FOLDER = ROOT / ".run" / "celery_suite"
MODES = ("stock", "plain", "adopted")
#: Beside what Furrow needs: what Celery's own requirements for its tests name, as far as these tests use it.
REQUIREMENTS = [
    "pytest==9.1.1",
    "pytest-rerunfailures==16.7",
    "pytest-subtests==0.15.0",
    "pytest-timeout==2.4.0",
    "pytest-order==1.5.0",
    "freezegun==1.5.5",
    "tblib==3.2.2",
    "cryptography==50.0.2",
    "sqlalchemy",
    "pymemcache",
    "msgpack",
    "PyYAML",
    "mock",
]


def main() -> int:
    """Run one mode, or write the table."""
    given = argparse.ArgumentParser(prog="python -m tests.celery_suite", description=__doc__.partition("\n")[0])
    given.add_argument("mode", choices=[*MODES, "table"])
    given.add_argument("--only", nargs="+", default=[], metavar="FILE", help="files, such as test_tasks.py; all others stay")
    given.add_argument("-k", default="", metavar="WORDS", help="tests, by pytest's expression")
    given.add_argument("--seconds", type=int, default=90, help="the longest that one test may take")
    chosen = given.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if chosen.mode == "table":
        return table.write(FOLDER, ROOT / "docs" / "celery_compatibility.md")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with files.locked(FOLDER / "lock"):
        tests, python = source(), environment()
    with servers(chosen.mode) as addresses:
        environ = environment_of(chosen.mode, addresses, python) | {"CELERY_SUITE_SECONDS": str(chosen.seconds)}
        with processes_of(chosen.mode, python, environ):
            return run(chosen, tests, python, environ)


def source() -> Path:
    """The folder of Celery's tests, of the release that this checkout pins."""
    release = version("celery")
    folder = FOLDER / f"celery-{release}"
    if not folder.exists():
        fetch = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", "celery", "-d", str(FOLDER)]
        subprocess.run([*fetch, f"celery=={release}"], check=True)
        with tarfile.open(FOLDER / f"celery-{release}.tar.gz") as archive:
            # Not Celery itself: that is installed.
            wanted = [one for one in archive if re.match(r"[^/]*/(t|pyproject\.toml)\b", one.name)]
            archive.extractall(FOLDER, wanted, filter="data")
    return folder


def environment() -> Path:
    """The Python of an environment with all that the tests need."""
    pins = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if "==" in line]
    known = hashlib.sha256("\n".join([*pins, *REQUIREMENTS, sys.version]).encode()).hexdigest()[:12]
    venv = FOLDER / f"venv-{known}"
    if not (venv / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=True)
        subprocess.run([str(venv / "bin/python"), "-m", "pip", "install", "-qq", *pins_of(pins), *REQUIREMENTS], check=True)
        (venv / "complete").touch()
    return venv / "bin" / "python"


def pins_of(lines: list[str]) -> list[str]:
    """Requirements without their comments."""
    return [line.partition("#")[0].strip() for line in lines]


@contextmanager
def servers(mode: str) -> Iterator[dict[str, str]]:
    """Private servers of one mode, so that modes can run side by side, and empty ones; they end with the run."""
    folder = FOLDER / "servers" / mode
    broker, store, database = (
        RabbitMQ(folder / "rabbitmq"),
        Redis(folder / "redis"),
        Postgres(folder / "postgres", durable=False),
    )
    started = [broker, store, database]
    try:
        store.stop()  # one that a killed run left takes no password any more
        for server in started:
            server.start()
        with redis.Redis.from_url(store.url) as link:
            link.flushall()
            link.config_set("requirepass", "")  # the tests send none; it listens on loopback
        with suppress(subprocess.CalledProcessError):
            broker.ctl("delete_vhost", "suite")
        broker.ctl("add_vhost", "suite")
        broker.ctl("set_permissions", "-p", "suite", "furrow", ".*", ".*", ".*")
        with psycopg.connect(database.url, autocommit=True) as connection:
            connection.execute("DROP DATABASE IF EXISTS suite WITH (FORCE)")
            connection.execute("CREATE DATABASE suite")
        yield {
            "TEST_BROKER": broker.url.removesuffix("//") + "/suite",
            "TEST_BACKEND": f"redis://127.0.0.1:{store.port}/0",
            "REDIS_HOST": "127.0.0.1",
            "REDIS_PORT": str(store.port),
            "REDIS_URL": f"redis://127.0.0.1:{store.port}/1",
            "DATABASE_URL": database.url.rpartition("/")[0] + "/suite",
        }
    finally:
        for server in started:
            server.stop()


def environment_of(mode: str, addresses: dict[str, str], python: Path) -> dict[str, str]:
    """The environment of the tests and of the processes around them."""
    environ = {
        **os.environ,
        **addresses,
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'apps'}",
        "WORKER_LOGLEVEL": "INFO",  # as Celery runs them
        "CELERY_SUITE": mode,
        "CELERY_SUITE_OUT": str(FOLDER / f"{mode}.jsonl"),
    }
    environ.pop("DJANGO_SETTINGS_MODULE", None)
    if mode != "stock":
        environ |= {"DJANGO_SETTINGS_MODULE": "tests.celery_suite.project.settings", "CELERY_SKIP_CHECKS": "1"}
    return environ


@contextmanager
def processes_of(mode: str, python: Path, environ: dict[str, str]) -> Iterator[None]:
    """A dispatcher, as every project with Furrow has one."""
    if mode == "stock":
        yield
        return
    subprocess.run([str(python), "-m", "django", "migrate", "-v", "0"], env=environ, check=True)
    with (FOLDER / f"{mode}.dispatcher.log").open("wb") as log:
        dispatcher = subprocess.Popen(
            [str(python), "-m", "django", "furrow", "dispatcher"], env=environ, cwd=FOLDER, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        yield
    finally:
        dispatcher.terminate()
        dispatcher.wait(30)


def run(chosen: argparse.Namespace, tests: Path, python: Path, environ: dict[str, str]) -> int:
    """Run pytest, file by file: what hangs in one ends with it."""
    folder = tests / "t" / "integration"
    files = [folder / name for name in chosen.only] or sorted(folder.glob("test_*.py"))
    options = [
        "-p",
        "celery.contrib.pytest",
        "-p",
        "tests.celery_suite.plugin",
        "-q",
        "--tb=short",
        "-p",
        "no:cacheprovider",
        "-k",
        chosen.k,
    ]
    failed = 0
    for file in files:
        began = time.monotonic()
        log = FOLDER / f"{chosen.mode}.{file.stem}.log"
        with log.open("wb") as out:
            command = [str(python), "-m", "pytest", *options, str(file.relative_to(tests))]
            done = subprocess.run(command, cwd=tests, env=environ, stdout=out, stderr=subprocess.STDOUT)
        failed += done.returncode not in (0, 5)
        last = log.read_text(errors="replace").strip().rpartition("\n")[2].strip("= ")
        print(f"{chosen.mode} {file.name}: {last} ({time.monotonic() - began:.0f} s)", flush=True)
    return int(bool(failed))


if __name__ == "__main__":
    raise SystemExit(main())
