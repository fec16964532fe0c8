"""Events outside: the documented programs hear each, also while dispatchers die."""

import os
import re
import subprocess
import sys
import uuid
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from furrow import Job, publish, submit_many, subscribe
from furrow.events import subscribers
from furrow.models import Event
from furrow.rabbitmq.events import declare

from tests import go, kinds, node, services
from tests.events import URL, consumed, heard, known, no_triggers, outbox, outside, taken
from tests.rows import make
from tests.stack import Stack, all_ended, wait_until

pytestmark = pytest.mark.engine
assert all((outside, known, no_triggers))  # fixtures


@pytest.mark.usefixtures("nobody_runs")
def test_the_documented_program_for_node_hears_of_events(outside: Any) -> None:
    (program,) = re.findall(r"^```js\n(// listen\.mjs\n.*?)^```$", (services.ROOT / "docs/events.md").read_text(), re.M | re.S)
    outside.queue_declare("listener.node", durable=True)
    outside.queue_bind("listener.node", "furrow.events", "order.*")
    ids = [publish(name, {"order": 7}) for name in ("order.paid", "stock.low", "order.sent")]
    assert outbox().run_once() == 3
    assert node.run(program, URL, "2") == f"{ids[0]} order.paid \n{ids[2]} order.sent \n"
    assert outside.queue_declare("listener.node", passive=True).method.message_count == 0


@pytest.mark.usefixtures("nobody_runs")
def test_the_documented_program_for_go_hears_of_events(outside: Any) -> None:
    if services.ON_SQLITE:
        pytest.skip("compiled once: it sees no database")
    (program,) = re.findall(r"^```go\n(// listen\.go\n.*?)^```$", (services.ROOT / "docs/events.md").read_text(), re.M | re.S)
    job = make()
    listener = subprocess.Popen([str(go.built(program, "listen")), URL], stdout=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: consumed(outside, "listener.go"), what="the program listens")
        id = Event.objects.create(name="job.kinds.add.failed", job=job.pk, number=1).pk
        publish("order.paid")
        assert outbox().run_once() == 2
        assert listener.stdout is not None
        assert listener.stdout.readline() == f"{id} job.kinds.add.failed {job.pk}\n"
        wait_until(lambda: not outside.queue_declare("listener.go", passive=True).method.message_count, what="all is taken")
    finally:
        listener.kill()
        listener.wait()


@pytest.mark.usefixtures("no_triggers")
def test_events_survive_kill_9_in_order_and_a_stopped_subscriber_gets_each_once(
    bare: Stack, outside: Any, known: Any, tmp_path: Path
) -> None:
    """Dispatchers die while jobs flow; the subscriber is away until the end; the documented program listens outside."""
    subscribe("job.kinds.noop.#")(kinds.hears)
    declare(subscribers.queues())
    blocks = re.findall(r"^```python\n(# listen\.py\n.*?)^```$", (services.ROOT / "docs/events.md").read_text(), re.M | re.S)
    (tmp_path / "listen.py").write_text(blocks[0])
    dispatcher = bare.dispatcher(FURROW_EVENTS="job.kinds.noop.#")
    wait_until(lambda: "written from now on" in dispatcher.text, what="there are triggers")
    bare.worker()
    with (tmp_path / "out").open("wb") as out:
        listener = subprocess.Popen(
            [sys.executable, str(tmp_path / "listen.py")], stdout=out, env={**os.environ, "BROKER_URL": URL}
        )
    try:
        wait_until(lambda: consumed(outside, "listener"), what="the program outside listens")
        for number in range(3):
            submit_many(kinds.noop, [{"n": n} for n in range(100)])
            wait_until(lambda: Event.objects.exclude(published_at=None).exists(), what="some are published")
            dispatcher.kill()
            bare.expire(dispatcher)
            dispatcher = bare.dispatcher(f"dispatcher-{number}", FURROW_EVENTS="job.kinds.noop.#")
        all_ended()
        wait_until(lambda: not Event.objects.filter(published_at=None).exists(), what="all are published")
        written = {(event.job, event.number) for event in Event.objects.all()}
        assert len(written) >= 3 * 300  # what is claimed before it was marked has no "queued"
        wait_until(
            lambda: len({line.split()[0] for line in (tmp_path / "out").read_text().splitlines()}) >= len(written),
            what="the program outside has them all",
        )
    finally:
        listener.kill()
        listener.wait(10)
    numbers: defaultdict[str, list[int]] = defaultdict(list)
    published = taken(outside)
    for _, event in published:
        assert Event.objects.filter(pk=event["id"], job=event["subject"]).exists()
        if event["number"] not in numbers[event["subject"]]:
            numbers[event["subject"]].append(event["number"])
    assert {(uuid.UUID(job), number) for job, found in numbers.items() for number in found} == written
    assert [found for found in numbers.values() if found != list(range(1, len(found) + 1))] == []
    bare.stop()
    heard(known["kinds.hears"], len(published))
    told: defaultdict[str, list[int]] = defaultdict(list)
    for job in Job.objects.filter(kind="kinds.hears").order_by("pk"):
        told[job.arguments["event"]["subject"]].append(job.arguments["event"]["number"])
    assert told == numbers
