"""Many clients, a real Redis, and everything that goes wrong; then their history is checked.

The same checks find the two classic mistakes: writes without a token, and a lease that nobody renews.
"""

import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest
from deploy.services import Redis
from django.db import connection

from tests import lock_client, lock_history
from tests.lock_history import Effect, Event
from tests.lock_rows import Row, Written
from tests.services import RUN
from tests.stack import database_url, wait_until

LEASE = 2.0
pytestmark = pytest.mark.skipif(os.environ.get("DATABASE") == "sqlite", reason="a frozen writer stops all others on SQLite")


class Clients:
    """Clients of a Redis of their own, and what they did."""

    def __init__(self, folder: Path, redis: Redis, variant: str) -> None:
        self.folder, self.redis, self.variant = folder, redis, variant
        self.living: dict[str, subprocess.Popen[bytes]] = {}
        self.frozen: set[str] = set()
        self._numbers = itertools.count()

    def start(self, how_many: int = 1) -> None:
        """Start clients."""
        env = {**os.environ, "DATABASE_URL": database_url(), "REDIS_URL": self.redis.url, "FURROW_LOCK_LEASE": str(LEASE)}
        for _ in range(how_many):
            name = f"c{next(self._numbers)}"
            command = [sys.executable, "-m", "tests.lock_client", str(self.folder / f"{name}.jsonl"), name, self.variant]
            log = (self.folder / f"{name}.log").open("wb")
            self.living[name] = subprocess.Popen(command, env=env, stdout=log, stderr=log)

    def kill(self, name: str) -> None:
        """SIGKILL one."""
        process = self.living.pop(name)
        process.kill()
        process.wait(20)

    def stop(self) -> None:
        """SIGKILL all."""
        for name in list(self.living):
            self.kill(name)

    def freeze_a_holder(self, name: str) -> None:
        """SIGSTOP a client while it holds this, until others have held it for longer than a lease."""
        while True:
            victim = self.last(name)["client"]
            self.living[victim].send_signal(signal.SIGSTOP)
            process = psutil.Process(self.living[victim].pid)
            wait_until(partial(lambda process: process.status() == psutil.STATUS_STOPPED, process))
            said = [event for event in self.events() if event["client"] == victim]
            if said[-1]["what"] == "holds" and said[-1]["name"] == name:
                break
            self.living[victim].send_signal(signal.SIGCONT)
        self.frozen.add(victim)
        since = said[-1]["at"]
        wait_until(lambda: self.last(name)["at"] > since + 1.2 * LEASE, what=f"others go on without {victim}")
        self.living[victim].send_signal(signal.SIGCONT)

    def events(self) -> list[Event]:
        """What they wrote."""
        return lock_history.read(self.folder)

    def held(self) -> int:
        """How many times a lock was held."""
        return len({(e["name"], e["token"]) for e in self.events() if e["what"] == "holds"})

    def goes_on(self, times: int = 10) -> None:
        """Wait until so many more were held."""
        before = self.held()
        wait_until(lambda: self.held() >= before + times, what="clients go on")

    def last(self, name: str) -> Event:
        """The last note of somebody who holds this."""
        wait_until(lambda: any(event.get("name") == name for event in self.events()))
        return max((event for event in self.events() if event.get("name") == name), key=lambda event: event["at"])


@pytest.fixture
def own_redis(live_db: None) -> Iterator[Redis]:
    """A Redis of its own, and the clients' tables."""
    with connection.schema_editor() as editor:
        editor.create_model(Row)
        editor.create_model(Written)
    for name in ["lock:a:0", "lock:b:0", *(f"semaphore:s:{slot}" for slot in range(lock_client.SEMAPHORE))]:
        Row.objects.create(name=name)
    redis = Redis(RUN / "redis-history")
    redis.start()
    yield redis
    redis.destroy()
    with connection.schema_editor() as editor:
        editor.delete_model(Row)
        editor.delete_model(Written)


def violations(clients: Clients) -> list[str]:
    """What of the history should not be."""
    events = clients.events()
    found = []
    for name, limit in (("lock:a", 1), ("lock:b", 1), ("semaphore:s", lock_client.SEMAPHORE)):
        held = [span for span in lock_history.spans(events) if span.name == name]
        found += lock_history.overlaps(held, limit)
        found += lock_history.tokens_that_went_back(held)
        found += lock_history.jumped_the_line(held, clients.frozen)
    found += lock_history.broken_effects(
        [Effect(*row) for row in Written._default_manager.order_by("pk").values_list("name", "token", "value")]
    )
    found += lock_history.too_fast([e["at"] for e in events if e["what"] == "permitted"], 1 / 20, lock_client.BURST)
    return found


def wipe(redis: Redis) -> None:
    """Kill Redis, and start it without its data."""
    redis.kill()
    for left in redis.folder.glob("*append*"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    redis.start()


def older(redis: Redis, copy: Path) -> None:
    """Kill Redis, and start it with an older copy of its data; the first time, make the copy."""
    redis.kill()
    files = redis.folder / "appendonlydir"
    if copy.exists():
        shutil.rmtree(files, ignore_errors=True)
        shutil.copytree(copy, files)
    else:
        shutil.copytree(files, copy)
    redis.start()


def frozen_redis(redis: Redis, clients: Clients) -> None:
    """Freeze Redis until a client has lost what it held."""
    before = sum(e["what"] == "stopped" for e in clients.events())
    redis.freeze()
    wait_until(lambda: sum(e["what"] == "stopped" for e in clients.events()) > before, what="somebody lost a lock")
    redis.thaw()


def test_every_history_is_right(own_redis: Redis, tmp_path: Path) -> None:
    clients = Clients(tmp_path, own_redis, "right")
    clients.start(6)
    try:
        clients.goes_on(30)
        faults: list[Callable[[], None]] = [
            lambda: clients.kill(clients.last("lock:a")["client"]),
            lambda: clients.freeze_a_holder("lock:b"),
            lambda: older(own_redis, tmp_path / "copy"),  # restarts it with its data, and keeps a copy
            lambda: wipe(own_redis),
            lambda: frozen_redis(own_redis, clients),
            lambda: older(own_redis, tmp_path / "copy"),
        ]
        for fault in faults:
            fault()
            clients.goes_on(15)
    finally:
        clients.stop()
    assert violations(clients) == []
    spans = lock_history.spans(clients.events())
    assert len({span.token // lock_history.TOKENS for span in spans}) == 4, "an epoch for each life of Redis"
    assert sum(span.ticket > 0 for span in spans) > 20
    assert Written._default_manager.count() > 50


@pytest.mark.thorough
def test_a_write_without_a_token_is_found_out(own_redis: Redis, tmp_path: Path) -> None:
    clients = Clients(tmp_path, own_redis, "unfenced")
    clients.start(3)
    try:
        for _ in range(5):
            clients.freeze_a_holder("lock:a")
            clients.goes_on(5)
            if violations(clients):
                break
    finally:
        clients.stop()
    assert any("a write was lost" in text or "a late write" in text for text in violations(clients))


@pytest.mark.thorough
def test_a_lease_that_nobody_renews_is_found_out(own_redis: Redis, tmp_path: Path) -> None:
    clients = Clients(tmp_path, own_redis, "unrenewed")
    clients.start(3)
    try:
        wait_until(lambda: violations(clients), what="the mistake is found")
    finally:
        clients.stop()
    assert any("held at once" in text for text in violations(clients))
