"""A day in a shop's life: jobs that really ran, and counts of the hours before."""

import datetime as dt
import random
import time
import uuid
from collections.abc import Callable
from typing import Any

import amqp
from deploy import ROOT
from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone
from furrow import Job, LogLine, State, submit, submit_many, workflow
from furrow.actions import audit, queues
from furrow.diagnosis.drift import MEANINGS, note
from furrow.diagnosis.explain import living_workers
from furrow.models import Attempt, DeadMessage, Drift, ErrorCount, ErrorGroup, Node, Rollup, Workflow
from furrow.statements.rollups import BOUNDS, WAIT
from furrow.states import FINAL
from kombu import Connection

from tests.gallery import shop

#: Jobs that stay in the table for later: what bulk actions are shown on.
NEWSLETTERS = 30_000


def wait_until(condition: Callable[[], object], what: str, seconds: float = 120) -> None:
    """Poll until it holds.

    Raises:
        TimeoutError: it did not in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(0.2)


def fill(workers: int) -> dict[str, uuid.UUID]:
    """Make it; returns the ids of the jobs that pages show, by name. ``workers``: how many there will be."""
    wait_until(lambda: living_workers(timezone.now()).count() >= workers, "the workers live")
    ann = User.objects.create_user("ann", first_name="Ann", last_name="Lee", is_staff=True)
    _history(random.Random(7))
    submit_many(
        shop.send_newsletter, [{"issue": "spring", "to": n} for n in range(NEWSLETTERS)], countdown=86_400, submitted_by=ann
    )
    jobs = _ran(ann)
    _dead_messages()
    _drift()
    jobs |= _stands(ann)
    jobs |= _workflows(ann)
    _acts(ann)
    _at_home()
    return jobs


#: Of the hours before: kind, queue, jobs a minute, how many of a hundred fail.
USUAL = (
    ("shop.charge_card", "default", 270, 1.5),
    ("shop.send_invoice", "mail", 180, 0.2),
    ("shop.ship_order", "orders", 120, 0),
)


def _history(chance: random.Random) -> None:
    """Counts of the hours before this one: busy days, quiet nights, half an hour in which the gateway was away."""
    now, rows = int(time.time()), []
    for seconds, first, last in ((60, now - 3600, now - 60), (600, now - 86_400, now - 3600)):
        for at in range(first // seconds * seconds, last // seconds * seconds, seconds):
            busy = 1.0 if at > now - 3600 or at // 3600 % 24 in range(7, 20) else 0.3
            away = now - 7 * 3600 < at < now - 6.5 * 3600
            for kind, queue, usual, fails in USUAL:
                ended = int(usual * busy * (0.7 + 0.6 * chance.random()) * seconds / 60)
                failed = int(ended * fails / 100 * (12 if away else 2 * chance.random()) + chance.random())
                counted = [("succeeded", ended, chance.choice([4, 5, 5, 6])), (WAIT, ended, chance.choice([3, 4, 4, 5]))]
                for measure, count, bucket in [*counted, ("failed", failed, 6)]:
                    rows.append(_count(at, seconds, kind, queue, measure, bucket, count))
    Rollup.objects.bulk_create([row for row in rows if row.count])


def _count(at: int, seconds: int, kind: str, queue: str, measure: str, bucket: int, count: int) -> Rollup:
    key = {"at": at, "seconds": seconds, "kind": kind, "queue": queue, "worker": uuid.UUID(int=0), "writer": 0}
    return Rollup(**key, measure=measure, bucket=bucket, count=count, total=count * BOUNDS[bucket])


def _ran(ann: User) -> dict[str, uuid.UUID]:
    """Jobs that have ended, most of them well."""
    amounts = [round(7.5 + 11.3 * n % 90, 2) for n in range(90)]
    submit_many(shop.charge_card, [{"account_id": n, "amount": amount} for n, amount in enumerate(amounts)], submitted_by=ann)
    submit_many(
        shop.send_invoice, [{"invoice": 7000 + n, "to": f"customer{n}@example.com"} for n in range(60)], tags=["nightly"]
    )
    for n in range(3):
        submit(shop.import_feed, {"url": f"https://feed.example/{n}.csv"}, submitted_by=ann)
    failed = submit(shop.charge_card, {"account_id": 107, "amount": 49.9}, submitted_by=ann, tags=["eu-west"])
    waits = Job.objects.exclude(state__in=FINAL)
    wait_until(lambda: not waits.filter(run_at__lte=timezone.now() + dt.timedelta(seconds=30)).exists(), "all ran")
    wait_until(lambda: Job.objects.get(pk=failed.pk).state == State.FAILED, "one failed")
    _errors_before(random.Random(3))
    return {"job": failed.pk}


def _errors_before(chance: random.Random) -> None:
    """The same errors, in the hours before."""
    now = int(time.time()) // 600 * 600
    for group, each in zip(ErrorGroup.objects.order_by("kind", "fingerprint"), (6, 2, 1), strict=False):
        spans = [now - 600 * n for n in range(8, 140) if chance.random() < 0.3 or 39 < n < 42]
        ErrorCount.objects.bulk_create(
            [
                ErrorCount(
                    at=at, seconds=600, kind=group.kind, fingerprint=group.fingerprint, writer=0,
                    runs=(runs := 1 + int(each * chance.random() * (6 if 39 < (now - at) // 600 < 42 else 1))), jobs=runs // 2,
                )
                for at in spans
            ]
        )  # fmt: skip
        ErrorGroup.objects.filter(kind=group.kind, fingerprint=group.fingerprint).update(
            first_seen=timezone.now() - dt.timedelta(hours=23)
        )


def _dead_messages() -> None:
    messages = [
        (
            "celery",
            amqp.Message(b'{"event": "order.paid", "id": 4711}', content_type="application/json", application_headers={}),
        ),
        (
            "celery",
            amqp.Message(
                b"[[], {}, {}]",
                content_type="application/json",
                content_encoding="utf-8",
                application_headers={"task": "shop.tasks.old_report", "id": str(uuid.uuid4())},
            ),
        ),
        ("furrow", amqp.Message(b"", message_id=str(uuid.uuid4()), type="shop.charge_card")),
    ]
    with Connection(settings.BROKER_URL) as link:
        channel = link.channel()
        channel.confirm_select()
        for exchange, message in messages:
            channel.basic_publish_confirm(message, exchange, "default" if exchange == "furrow" else "celery", mandatory=True)
    wait_until(lambda: DeadMessage.objects.count() == len(messages), "the dead messages are kept")


def _drift() -> None:
    """What a restart of RabbitMQ without its disk leaves, and what was done about it."""
    for name in MEANINGS:
        note(name, 0, 0)
    Drift.objects.filter(name="queued_without_message").update(
        repaired=1_284, found_at=timezone.now() - dt.timedelta(hours=5), repaired_at=timezone.now() - dt.timedelta(hours=5)
    )


def _stands(ann: User) -> dict[str, uuid.UUID]:
    """What runs, and what waits for it."""
    statement = submit(shop.monthly_statement, {"account_id": 7, "month": "2026-10"}, submitted_by=ann)
    wait_until(lambda: LogLine.objects.filter(job=statement.pk).count() > 12, "the statement has begun")
    waits = [submit(shop.monthly_statement, {"account_id": 7, "month": f"2026-{n:02}"}, submitted_by=ann) for n in (11, 12)]
    submit(shop.rebuild_index, {}, submitted_by=ann)
    submit_many(shop.ship_order, [{"customer_id": n % 23, "order": 9000 + n} for n in range(120)])
    queues.pause("mail", by="ann", reason="the mail provider is down")
    submit_many(shop.send_invoice, [{"invoice": 8000 + n, "to": f"customer{n}@example.com"} for n in range(140)])
    wait_until(lambda: Job.objects.get(pk=waits[-1].pk).held, "the statements wait for the lock")
    newest: list[tuple[Any, dict[str, Any]]] = [
        (shop.charge_card, {"account_id": n, "amount": 12.5 + n}) for n in (208, 217, 219, 203)
    ]
    for kind, arguments in [*newest, (shop.import_feed, {"url": "https://feed.example/9.csv"})]:
        submit(kind, arguments, submitted_by=ann, tags=["eu-west"])
    submit(shop.welcome_customer, {"customer": ann.pk, "gift": "voucher"}, submitted_by=ann)
    submit(shop.import_feed, {"url": "https://feed.example/10.csv"}, countdown=7200)
    wait_until(lambda: Job.objects.filter(kind="shop.welcome_customer", state=State.SUCCEEDED).exists(), "the newest ran")
    return {"running": statement.pk, "waiting": waits[-1].pk}


def _workflows(ann: User) -> dict[str, uuid.UUID]:
    """Orders: one goes on, and waits for the mail; one has failed; one went well."""
    ids = [_order(ann, number, account).id for number, account in ((4709, 120), (4710, 117), (4711, 121))]
    with workflow("order 4708", submitted_by=ann) as w:
        charged = w.add(shop.charge_card, {"account_id": 122, "amount": 12.5}, name="charge the card")
        w.map(shop.ship_order, [{"customer_id": 5, "order": n} for n in range(6)], after=[charged], name="pack the items")
    wait_until(lambda: Workflow.objects.get(pk=w.id).finished_at, "the small order is done")
    wait_until(lambda: Workflow.objects.get(pk=ids[1]).finished_at, "the order whose card was refused is over")
    going = Node.objects.filter(workflow=ids[2])
    wait_until(lambda: going.filter(name="pack the items", state="succeeded").exists(), "all is packed")
    return {"workflow": ids[2]}


def _order(ann: User, number: int, account: int) -> Any:
    with workflow(f"order {number}", submitted_by=ann) as w:
        charged = w.add(shop.charge_card, {"account_id": account, "amount": 4.9}, name="charge the card")
        w.compensate(charged, shop.charge_card, {"account_id": account, "amount": -4.9}, name="give it back")
        packed = w.map(
            shop.ship_order, [{"customer_id": n, "order": number} for n in range(24)], after=[charged], name="pack the items"
        )
        points = w.add(shop.charge_card, {"account_id": 237, "amount": 1.0}, after=[charged], name="redeem the voucher")
        w.add(shop.rebuild_index, {"shards": 1}, after=[points.failed], name="look into the voucher")
        invoice = w.add(
            shop.send_invoice, {"invoice": number, "to": "ann@example.com"}, after=[charged], name="send the invoice"
        )
        w.add(shop.welcome_customer, {"customer": ann.pk}, after=[packed, invoice.ended], name="thank the customer")
    return w


def _acts(ann: User) -> None:
    """What people did."""
    audit.audit("pause", by=ann, origin="admin", target="queue mail", detail="the mail provider is down")
    for job in Job.objects.filter(state=State.FAILED, kind="shop.charge_card").order_by("pk")[:3]:
        audit.audit("retry", by=ann, origin="admin", target=f"job {job.kind}", job=job.pk)
    audit.audit(
        "retry",
        by=ann,
        origin="admin",
        target="jobs that match",
        criteria={"state": "failed", "kind": "shop.import_feed"},
        count=1_204,
    )
    audit.audit("break", by="admin", origin="admin", target="lock catalogue", detail="token 41")
    audit.audit("cancel", by="root", origin="command line", target="job shop.rebuild_index")


def _at_home() -> None:
    """Tracebacks as if the code stood where a shop's would."""
    for attempt in Attempt.objects.exclude(traceback=""):
        Attempt.objects.filter(pk=attempt.pk).update(traceback=shorten(attempt.traceback))


def shorten(text: str) -> str:
    """Where this checkout lies is nobody's business."""
    return text.replace(f"{ROOT}/tests/gallery/", "/srv/shop/").replace("tests.gallery.", "")
