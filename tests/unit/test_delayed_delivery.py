"""A broker that goes away while a worker connects is a lost connection: the event loop must not sleep until it is back."""

from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker.consumer.delayed_delivery import DelayedDelivery
from config.celery import app
from furrow.worker.celery.consumer import AtOnce, JobConsumer


def test_a_connection_that_is_lost_meanwhile_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[str] = []

    def lost(self: Any, consumer: Any, url: str) -> None:
        tries.append(url)
        raise ConnectionResetError

    monkeypatch.setattr(DelayedDelivery, "_setup_delayed_delivery", lost)
    steps = JobConsumer.Blueprint.default_steps
    step = next(step for step in steps if "DelayedDelivery" in str(step) or step is AtOnce)
    with pytest.raises(ConnectionResetError):
        step.start(AtOnce.__new__(AtOnce), SimpleNamespace(app=app, connection_errors=(OSError,)))
    assert len(tries) == 1
