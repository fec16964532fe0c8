"""Queues with partitions: RabbitMQ's hash ring, and of each key one job at a time, in order."""

import datetime as dt
import subprocess
import sys
import uuid
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import amqp
import pytest
from django.db import connection
from django.utils import timezone
from furrow import Job, cancel, statements, submit, submit_many
from furrow.conf import conf
from furrow.diagnosis.explain import living_workers, situation, why
from furrow.diagnosis.figures import partition_figures
from furrow.errors import BrokerError
from furrow.models import DeadMessage, Leader, Worker
from furrow.partitions import Queue
from furrow.rabbitmq.broker import Publisher
from furrow.rabbitmq.topology import partition_exchange
from kombu import Connection
from pytest_django import Settings

from tests import history, kinds, services
from tests.stack import Stack, all_ended, wait_until

ORDERS = Queue("orders", partitions=4, key="key")
ENVIRON: dict[str, Any] = {"FURROW_QUEUES": f"default,other,{ORDERS}"}


@pytest.fixture
def orders(settings: Settings) -> None:
    """The queue, in this process; ``ENVIRON`` says it to others."""
    settings.FURROW = {**settings.FURROW, "QUEUES": ["default", "other", ORDERS]}


def read(mark: Path, but: Collection[tuple[str, str]] = ()) -> dict[str, list[tuple[str, int]]]:
    """What happened to each key, in order: (began | failed | ended, n). The runs (id, attempt) in ``but`` are left out."""
    lines = (line.split() for line in mark.read_text().splitlines())
    events: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for id, attempt, what, key, n in lines:
        if (id, attempt) not in but:
            events[key].append((what, int(n)))
    return events


def active() -> dict[str, str]:
    """Which worker is active on which partition, by RabbitMQ."""
    said = services.broker.ctl("list_consumers", "--quiet", "--no-table-headers", "queue_name", "consumer_tag", "active")
    rows = (line.split("\t") for line in said.splitlines())
    return {queue: tag.partition("/")[0] for queue, tag, is_active in rows if is_active == "true" and queue in ORDERS.parts}


