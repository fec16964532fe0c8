"""Loaded before Django's settings (``-p tests.services``): starts the private servers that the tests use, and points the
settings to them. They live in ``.run/test`` and end with the test run; nothing outside of it is touched.

``DATABASE=sqlite`` runs the tests on SQLite instead of PostgreSQL; ``FURROW_TEST_RUN`` names another folder; with
``FURROW_TEST_KEEP=1`` the servers go on, and the next run begins sooner. A second run in the same folder waits for the first;
what a killed run left behind is ended.
"""

import atexit
import fcntl
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "apps"), str(ROOT / "platform")]

from deploy import processes  # noqa: E402
from deploy.services import Postgres, RabbitMQ, Redis, Service  # noqa: E402

RUN = Path(os.environ.get("FURROW_TEST_RUN") or ROOT / ".run" / "test").absolute()
ON_SQLITE = os.environ.get("DATABASE") == "sqlite"

broker = RabbitMQ(RUN / "rabbitmq")
redis = Redis(RUN / "redis")
postgres = Postgres(RUN / "postgres", durable=False)
services: list[Service] = [broker, redis] if ON_SQLITE else [broker, redis, postgres]


def _wait_for_other_runs() -> None:
    """Hold a lock on the folder until this process ends."""
    RUN.mkdir(parents=True, exist_ok=True)
    lock = os.open(RUN / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"Another test run uses {RUN}; waiting for it to end.", file=sys.stderr)
        fcntl.flock(lock, fcntl.LOCK_EX)


def _stop() -> None:
    for service in services:
        service.stop()


_wait_for_other_runs()
#: Marks the processes that the tests start, in their environment.
MARK = f"tests in {RUN}"
processes.sweep(MARK)
if not os.environ.get("FURROW_TEST_KEEP"):
    atexit.register(_stop)
for service in services:
    service.start()

os.environ.update(
    FURROW_RUN=str(RUN),
    FURROW_MODULES="tasks,tests.kinds",
    FURROW_QUEUES="default,other",
    DATABASE_URL=f"sqlite:///{RUN}/db.sqlite3" if ON_SQLITE else postgres.url,
    BROKER_URL=broker.url,
    REDIS_URL=redis.url,
    SECRET_KEY="only for the tests, where it guards nothing at all",
    FURROW_WORKER_LEASE="6",
    FURROW_LEADER_LEASE="6",
    FURROW_SHUTDOWN_GRACE="5",
    FURROW_RESEND_AFTER="6",
    FURROW_LOCK_LEASE="6",
)
