"""The campaign's outside subscriber, which knows only RabbitMQ: ``python -m furrow.prove.listener``, until SIGTERM.

It writes down each event before it acknowledges it, with whether what the event tells could be read in the database when it
arrived. On SIGTERM it takes what is left in its queue, and ends.
"""

import json
import os
import signal
import sys
import time
import uuid
from collections.abc import Sequence
from typing import Any

import amqp
import django

from furrow.prove.bridged import RETRY, connected
from furrow.prove.records import Record
from furrow.states import FINAL

QUEUE, EXCHANGE, PATTERNS = "prove.listener", "furrow.events", ("job.#", "prove.#")
#: What it logs when its queue is bound.
READY = "Listening."
#: Events in one line of the record; seconds without any after which the queue is empty; seconds that it has after SIGTERM.
BATCH, SILENCE, LAST = 200, 1.0, 15.0

journal = Record("heard")
#: By a job's id: its state and attempt.
_Rows = dict[uuid.UUID, tuple[str, int]]


def main() -> None:
    """Listen; RabbitMQ that is away is waited for."""
    django.setup()
    told_to_end: list[float] = []
    signal.signal(signal.SIGTERM, lambda *_: told_to_end.append(time.monotonic()))
    while not _late(told_to_end):
        try:
            with connected() as link:
                _listen(link, told_to_end)
            return
        except Exception as error:  # whatever py-amqp makes of a connection that broke
            _say(f"{type(error).__name__}: {error}")
            time.sleep(RETRY)


def _listen(link: amqp.Connection, told_to_end: Sequence[float]) -> None:
    channel = link.channel()
    channel.exchange_declare(EXCHANGE, "topic", durable=True, auto_delete=False)
    arguments = {"x-queue-type": "quorum", "x-single-active-consumer": True}
    channel.queue_declare(QUEUE, durable=True, auto_delete=False, arguments=arguments)
    for pattern in PATTERNS:
        channel.queue_bind(QUEUE, EXCHANGE, pattern)
    channel.basic_qos(0, BATCH, False)
    arrived: list[amqp.Message] = []
    channel.basic_consume(QUEUE, callback=arrived.append)
    _say(READY)
    while True:
        _gather(link, arrived)
        if arrived:
            journal.write(did="heard", events=_read(arrived))
            channel.basic_ack(arrived[-1].delivery_tag, multiple=True)
            arrived.clear()
        elif told_to_end:
            return
        if _late(told_to_end):
            return


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _late(told_to_end: Sequence[float]) -> bool:
    return bool(told_to_end) and time.monotonic() > told_to_end[0] + LAST


def _gather(link: amqp.Connection, arrived: list[amqp.Message]) -> None:
    """Wait for the first, and take what is there."""
    try:
        link.drain_events(timeout=SILENCE)
        while len(arrived) < BATCH:
            link.drain_events(timeout=0.01)
    except TimeoutError:
        return


def _read(arrived: Sequence[amqp.Message]) -> list[list[Any]]:
    """Of each its id, name, job, number, token, and whether what it tells is readable (``None``: the database is away)."""
    found = [(message, json.loads(message.body)) for message in arrived]
    rows = _rows({uuid.UUID(event["data"]["job"]) for _, event in found if event["data"].get("job")})
    return [
        [
            # The id by which a program drops what comes again is that of the message.
            int(event["id"]) if message.message_id == event["id"] else -1,
            event["type"],
            uuid.UUID(event["subject"]).hex if "subject" in event else "",
            event.get("number"),
            event["data"].get("token", ""),
            None if rows is None else _readable(event, rows),
        ]
        for message, event in found
    ]


def _rows(jobs: set[uuid.UUID]) -> _Rows | None:
    from django.db import Error

    from furrow.models import Job
    from furrow.models.database import connection

    try:
        return {
            id: (state, attempt) for id, state, attempt in Job.objects.filter(pk__in=jobs).values_list("pk", "state", "attempt")
        }
    except Error:
        connection.close()
        return None


def _readable(event: dict[str, Any], rows: _Rows) -> bool:
    """The job is there; and it has come as far as the event tells, or farther."""
    told = event["data"]
    if not told.get("job"):
        return True
    state, attempt = rows.get(uuid.UUID(told["job"]), ("", -1))
    as_far = attempt >= told.get("attempt", 0)
    return as_far and (told.get("state") not in FINAL or state == told["state"])


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    main()
