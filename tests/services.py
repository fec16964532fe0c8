"""Loaded before Django's settings (``-p tests.services``): starts the private servers that the tests use, and points the
settings to them. They live in ``.run/test`` and end with the test run; nothing outside of it is touched.

``DATABASE=sqlite`` runs the tests on SQLite instead of PostgreSQL; ``FURROW_TEST_RUN`` names another folder; with
``FURROW_TEST_KEEP=1`` the servers go on, and the next run begins sooner. A second run in the same folder waits for the first;
what a killed run left behind is ended.

A run of nothing but ``SERVERLESS`` folders starts no server, only PostgreSQL where it is the database: its addresses lead
nowhere.
"""

import fcntl
import os
import sys
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "apps"), str(ROOT / "platform")]

from deploy import packages, processes  # noqa: E402
from deploy.services import Postgres, RabbitMQ, Redis, Service  # noqa: E402

RUN = Path(os.environ.get("FURROW_TEST_RUN") or ROOT / ".run" / "test").absolute()
ON_SQLITE = os.environ.get("DATABASE") == "sqlite"

broker = RabbitMQ(RUN / "rabbitmq")
redis = Redis(RUN / "redis")
postgres = Postgres(RUN / "postgres", durable=False)
services: list[Service] = [broker, redis] if ON_SQLITE else [broker, redis, postgres]
#: No test below these folders talks to RabbitMQ or Redis.
SERVERLESS = (ROOT / "tests" / "unit", ROOT / "tests" / "architecture")
#: Where nobody listens: the port is reserved and never given to a process that asks for any.
NOWHERE = "127.0.0.1:1"


def _wait_for_other_runs() -> None:
    """Hold a lock on the folder until this process ends."""
    RUN.mkdir(parents=True, exist_ok=True)
    lock = os.open(RUN / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"Another test run uses {RUN}; waiting for it to end.", file=sys.stderr)
        fcntl.flock(lock, fcntl.LOCK_EX)


#: Marks the processes that the tests start, in their environment.
MARK = f"tests in {RUN}"


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """Start what these paths need, and tell the settings, before pytest-django reads them."""
    paths = [Path(name.partition("::")[0]).absolute() for name in early_config.known_args_namespace.file_or_dir]
    serverless = bool(paths) and all(any(path.is_relative_to(folder) for folder in SERVERLESS) for path in paths)
    needed = [service for service in services if service is postgres or not serverless]
    _wait_for_other_runs()
    processes.sweep(MARK)
    if not os.environ.get("FURROW_TEST_KEEP"):
        early_config.add_cleanup(lambda: _each(Service.stop, needed))
    packages.install(sorted({service.package for service in needed if service.binary() is None}))
    _each(Service.start, needed)
    os.environ.update(
        FURROW_RUN=str(RUN),
        FURROW_MODULES="tasks,tests.kinds",
        FURROW_ADOPT="adopted.*",
        FURROW_QUEUES="default,other",
        DATABASE_URL=f"sqlite:///{RUN}/db.sqlite3" if ON_SQLITE else postgres.url,
        BROKER_URL=f"amqp://{NOWHERE}//" if serverless else broker.url,
        REDIS_URL=f"redis://{NOWHERE}/0" if serverless else redis.url,
        SECRET_KEY="only for the tests, where it guards nothing at all",
        FURROW_WORKER_LEASE="6",
        FURROW_LEADER_LEASE="6",
        FURROW_SHUTDOWN_GRACE="5",
        FURROW_RESEND_AFTER="6",
        FURROW_LOCK_LEASE="6",
    )
    yield


def _each(act: Callable[[Service], None], some: Iterable[Service]) -> None:
    """All at once: each waits for most of its time.

    Raises:
        ServiceFailed: the first that did not.
    """
    with ThreadPoolExecutor() as threads:
        list(threads.map(act, some))
