"""A submit wakes the dispatcher through Redis, after the commit, and needs no Redis."""

import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis as redis_client
from django.db import transaction
from furrow import Job, submit, submit_many
from furrow.locks import wakeup
from pytest_django import Settings

from tests import kinds
from tests.stack import wait_until

pytestmark = pytest.mark.engine


@pytest.fixture(autouse=True)
def _fresh_wakeup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wakeup, "_client", None)
    monkeypatch.setattr(wakeup, "_quiet_until", 0.0)


@pytest.fixture
def heard(settings: Settings) -> Iterator[Any]:
    """Returns how many wake-ups came since the last time."""
    client: Any = redis_client.Redis.from_url(settings.FURROW["REDIS_URL"])
    subscription = client.pubsub(ignore_subscribe_messages=True)
    subscription.subscribe(wakeup.CHANNEL)
    wait_until(lambda: client.pubsub_numsub(wakeup.CHANNEL)[0][1] >= 1)

    def count() -> int:
        client.publish(wakeup.CHANNEL, b"end")
        found = []
        wait_until(lambda: ((message := subscription.get_message()) and found.append(message["data"])) or b"end" in found)
        return found.index(b"end")

    yield count
    subscription.close()
    client.close()


@pytest.mark.usefixtures("live_db")
def test_the_wake_up_comes_after_the_commit_and_only_then(heard: Any) -> None:
    submit(kinds.add, {"a": 1})
    assert heard() == 1
    with transaction.atomic():
        submit(kinds.add, {"a": 1})
        assert heard() == 0
    assert heard() == 1
    with transaction.atomic():
        submit(kinds.add, {"a": 1})
        transaction.set_rollback(True)
    assert heard() == 0
    submit_many(kinds.add, [{"a": n} for n in range(100)])
    assert heard() == 1
    submit_many(kinds.add, [])
    assert heard() == 0
    submit(kinds.add, {"a": 1}, unique="once")
    assert heard() == 1


@pytest.mark.usefixtures("live_db")
def test_without_redis_a_submit_is_as_quick_and_only_logs(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    settings.FURROW = {**settings.FURROW, "REDIS_URL": "redis://127.0.0.1:1/0"}
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        for n in range(50):
            submit(kinds.add, {"a": n})
    assert time.monotonic() - began < 5
    assert Job.objects.count() == 50
    warnings = [record.message for record in caplog.records if "Redis" in record.message]
    assert warnings
    assert len(warnings) <= 3
    assert "the dispatcher's poll finds the job" in warnings[0]


@pytest.mark.usefixtures("live_db")
def test_a_redis_that_does_not_answer_holds_a_submit_up_only_briefly(settings: Settings) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.FURROW = {**settings.FURROW, "REDIS_URL": f"redis://127.0.0.1:{silent.getsockname()[1]}/0"}
        began = time.monotonic()
        for n in range(20):
            submit(kinds.add, {"a": n})
        assert time.monotonic() - began < 2
    assert Job.objects.count() == 20
