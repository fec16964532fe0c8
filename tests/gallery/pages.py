"""Which pages there are pictures of: their names and addresses below ``/admin/``, and what is done there before."""

import itertools
import re
import uuid
from collections.abc import Callable, Mapping
from typing import NamedTuple

from furrow import submit_many
from furrow.models import DeadMessage, Worker, WorkerRequest
from playwright.sync_api import Page

from tests.gallery import shop
from tests.gallery.scene import shorten

#: Each time another, so that there is something to change.
_priorities = itertools.cycle([1, 7, 2, 8, 3])
Prepare = Callable[[Page], None]


class Picture(NamedTuple):
    """One page."""

    name: str
    address: str
    prepare: Prepare = lambda page: None
    #: As long as the page, where there is much below.
    whole: bool = False


def pictures(jobs: Mapping[str, uuid.UUID]) -> list[Picture]:
    """All of them. ``jobs``: ids by name (:func:`tests.gallery.scene.fill`)."""
    worker = Worker.objects.filter(stopped_at__isnull=True).order_by("pk")[0].pk
    message = DeadMessage.objects.order_by("pk")[1].pk
    matching = "kind=shop.send_newsletter&state=pending"
    return [
        Picture("home", "", whole=True),
        Picture("jobs", "furrow/job/?kind=shop.charge_card"),
        Picture("job", f"furrow/job/{jobs['job']}/change/"),
        Picture("job-log", f"furrow/job/{jobs['running']}/change/", _to_log),
        Picture("job-waiting", f"furrow/job/{jobs['waiting']}/change/"),
        Picture("workflows", "furrow/workflow/"),
        Picture("workflow", f"furrow/workflow/{jobs['workflow']}/change/", whole=True),
        Picture("bulk", f"furrow/job/bulk/?{matching}&action=change+priority"),
        Picture("bulk-progress", f"furrow/job/bulk/?{matching}&action=change+priority", _act),
        Picture("kinds", "furrow/job/submit/"),
        Picture("submit", "furrow/job/submit/shop.welcome_customer/", whole=True),
        Picture("csv", "furrow/job/submit/shop.charge_card/table/", _table("account_id,amount\n1,20.50\n2,9.90\n3,7\n")),
        Picture(
            "csv-errors",
            "furrow/job/submit/shop.charge_card/table/",
            _table("account_id,amount,currency\n1,20.50,EUR\nx,9.90,CHF\n3,,EUR\n"),
        ),
        Picture("errors", "errors/"),
        Picture("audit", "furrow/auditentry/"),
        Picture("queues", "furrow/queue/"),
        Picture("queue", "furrow/queue/mail/change/"),
        Picture("partitions", "furrow/queue/orders/change/", _orders),
        Picture("workers", "furrow/worker/"),
        Picture("worker", f"furrow/worker/{worker}/change/"),
        Picture("stack", f"furrow/job/{jobs['running']}/change/", _where),
        Picture("locks", "furrow/lock/"),
        Picture("drift", "furrow/drift/"),
        Picture("dead-messages", "furrow/deadmessage/"),
        Picture("dead-message", f"furrow/deadmessage/{message}/change/"),
        Picture("flower", f"../flower/task/{jobs['running']}"),
    ]


def _orders(page: Page) -> None:
    submit_many(shop.ship_order, [{"customer_id": n % 23, "order": 9_200 + n} for n in range(600)])
    page.wait_for_timeout(7_000)


def _to_log(page: Page) -> None:
    page.locator("#job-lines li").nth(5).wait_for()
    page.locator("#job-log").scroll_into_view_if_needed()


def _act(page: Page) -> None:
    page.select_option("select[name=priority]", str(next(_priorities)))
    page.locator(".fw-submit button").click()
    page.locator(".fw-progress", has_text=re.compile(r"[2-9]\d.%")).wait_for()


def _table(text: str) -> Prepare:
    def prepare(page: Page) -> None:
        page.fill("textarea[name=text]", text)
        page.get_by_role("button", name="Check the table").click()
        page.locator("#preview, #problems").wait_for()

    return prepare


def _where(page: Page) -> None:
    page.get_by_role("button", name="Show stack").click()
    page.locator("pre").wait_for()
    for asked in WorkerRequest.objects.filter(action="stack"):
        WorkerRequest.objects.filter(pk=asked.pk).update(answer=shorten(asked.answer))
    page.reload()
