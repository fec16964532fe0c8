"""The programs of docs/bridges.md, in Python and for Node.js, run as they stand. They share no code with us."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from furrow import Job
from furrow.bridge import Bridge

from tests import node
from tests.bridges import URL, at_home, read, running, stranger
from tests.services import ROOT
from tests.stack import Stack

HELLO = Bridge("hello", "hello.log_message", durable=False)

#: RabbitMQ's sixth tutorial: the client, but for what it prints.
TUTORIAL = """
import pika
import uuid


class FibonacciRpcClient(object):

    def __init__(self):
        self.connection = pika.BlockingConnection(
            pika.ConnectionParameters(host='localhost'))

        self.channel = self.connection.channel()

        result = self.channel.queue_declare(queue='', exclusive=True)
        self.callback_queue = result.method.queue

        self.channel.basic_consume(
            queue=self.callback_queue,
            on_message_callback=self.on_response,
            auto_ack=True)

        self.response = None
        self.corr_id = None

    def on_response(self, ch, method, props, body):
        if self.corr_id == props.correlation_id:
            self.response = body

    def call(self, n):
        self.response = None
        self.corr_id = str(uuid.uuid4())
        self.channel.basic_publish(
            exchange='',
            routing_key='rpc_queue',
            properties=pika.BasicProperties(
                reply_to=self.callback_queue,
                correlation_id=self.corr_id,
            ),
            body=str(n))
        while self.response is None:
            self.connection.process_data_events(time_limit=None)
        return int(self.response)


fibonacci_rpc = FibonacciRpcClient()
response = fibonacci_rpc.call(30)
"""


def program(name: str) -> str:
    """The block of the page whose first line is this file's name."""
    found = re.findall(rf"^```\w+\n((?:#|//) {re.escape(name)}\n.*?)^```$", (ROOT / "docs/bridges.md").read_text(), re.S | re.M)
    assert len(found) == 1, name
    return str(found[0])


@pytest.fixture
def queues() -> Iterator[Any]:
    with stranger("hello", "sums", "rpc_queue") as channel:
        channel.queue_delete("hello")
        yield channel


@pytest.mark.django_db
def test_the_tutorials_program_runs_as_it_stands(queues: Any) -> None:
    with at_home():
        exec(program("send.py"), {})
    read(HELLO, 1)
    assert [job.arguments for job in Job.objects.all()] == [{"text": "Hello"}]


@pytest.mark.django_db
def test_a_program_for_node_publishes(queues: Any) -> None:
    node.run(program("send.mjs"), URL)
    read(HELLO, 2)
    assert [job.arguments for job in Job.objects.order_by("pk")] == [{"text": "Hello"}, {"text": "Grüße"}]
    assert [job.kind for job in Job.objects.all()] == ["hello.log_message"] * 2


def test_a_program_for_node_is_answered(stack: Stack, queues: Any) -> None:
    queues.queue_declare("sums", durable=True)
    with running(Bridge("sums", "kinds.add")):
        assert node.run(program("ask.mjs"), URL) == "succeeded 5\n"


def test_the_tutorials_client_of_remote_calls_runs_as_it_stands(stack: Stack, queues: Any) -> None:
    queues.queue_declare("rpc_queue")
    found: dict[str, Any] = {}
    with running(Bridge("rpc_queue", "kinds.fib", durable=False)), at_home():
        exec(TUTORIAL, found)
    assert found["response"] == 832040
    found["fibonacci_rpc"].connection.close()
