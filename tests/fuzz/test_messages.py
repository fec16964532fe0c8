"""Messages of other programs, in the jobs' queue and in Celery's: the worker lives, keeps or runs them, and does its jobs."""

import json
import subprocess
from contextlib import suppress

import amqp
import pytest
from furrow import Job, State, submit
from hypothesis import given
from hypothesis import strategies as some
from kombu import Connection

from tests import kinds, services
from tests.fuzz import examples
from tests.fuzz.amqp_values import messages
from tests.stack import Stack, wait_until

#: Exchange and routing key.
_DOORS = [("furrow", "default"), ("", "default"), ("celery", "celery"), ("", "celery")]
_batches = some.lists(some.tuples(some.sampled_from(_DOORS), messages), min_size=1, max_size=30)


@pytest.mark.engine
@pytest.mark.timeout(900)
def test_messages_of_others(stack: Stack) -> None:
    worker = next(process for process in stack.processes if process.name == "worker")

    @examples(15, shrink=False)
    @given(_batches)
    def publish(batch: list[tuple[tuple[str, str], amqp.Message]]) -> None:
        for (exchange, key), message in batch:
            with (
                Connection(services.broker.url) as link,
                suppress(amqp.InternalError),
            ):
                channel = link.channel()
                channel.confirm_select()
                channel.basic_publish_confirm(message, exchange, key)
        job = submit(kinds.add, {"a": 1})
        wait_until(lambda: Job.objects.get(pk=job.pk).state == State.SUCCEEDED, what=f"the job beside them; log: {worker.log}")

    publish()
    assert worker.popen.poll() is None
    assert worker.text.count("worker@test ready") == 1
    wait_until(lambda: not _unsettled(), seconds=120, what="all messages are settled")


def _unsettled() -> dict[str, int]:
    """Queues in which messages wait, or are held by a consumer."""
    try:
        counted = services.broker.ctl("list_queues", "name", "messages", "--formatter", "json")
    except subprocess.TimeoutExpired:
        return {"not told in time": 1}
    found = {row["name"]: row["messages"] for row in json.loads(counted) if not row["name"].startswith("celeryev")}
    return {name: count for name, count in found.items() if count and name in ("default", "celery")}