@pytest.mark.engine
@pytest.mark.usefixtures("orders")
def test_jobs_of_a_key_run_one_at_a_time_and_in_order_also_over_retries(bare: Stack, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    bare.dispatcher(**ENVIRON)
    bare.worker("one", processes=2, **ENVIRON)
    two = bare.worker("two", processes=2, **ENVIRON)
    rows = [
        {"key": f"k{n % 20}", "n": n, "mark": str(mark), "seconds": 0.002, "fails_until": 3 if n in (40, 45) else 0}
        for n in range(600)
    ]
    submit_many(kinds.keyed, rows, queue="orders")
    all_ended()
    of_keys = read(mark)
    assert len(of_keys) == 20
    for key, events in of_keys.items():
        failures = [("began", n) for what, n in events if what == "failed"]
        assert len(failures) == (2 if key in ("k0", "k5") else 0)
        inner = [event for event in events if event[0] != "failed"]
        expected = []
        for n in range(int(key[1:]), 600, 20):
            expected += [("began", n)] * (3 if n in (40, 45) else 1) + [("ended", n)]
        assert inner == expected
    assert set(Job.objects.values_list("state", flat=True)) == {"succeeded"}

    # The workers share the partitions, each a half; one that leaves gives its own to the other.
    def shared() -> bool:
        submit_many(kinds.keyed, [{"key": f"k{n}", "n": n, "mark": str(mark)} for n in range(20)], queue="orders")
        return sorted(Counter(active().values()).values()) == [2, 2]

    wait_until(shared, what=f"both workers have two partitions: {active()}")
    all_ended()
    now = timezone.now()
    parts = partition_figures("orders", living_workers(now))
    assert [part.name for part in parts] == ORDERS.parts
    assert {part.name: part.worker.node for part in parts if part.worker} == active()
    assert {(part.messages, part.active) for part in parts} == {(0, True)}
    # Who waits in a line is told for whom.
    first, second = (
        submit(kinds.keyed, {"key": "k", "n": n, "mark": str(mark), "seconds": 60}, queue="orders") for n in (0, 1)
    )
    wait_until(
        lambda: {*Job.objects.filter(pk__in=[first.pk, second.pk]).values_list("state", flat=True)} == {"running", "queued"}
    )
    second.refresh_from_db()
    reason = why(second, situation(second, timezone.now()), timezone.now())
    assert reason is not None
    assert reason.text == f"Jobs of one key run one after the other; job {first.pk} began"

    def told() -> dict[str, tuple[str, int]]:
        found = partition_figures("orders", living_workers(timezone.now()))
        return {part.name: (part.holder.node, part.in_hands) for part in found if part.holder}

    wait_until(lambda: told() in [{part: (node, 2)} for part, node in active().items()], what="its worker tells what it has")
    for job in (second, first):
        cancel(job.pk)
    two.stop()
    wait_until(lambda: set(active().values()) == {"one@test"})
    later = submit(kinds.keyed, {"key": None, "n": 1, "mark": str(mark)}, queue="orders")
    all_ended()
    assert Job.objects.get(pk=later.pk).result == 1


@pytest.mark.engine
@pytest.mark.usefixtures("orders")
def test_messages_that_nobody_can_use_are_kept_and_the_others_stay_in_order(bare: Stack, tmp_path: Path) -> None:
    mark, stranger = tmp_path / "mark", str(uuid.uuid4())
    deep: Any = 1
    for _ in range(1_500):
        deep = {"a": deep}
    hostile = [
        amqp.Message(b"", message_id=b"\xff\xfe", type="kinds.keyed"),
        amqp.Message(b"", message_id="no id at all", type=b"\xff"),
        amqp.Message(b"x" * 300_000),
        amqp.Message(b"", message_id=stranger, type="kinds.keyed"),
        amqp.Message(b"{}", message_id=stranger, application_headers=deep),
    ]
    dispatcher = bare.dispatcher(**ENVIRON)
    worker = bare.worker("one", processes=2, **ENVIRON)
    submit(kinds.keyed, {"key": "k", "n": 0, "mark": str(mark)}, queue="orders")
    all_ended()
    dispatcher.stop()
    jobs = submit_many(kinds.keyed, [{"key": "k", "n": n, "mark": str(mark)} for n in range(1, 30)], queue="orders")
    elsewhere = amqp.Message(b"", message_id=str(jobs[20]), type="kinds.keyed")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    with Connection(services.broker.url) as link:
        channel = link.channel()
        channel.confirm_select()
        for message in hostile:
            for key in ("k", "\u00fc" * 100):
                channel.basic_publish_confirm(message, partition_exchange("orders").name, key, mandatory=True)
        for part in ORDERS.parts:
            channel.basic_publish_confirm(elsewhere, "", part, mandatory=True)
    sys.setrecursionlimit(limit)
    wait_until(lambda: DeadMessage.objects.count() >= 2 * 4 + 1 + len(ORDERS.parts), what=f"they are kept; log: {worker.log}")
    elsewhere_kept = DeadMessage.objects.filter(reason__contains="in order is only what 'furrow.orders' sends")
    wait_until(lambda: elsewhere_kept.count() == len(ORDERS.parts))
    assert DeadMessage.objects.filter(reason__contains="It cannot be read: RecursionError").exists()
    assert DeadMessage.objects.filter(reason__contains=f"no job {stranger}").exists()
    bare.dispatcher("another", **ENVIRON)
    all_ended()
    assert read(mark)["k"] == [event for n in range(30) for event in (("began", n), ("ended", n))]
    assert worker.text.count("one@test ready") == 1, "no message ends the worker"
    wait_until(lambda: not standing_messages(), what="every message is settled")


def standing_messages() -> dict[str, str]:
    """Messages in the partitions, those in a worker's hands included."""
    said = services.broker.ctl("list_queues", "--quiet", "--no-table-headers", "name", "messages")
    rows = (line.split("\t") for line in said.splitlines())
    return {name: count for name, count in rows if name in ORDERS.parts and count != "0"}


@pytest.mark.engine
@pytest.mark.usefixtures("orders")
def test_a_job_with_limits_that_another_program_inserted_stands_in_no_line(bare: Stack, tmp_path: Path) -> None:
    """In a line the first would wait, for its second attempt, for the lock that the one behind it was given meanwhile."""
    mark = str(tmp_path / "mark")
    bare.dispatcher(**ENVIRON)
    bare.worker(processes=2, **ENVIRON)
    for n, fails_until in ((0, 2), (1, 0), (2, 0)):
        given = {"key": "k", "n": n, "path": mark, "fails_until": fails_until}
        Job.objects.create(kind="kinds.keyed_and_locked", queue="orders", arguments=given)
    all_ended()
    assert set(Job.objects.values_list("state", flat=True)) == {"succeeded"}
    history.never_together(events := history.read(mark), "key:")
    assert len(events) == 2 * 4


@pytest.mark.engine
@pytest.mark.django_db
def test_what_the_database_is_asked() -> None:
    sql = statements.on(connection)
    keys: list[str | None] = ["a'b", "ü", None, "7"]
    ids = [submit(kinds.keyed, {"key": key, "n": 7, "mark": ""}).pk for key in keys]
    other = submit(kinds.add, {"a": 1}).pk
    assert sql.partition_keys(connection, [*ids, other], "key") == {ids[0]: "a'b", ids[1]: "ü", ids[3]: "7"}
    assert sql.partition_keys(connection, ids, "n") == dict.fromkeys(ids, "7")
    limited = submit(kinds.locked, {"account": 7, "path": ""}).pk
    assert sql.partition_keys(connection, [limited], "account") == {}
    cancel(ids[0])
    nowhere = uuid.uuid4()
    assert sql.unended(connection, [str(id) for id in (*ids, nowhere)]) == {str(id) for id in ids[1:]}
    lease = timezone.now() + dt.timedelta(minutes=1)
    rows: list[dict[str, Any]] = [
        {"queues": ["default", "orders"]},
        {"queues": ["orders"], "lease_until": timezone.now()},
        {"queues": ["orders"], "stopped_at": timezone.now()},
        {"queues": ["orders"], "paused": ["orders"]},
        {"queues": ["orders.00"]},
    ]
    workers = [Worker.objects.create(**{"node": "w", "pid": 1, "processes": 1, "lease_until": lease, **row}) for row in rows]
    assert sql.workers_of(connection, "orders") == [workers[0].pk]


@pytest.fixture
def publisher(orders: None) -> Iterator[Publisher]:
    """On the queue of this module, with nothing in it."""
    publisher = Publisher(services.broker.url)
    forget(publisher)
    yield publisher
    forget(publisher)
    publisher.close()


def forget(publisher: Publisher) -> None:
    """Delete the queue and all partitions that it ever had here."""
    channel = publisher._open("orders")
    for name in ["orders", *(f"orders.{number:02}" for number in range(12))]:
        channel.queue_delete(name)
    publisher.close()


def where(publisher: Publisher, keys: list[str]) -> dict[str, str]:
    """To which partition each key goes."""
    jobs = {uuid.uuid4(): key for key in keys}
    publisher.prepare(conf().partitioned["orders"])
    assert len(publisher.publish("orders", [(id, "module.function") for id in jobs], jobs)) == len(keys)
    found: dict[str, str] = {}
    with publisher._connection.channel() as channel:
        for part in (held for held in publisher.holdings("orders") if held != "orders"):

            def arrived(message: Any, part: str = part) -> None:
                found[jobs[uuid.UUID(message.properties["message_id"])]] = part

            channel.basic_consume(part, no_ack=True, callback=arrived)
        while len(found) < len(keys):
            publisher._connection.drain_events(timeout=10)
    return found


@pytest.mark.thorough
def test_adding_a_partition_moves_few_keys_and_a_restart_or_a_deleted_partition_none(
    publisher: Publisher, settings: Settings
) -> None:
    keys = [f"customer {number}" for number in range(4_000)]

    def with_partitions(number: int) -> dict[str, str]:
        settings.FURROW = {**settings.FURROW, "QUEUES": ["default", "other", Queue("orders", number, "key")]}
        publisher.close()
        return where(publisher, keys)

    eight = with_partitions(8)
    assert len(eight) == len(keys)
    assert min(Counter(eight.values()).values()) > len(keys) / 8 * 0.8
    nine = with_partitions(9)
    moved = {key for key in keys if nine[key] != eight[key]}
    assert len(keys) / 9 * 0.8 < len(moved) < len(keys) / 9 * 1.2
    assert {nine[key] for key in moved} == {"orders.08"}  # to the new one, and none between the others
    # Back to eight: the ninth is deleted, and everything is where it was.
    assert with_partitions(8) == eight
    assert "orders.08" not in services.broker.ctl("list_queues", "--quiet", "name").splitlines()
    # One in the middle is deleted by somebody; RabbitMQ is restarted.
    publisher._channel.queue_delete("orders.03")
    publisher._rings["orders"] = 0.0
    with pytest.raises(BrokerError, match=r"orders\.03"):
        where(publisher, keys)
    assert where(publisher, keys) == eight
    publisher.close()
    services.broker.ctl("stop_app")
    services.broker.ctl("start_app")
    assert where(publisher, keys) == eight


def plugins(*arguments: str) -> None:
    """What `rabbitmq-plugins <arguments>` does."""
    script = Path(str(services.broker.binary())).with_name("rabbitmq-plugins")
    command = [str(script), "--node", services.broker.node, *arguments]
    subprocess.run(command, env=services.broker.environ(), cwd="/", check=True, capture_output=True, timeout=60)


@pytest.mark.thorough
@pytest.mark.usefixtures("orders")
def test_without_the_plugin_other_queues_go_on_and_the_remedy_is_said(bare: Stack, tmp_path: Path) -> None:
    publisher = Publisher(services.broker.url)
    publisher._open("orders").exchange_delete("furrow.orders")
    publisher.close()
    plugins("disable", "rabbitmq_consistent_hash_exchange")
    try:
        bare.dispatcher(**ENVIRON)
        bare.worker(**ENVIRON)
        held = submit(kinds.keyed, {"key": "k", "n": 7, "mark": str(tmp_path / "mark")}, queue="orders")
        free = submit(kinds.add, {"a": 1}, queue="other")
        wait_until(lambda: Job.objects.get(pk=free.pk).result == 2)
        wait_until(lambda: Leader.objects.filter(trouble__contains="run rabbitmq-plugins enable").exists())
        assert Job.objects.get(pk=held.pk).state == "pending"
    finally:
        plugins("enable", "rabbitmq_consistent_hash_exchange")
    wait_until(lambda: Job.objects.get(pk=held.pk).result == 7)
    wait_until(lambda: not Leader.objects.exclude(trouble="").exists())
