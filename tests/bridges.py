"""Bridges in this process, and programs that know only RabbitMQ."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pika
from django.db import connection
from furrow.bridge import Bridge
from furrow.bridges.process import Bridges

from tests import services

#: The virtual host is named, for clients that take an empty path for another one.
URL = services.broker.url.removesuffix("/") + "%2F"


@contextmanager
def stranger(*queues: str) -> Iterator[Any]:
    """A channel of a program that knows only RabbitMQ; in the end these queues are deleted."""
    link = pika.BlockingConnection(pika.URLParameters(URL))
    try:
        yield link.channel()
    finally:
        for queue in queues:
            link.channel().queue_delete(queue)
        link.close()


def read(bridge: Bridge, messages: int) -> None:
    """Read so many messages in this process."""
    bridges = Bridges([bridge])
    try:
        while messages > 0:
            arrived = bridges._inbox.poll(10.0, 100)
            assert arrived, f"{messages} messages have not arrived"
            bridges.take(arrived)
            bridges._inbox.acknowledge(arrived)
            messages -= len(arrived)
    finally:
        bridges._close()


@contextmanager
def running(*bridges: Bridge) -> Iterator[None]:
    """The bridges' loop, in a thread of this process."""
    process = Bridges(bridges)

    def run() -> None:
        try:
            process.run()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        process.stop()
        thread.join(30)
        assert not thread.is_alive()


@contextmanager
def at_home() -> Iterator[None]:
    """What pika takes for RabbitMQ's usual address and account are those of the tests' server."""
    url, usual = urlsplit(URL), pika.connection.Parameters
    before = usual.DEFAULT_PORT, usual.DEFAULT_CREDENTIALS
    usual.DEFAULT_PORT, usual.DEFAULT_CREDENTIALS = url.port, pika.PlainCredentials(url.username or "", url.password or "")
    try:
        yield
    finally:
        usual.DEFAULT_PORT, usual.DEFAULT_CREDENTIALS = before
