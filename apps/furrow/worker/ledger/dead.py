"""Messages that nobody can use: kept in the database with the reason, and only then acknowledged."""

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

import amqp
from django.db import Error

from furrow import statements
from furrow.plural import counted
from furrow.rabbitmq.queues import EXCHANGE
from furrow.sanitize import clean
from furrow.statements import Dead, Group
from furrow.worker.ledger.lease import Lease

logger = logging.getLogger(__name__)

#: Bytes of a body, and characters of its properties, that are kept.
KEPT_BODY, KEPT_PROPERTIES = 256 * 1024, 64 * 1024
_SHARED = "Does another project, or another database, use the same virtual host of RabbitMQ? Give each its own."


class DeadMessages:
    """One for the life of a worker."""

    def __init__(self, record: Callable[[Dead, Callable[[], None]], None], node: str, unsettled: set[int]) -> None:
        self._record = record
        self._node = node
        self._unsettled = unsettled

    def keep(self, message: Any, reason: str) -> None:
        """Keep a message (kombu's); it is acknowledged once that is committed. While the database is away RabbitMQ keeps it."""
        if getattr(message, "is_kept", False):
            return
        dead = describe(message, reason, self._node)
        message.is_kept = True
        logger.error("A message on %s cannot be used and is kept: %s", message.delivery_info.get("exchange"), reason)
        self._unsettled.add(message.delivery_tag)
        self._record(dead, lambda: self._acknowledge(message))

    def _acknowledge(self, message: Any) -> None:
        self._unsettled.discard(message.delivery_tag)
        try:
            message.ack()
        except (amqp.AMQPError, OSError) as error:
            logger.debug("a dead message was not acknowledged, and comes again: %s", error)


class Kept:
    """A message in Celery's hands: where Celery would drop it, it is kept."""

    def __init__(self, message: Any, dead: DeadMessages, reason: str) -> None:
        self._message, self._dead, self._reason = message, dead, reason

    def __getattr__(self, name: str) -> Any:
        return getattr(self._message, name)

    def ack(self, *args: Any, **kwargs: Any) -> None:
        """Instead of acknowledging or rejecting it."""
        self._dead.keep(self._message, self._reason)

    reject_log_error = reject = ack


def describe(message: Any, reason: str, node: str) -> Dead:
    """What is kept of a message."""
    body = message.body.encode("utf-8", "surrogateescape") if isinstance(message.body, str) else bytes(message.body or b"")
    properties = {**message.properties, "content_type": message.content_type, "content_encoding": message.content_encoding}
    properties["application_headers"] = message.headers or {}
    given = {name: value for name, value in properties.items() if value not in (None, {})}
    try:
        text = json.dumps(given, default=str, skipkeys=True)
    except (RecursionError, ValueError) as error:
        text = json.dumps({"cut": f"properties that have no JSON form: {type(error).__name__}"})
    if len(text) > KEPT_PROPERTIES:
        text = json.dumps({"cut": f"{len(text):,} characters of properties"})
    where = message.delivery_info
    return Dead(
        clean(reason)[:2_000],
        node[:255],
        clean(str(where.get("exchange", "")))[:255],
        clean(str(where.get("routing_key", "")))[:255],
        text,
        body[:KEPT_BODY],
        len(body),
    )


def of_no_job(node: str, id: str, kind: str) -> Dead:
    """A well-formed message whose job is not in the table."""
    properties = json.dumps({"message_id": id, "type": clean(kind), "delivery_mode": 2})
    reason = f"There is no job {id}: it was deleted, never committed, or is of another database."
    return Dead(reason, node[:255], EXCHANGE.name, "", properties, b"", 0)


def keep_unknown(connection: Any, lease: Lease, jobs: Mapping[str, str]) -> None:
    """Of the jobs (kind by id) that could not be claimed most were cancelled or claimed before; those that are in no table are
    kept.

    Raises:
        Error: of the database; then the messages are gone, and the log says so.
    """
    sql = statements.on(connection)
    try:
        if unknown := sql.unknown(connection, jobs):
            jobs_kept = counted(len(unknown), "job")
            logger.error("Messages of %s that are in no table are kept; one is %s. %s", jobs_kept, min(unknown), _SHARED)
            dead = [of_no_job(lease.node, id, jobs[id]) for id in sorted(unknown)]
            sql.write(connection, lease.worker, Group(dead=dead))
    except Error as error:
        logger.error("%s could not be looked up by the job, and are gone: %s", counted(len(jobs), "message"), error)
        raise
