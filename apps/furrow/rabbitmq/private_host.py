"""A virtual host for tests alone: made where that can be, and emptied of what an earlier test has left."""

import base64
import contextlib
import json
import urllib.request
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import amqp
from kombu import Connection

from furrow.conf import conf
from furrow.errors import BrokerError

#: Where RabbitMQ's management plugin listens.
MANAGEMENT_PORT = 15672
#: Seconds.
TIMEOUT = 10.0


def prepare(url: str) -> None:
    """Leave no message in the job queues of the virtual host that this URL names. If there is none of that name it is made,
    over the management plugin's API.

    Raises:
        BrokerError: there is none, and it cannot be made; or RabbitMQ cannot be reached.
    """
    name = unquote(urlsplit(url).path[1:]) or "/"
    try:
        try:
            connection = _connected(url)
        except (amqp.NotAllowed, amqp.AccessRefused):
            _make(url, name)
            connection = _connected(url)
    except (amqp.AMQPError, OSError) as error:
        shown = Connection(url).as_uri()
        raise BrokerError(
            f"There is no virtual host {name!r} for the tests at {shown} ({error}). Make it: rabbitmqctl add_vhost '{name}' && "
            f"rabbitmqctl set_permissions -p '{name}' USER '.*' '.*' '.*'; or name another in the fixture furrow_broker_url. "
            f"With the management plugin on port {MANAGEMENT_PORT} it is made by itself."
        ) from None
    with connection:
        _empty(connection)


def _connected(url: str) -> Any:
    connection = Connection(url, connect_timeout=TIMEOUT)
    connection.connect()
    return connection


def _make(url: str, name: str) -> None:
    parts = urlsplit(url)
    user, password = unquote(parts.username or "guest"), unquote(parts.password or "guest")
    host = quote(name, safe="")
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    for path, body in (f"vhosts/{host}", {}), (f"permissions/{host}/{quote(user, safe='')}", everything):
        request = urllib.request.Request(
            f"http://{parts.hostname}:{MANAGEMENT_PORT}/api/{path}", json.dumps(body).encode(), method="PUT"
        )
        request.add_header("Content-Type", "application/json")
        request.add_header("Authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())
        with urllib.request.urlopen(request, timeout=TIMEOUT):  # noqa: S310
            pass


def _empty(connection: Any) -> None:
    parted = conf().partitioned
    for queue in conf().queues:
        for name in parted[queue].parts if queue in parted else [queue]:
            with contextlib.suppress(amqp.NotFound), connection.channel() as channel:
                channel.queue_purge(name)
