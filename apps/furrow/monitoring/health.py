"""``manage.py furrow health``: check a part of the platform, for container health checks, probes and people."""

import logging
import os
import socket
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.db.migrations.executor import MigrationExecutor
from django.db.models.functions import Now

from furrow import all_kinds
from furrow.conf import conf
from furrow.diagnosis import troubles
from furrow.diagnosis.wording import exact
from furrow.errors import BrokerError
from furrow.events.subscribers import all_bridges
from furrow.external.requests import requests
from furrow.models import Leader, Worker
from furrow.models.database import connection
from furrow.monitoring.stores import rabbitmq, redis
from furrow.monitoring.troubles import stands_still
from furrow.plural import counted
from furrow.rabbitmq.inbox import unread
from furrow.rabbitmq.patient import patient
from furrow.statements import clock
from furrow.watch import report

logger = logging.getLogger(__name__)

#: Seconds that a worker has to answer; for which what failed in the dispatcher counts as failing.
PATIENCE, FAILING = 5.0, 60.0


class Command(BaseCommand):
    """Exits with 1 and says what is wrong, if something is."""

    help = (
        "Check a part: dispatcher, this machine's worker, bridges, stores, or the Celery tasks that are watched. "
        "Exits with 1 if it does not work."
    )
    # Only asked questions count: the system checks are `manage.py check`.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The part, and which worker."""
        parser.add_argument("part", choices=["dispatcher", "worker", "bridges", "stores", "tasks"])
        parser.add_argument(
            "--node", default="", help="a worker's node name; default: $WORKER_NODE, else the worker of this host"
        )

    def handle(self, *args: Any, part: str, node: str, **options: Any) -> None:
        """Ask the part."""
        try:
            match part:
                case "dispatcher":
                    self.stdout.write(dispatcher())
                case "worker":
                    self.stdout.write(worker(node))
                case "bridges":
                    self.stdout.write(bridges())
                case "stores":
                    self.stdout.write(stores())
                case "tasks":
                    self.stdout.write(tasks())
        except DatabaseError as error:
            raise CommandError(f"The database does not answer: {str(error).strip()}") from None


def dispatcher() -> str:
    """One that leads, completes its rounds, and has no trouble. A dispatcher that stands by would lead by now if none did.

    Raises:
        CommandError: none leads, or the leading one names its trouble.
    """
    leader = Leader.objects.filter(role="dispatcher", lease_until__gt=Now()).first()
    if leader is None:
        raise CommandError("No dispatcher leads: none is running, or none can reach the database.")
    if stands_still(leader, clock.now()):
        since = f"since {exact(leader.progressed_at)}" if leader.progressed_at else "yet"
        raise CommandError(f"The dispatcher {leader.holder} leads, but has not completed a round {since}: see its log.")
    failing = troubles.current(FAILING).filter(name__endswith=" of the dispatcher").first()
    if failing is not None:
        raise CommandError(f"The dispatcher {leader.holder} leads, but: {failing.text} (since {exact(failing.since)})")
    if leader.trouble:
        raise CommandError(
            f"The dispatcher {leader.holder} leads, but: {leader.trouble} (since {exact(leader.troubled_since)})"
        )
    return f"The dispatcher {leader.holder} leads (term {leader.term})."


def worker(node: str) -> str:
    """Its lease holds (its ledger reaches the database), and it answers a ping (its event loop turns and hears RabbitMQ).

    Raises:
        CommandError: there is none, or it does not answer.
    """
    living = Worker.objects.filter(stopped_at__isnull=True, lease_until__gt=Now())
    here = f"@{socket.gethostname()}"
    node = node or os.environ.get("WORKER_NODE", "")  # the local stack's, from .run/env
    found = (living.filter(node=node) if node else living.filter(node__endswith=here)).first()
    if found is None:
        others = ", ".join(living.values_list("node", flat=True).order_by("node")[:5])
        raise CommandError(
            f"No worker {node or '*' + here} holds a lease: it is not running, or cannot reach the database."
            + (f" Others do (--node): {others}." if others else "")
        )
    if not _answers(found.node):
        raise CommandError(f"{found.node} does not answer within {PATIENCE:g} s: it is stuck, or RabbitMQ is away.")
    return f"{found.node} works; its lease was renewed {found.heartbeat_at:%H:%M:%S} UTC."


def _answers(node: str) -> bool:
    celery = all_kinds()[0].task.app
    try:
        with patient(celery.connection_for_write()) as connection:
            return bool(celery.control.ping(destination=[node], timeout=PATIENCE, connection=connection))
    except Exception as error:  # whatever answers where RabbitMQ should
        logger.debug("no answer of %s: %s", node, error)
        return False


def bridges() -> str:
    """Each queue of a bridge has a consumer.

    Raises:
        CommandError: names those that have none, and why.
    """
    try:
        bridges = [*all_bridges(), *requests()]
        idle = unread(bridges)
    except BrokerError as error:
        raise CommandError(str(error)) from None
    if idle:
        raise CommandError("; ".join(f"Queue {queue} is not read: {reason}" for queue, reason in idle.items()) + ".")
    return f"The queues of {counted(len(bridges), 'bridge')} are read."


def stores() -> str:
    """Database (with its tables up to date), RabbitMQ, and Redis if there is one.

    Raises:
        CommandError: names each that is not there.
    """
    if troubles := missing():
        raise CommandError(" ".join(troubles))
    return f"The database{', RabbitMQ and Redis' if conf().redis_url else ' and RabbitMQ'} answer."


def tasks() -> str:
    """Each Celery task that is watched, and ran daily, has run lately.

    Raises:
        CommandError: names those that have not.
    """
    silent = report.missed(clock.now())
    if silent:
        said = "; ".join(
            f"{task.name} ran on {task.streak} days in a row, and not since {exact(task.last_began)}" for task in silent
        )
        raise CommandError(f"{said}.")
    return "No Celery task that ran daily is missed."


def missing() -> list[str]:
    """The stores that are not there, each in a sentence that begins with its name.

    Raises:
        DatabaseError: the database does not answer.
    """
    return [trouble for trouble in (_database(), rabbitmq(), redis()) if trouble]


def _database() -> str:
    executor = MigrationExecutor(connection)
    missing = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    return f"The database lacks {counted(missing, 'migration')}: manage.py migrate." if missing else ""
