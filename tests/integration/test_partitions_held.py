"""What workers hold of partitions: not taken for lost, and shown on the queue's page."""

import datetime as dt
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from furrow import Job, State
from furrow.dispatcher.reconcile import Reconcile
from furrow.models import Worker
from furrow.rabbitmq.broker import Publisher
from furrow.worker.intake.lines import Arrived, Lines
from pytest_django import Settings

from tests.integration.test_partitions import orders, publisher

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore:No directory at")]
orders, publisher = orders, publisher


def worker(node: str, lines: dict[str, int]) -> Worker:
    stats = {"at": 0, "processes": [], "lines": lines}
    lease = timezone.now() + dt.timedelta(minutes=5)
    return Worker.objects.create(node=node, pid=1, processes=1, queues=["orders"], lease_until=lease, stats=stats)


@pytest.mark.usefixtures("orders")
def test_jobs_that_wait_in_a_workers_hands_have_their_messages(publisher: Publisher, settings: Settings) -> None:
    long_ago = timezone.now() - dt.timedelta(hours=1)
    columns: dict[str, Any] = {"kind": "kinds.keyed", "queue": "orders", "run_at": long_ago, "queued_at": long_ago}
    for _ in range(3):
        Job.objects.create(state=State.QUEUED, **columns)
    one = worker("one@here", {"orders.00": 2, "orders.03": 2})
    Job.objects.create(state=State.RUNNING, worker=one.pk, started_at=long_ago, attempt=1, **columns)
    reconcile = Reconcile(publisher, [])
    assert reconcile._queue("orders") == (0, 0), "four stand in lines: one that runs, and these three"
    Worker.objects.update(stats={"lines": {"orders.00": 2, "orders.03": 1}})
    Worker.objects.update(stats={"lines": {"orders.00": 2, "orders.03": 1}, "waiting": 5})
    hurry, settings.FURROW = settings.FURROW, {**settings.FURROW, "RESEND_AFTER": 7_200}
    assert reconcile._queue("orders") == (0, 0), "it may be in a worker's buffer"
    settings.FURROW = hurry
    assert reconcile._queue("orders") == (3, 3)
    assert not Job.objects.filter(state=State.QUEUED).exists()


@pytest.mark.usefixtures("orders")
def test_the_page_says_who_has_a_partition_and_whose_it_should_be(admin_client: Client) -> None:
    nodes = {worker("one@here", {"orders.00": 1_234}), worker("two@here", {"orders.00": 0})}
    page = " ".join(admin_client.get("/admin/furrow/queue/orders/change/").content.decode().split())
    assert ">one@here</a> has 1,234" in page
    assert page.count("</a> has ") == 1
    assert sum(page.count(f'meant for <a href="/admin/furrow/worker/{one.pk}/change/"') for one in nodes) >= 3


def test_lines_count_what_stands_in_them() -> None:
    lines = Lines()
    for number, (part, key) in enumerate([("a.00", "x"), ("a.00", "x"), ("a.00", "y"), ("a.01", "z")]):
        lines.add(part, key, Arrived(None, number, f"id {number}", "kind"))
    assert lines.standing() == {"a.00": 3, "a.01": 1}
    lines.leave("id 0")
    assert lines.standing() == {"a.00": 2, "a.01": 1}
