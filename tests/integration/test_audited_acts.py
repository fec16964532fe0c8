"""Whatever a person does to messages, queues, workers and locks is in the audit log: who, what, to what, how many."""

import datetime as dt
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone
from furrow import Job, State
from furrow.models import AuditEntry, DeadMessage, Worker
from kombu import Connection

from tests import services
from tests.integration.test_permission_matrix import address, samples, user_of
from tests.permission_matrix import MATRIX

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.filterwarnings("ignore:No directory at"),
    pytest.mark.filterwarnings("ignore:Overriding setting"),
]
samples = samples
MESSAGE = "/admin/furrow/deadmessage/"


def entries(since: dt.datetime) -> list[tuple[Any, ...]]:
    found = AuditEntry.objects.filter(at__gte=since).order_by("pk")
    return list(found.values_list("who", "action", "target", "count", "origin"))


def dead(**columns: Any) -> DeadMessage:
    given = {"reason": "sample", "exchange": "", "routing_key": "audited", "properties": "{}", **columns}
    return DeadMessage.objects.create(**given)


@pytest.fixture
def worker() -> Worker:
    lease = timezone.now() + dt.timedelta(hours=1)
    return Worker.objects.create(node="w@here", pid=1, processes=1, queues=["default"], kinds=[], lease_until=lease)


def test_dead_messages_replayed_and_deleted(admin_client: Client) -> None:
    begun = timezone.now()
    with Connection(services.broker.url) as link:
        link.channel().queue_declare("audited", durable=True, auto_delete=False)
    one, two, three, four, lame = dead(), dead(), dead(), dead(), dead(routing_key="")
    admin_client.post(f"{MESSAGE}{one.pk}/replay/")
    chosen = [two.pk, lame.pk, three.pk]
    admin_client.post(MESSAGE, {"action": "replay_selected", "_selected_action": chosen})
    admin_client.post(f"{MESSAGE}{four.pk}/delete/", {"post": "yes"})
    admin_client.post(MESSAGE, {"action": "delete_chosen", "_selected_action": [lame.pk]})
    with Connection(services.broker.url) as link:
        link.channel().queue_delete("audited")
    assert entries(begun) == [
        ("admin", "replay", f"dead message {one.pk}", 1, "admin"),
        ("admin", "replay", "dead messages", 2, "admin"),
        ("admin", "delete", f"dead message {four.pk}", 1, "admin"),
        ("admin", "delete", f"dead message {lame.pk}", 1, "admin"),
    ]
    assert AuditEntry.objects.get(count=2, at__gte=begun).detail == f"{two.pk}, {three.pk}"


def test_what_changes_nothing_is_not_written_down(admin_client: Client, worker: Worker) -> None:
    begun = timezone.now()
    lame = dead(routing_key="no.such.queue")
    admin_client.post(f"{MESSAGE}{lame.pk}/replay/")
    admin_client.post("/admin/furrow/queue/default/resume/")
    admin_client.post("/admin/furrow/lock/break/", {"lock": "lock:nobody", "token": "1"})
    Worker.objects.update(lease_until=begun)
    admin_client.post(f"/admin/furrow/worker/{worker.pk}/ask/", {"action": "restart"})
    assert entries(begun) == []


def test_queues_workers_and_stacks(admin_client: Client, worker: Worker) -> None:
    begun = timezone.now()
    for act in ("pause", "drain", "resume"):
        admin_client.post(f"/admin/furrow/queue/default/{act}/", {"reason": "because"} if act != "resume" else {})
    for action, subject in (("pause", "default"), ("resume", "default"), ("restart", ""), ("shutdown", "")):
        admin_client.post(f"/admin/furrow/worker/{worker.pk}/ask/", {"action": action, "subject": subject})
    job = Job.objects.create(kind="a.kind", state=State.RUNNING, worker=worker.pk, started_at=begun, attempt=1)
    admin_client.post(f"/admin/furrow/worker/stack/{job.pk}/")
    assert [entry[:4] for entry in entries(begun)] == [
        ("admin", "pause", "queue default", 1),
        ("admin", "drain", "queue default", 1),
        ("admin", "resume", "queue default", 1),
        ("admin", "pause", "worker w@here, queue default", 1),
        ("admin", "resume", "worker w@here, queue default", 1),
        ("admin", "restart", "worker w@here", 1),
        ("admin", "shutdown", "worker w@here", 1),
        ("admin", "stack", "job a.kind", 1),
    ]
    assert AuditEntry.objects.filter(at__gte=begun, action="pause").order_by("pk")[0].detail == "because"
    assert AuditEntry.objects.get(action="stack").job == job.pk


def test_every_act_leaves_an_entry(admin_client: Client, samples: dict[str, Any]) -> None:
    """Whatever of ours the permission matrix knows to change something; a job that is submitted alone says itself by whom."""
    user_of("R")  # whom a token is made for
    silent = []
    for route, row in MATRIX.items():
        if not row.change or route.startswith("admin/auth/") or route == "admin/furrow/job/submit/<str:name>/":
            continue
        post, before = row.post(samples) if callable(row.post) else row.post, AuditEntry.objects.count()
        with transaction.atomic():
            admin_client.post(address(route, row, samples), post)
            if AuditEntry.objects.count() == before:
                silent.append(route)
            transaction.set_rollback(True)
    assert not silent
