"""Celery's events about jobs, for Flower: sent in groups, from the worker's main process.

The event dispatcher of Celery makes a dictionary of each event and has the whole encoded: 30 µs a job. Here the text of an
event is put together at once; what Flower gets is the same.
"""

import json
import logging
import os
import time
from collections.abc import Callable
from typing import Any

import amqp
from celery.utils.time import utcoffset
from kombu.exceptions import OperationalError

from furrow.kinds.secret import mask_text
from furrow.plural import counted
from furrow.statements import Claimed, Settlement
from furrow.states import EXCUSED, State

logger = logging.getLogger(__name__)

#: Events in one message; fewer when a tick of the worker comes first.
GROUP = 1_000
#: Characters of the arguments and results that Flower gets to see.
SHOWN = 300
_quoted = json.JSONEncoder().encode


class Events:
    """Tells Celery's event dispatcher, if events are on, what happens to jobs."""

    def __init__(self, hostname: str, dispatcher: Callable[[], Any]) -> None:
        """``dispatcher``: Celery's, of the connection that there is; ``None`` while there is none."""
        self.hostname = hostname
        self._dispatcher = dispatcher
        self._texts: list[str] = []
        self._pid = os.getpid()

    def flush(self) -> None:
        """Send what was gathered; while the broker is away it is dropped, like Celery's own events."""
        texts, self._texts = self._texts, []
        dispatcher = self._dispatcher()
        if not texts or dispatcher is None or not dispatcher.enabled:
            return
        common = f'"hostname":{_quoted(self.hostname)},"pid":{self._pid},"utcoffset":{utcoffset()},"clock":'
        clock = dispatcher.clock
        body = ",".join([f"{text}{common}{clock.forward()}}}" for text in texts])
        try:
            dispatcher.producer.publish(
                f"[{body}]".encode(),
                routing_key="task.multi",
                exchange=dispatcher.exchange.name,
                content_type="application/json",
                content_encoding="utf-8",
                headers=dispatcher.headers,
                delivery_mode=dispatcher.delivery_mode,
            )
        except (amqp.AMQPError, OperationalError, OSError) as error:
            logger.debug("Not sent: %s: %s", counted(len(texts), "event"), error)

    def _send(self, type: str, id: str, at: float, fields: str) -> None:
        dispatcher = self._dispatcher()
        if dispatcher is not None and dispatcher.enabled:
            self._texts.append(f'{{"type":"{type}","uuid":"{id}","timestamp":{at},{fields}')
            if len(self._texts) >= GROUP:
                self.flush()

    def received(self, jobs: list[Claimed]) -> None:
        """Jobs were claimed."""
        now = time.time()
        for job in jobs:
            shown = _quoted(mask_text(job.arguments)[:SHOWN])
            self._send(
                "task-received",
                job.id,
                now,
                f'"name":{_quoted(job.kind)},"args":"","kwargs":{shown},"retries":{job.attempt - 1},'
                f'"root_id":"{job.id}","parent_id":null,"eta":null,"expires":null,',
            )

    def started(self, job: Claimed, at: float) -> None:
        """A pool process began a job."""
        self._send("task-started", job.id, at, "")

    def ended(self, job: Claimed, settlement: Settlement) -> None:
        """A run is over."""
        at = settlement.finished or time.time()
        if settlement.state == State.SUCCEEDED:
            seconds = max(0.0, settlement.finished - settlement.started)
            shown = _quoted((settlement.result or "null")[:SHOWN])
            self._send("task-succeeded", job.id, at, f'"result":{shown},"runtime":{seconds},')
            return
        if settlement.state == State.CANCELLED:
            self._send("task-revoked", job.id, at, '"terminated":true,"signum":null,"expired":false,')
            return
        again = settlement.state == State.PENDING or settlement.outcome in EXCUSED
        error, trace = _quoted(settlement.error[:SHOWN]), _quoted(settlement.traceback[:2_000])
        self._send("task-retried" if again else "task-failed", job.id, at, f'"exception":{error},"traceback":{trace},')
