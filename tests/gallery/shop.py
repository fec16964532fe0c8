"""The kinds that the pictures show: those of a shop. Loaded by ``FURROW_MODULES=tests.gallery.shop``."""

import datetime as dt
import time
from typing import Annotated, Any, Literal

from celery import shared_task
from furrow import ForeignKey, Retry, RetryPolicy, Secret, UploadedPath, current_job, job

ONCE = RetryPolicy(max_attempts=1)
SHORT = RetryPolicy(max_attempts=2, base=0.2, jitter=0)


class GatewayError(Exception):
    """The payment gateway refused."""


@job(retry=SHORT, tags=["money"])
def charge_card(account_id: int, amount: float, currency: Literal["EUR", "USD", "GBP"] = "EUR") -> dict[str, Any]:
    """Charge a customer's card.

    Args:
        account_id: whose card.
        amount: in the currency's main unit.
    """
    current_job.log(f"charging account {account_id}: {amount:.2f} {currency}")
    _talk_to_gateway(account_id, amount)
    return {"receipt": f"R-{account_id:06}", "amount": amount}


def _talk_to_gateway(account_id: int, amount: float) -> None:
    if account_id % 10 == 7:
        raise GatewayError(f"payment gateway: 503 Service Unavailable (account {account_id})")
    if account_id % 40 == 3:
        raise Retry("the gateway asks for patience", seconds=900)
    time.sleep(0.002 * (amount % 20))


@job(queue="mail")
def send_invoice(invoice: int, to: str) -> None:
    """Send an invoice by mail."""
    time.sleep(0.004)


@job(queue="mail", rate="50/s")
def send_newsletter(issue: str, to: int) -> None:
    """Send one copy of the newsletter."""


@job(lock="account:{account_id}")
def monthly_statement(account_id: int, month: str) -> dict[str, int]:
    """Draw up an account's statement."""
    for page in range(600):
        current_job.progress((page + 1) / 600, note=f"page {page + 1} of 600")
        current_job.log(f"page {page + 1}: {17 + page % 5} entries", level=30 if page % 9 == 8 else 20)
        time.sleep(0.5)
    return {"pages": 600}


@job(retry=ONCE)
def import_feed(url: str, since: dt.date | None = None) -> int:
    """Read a supplier's feed."""
    raise KeyError("currency")


@job(timeout=3600)
def rebuild_index(shards: int = 8) -> int:
    """Build the search index anew."""
    for shard in range(shards * 60):
        current_job.progress(shard / (shards * 60), note=f"shard {shard // 60 + 1} of {shards}")
        time.sleep(1)
    return shards


@job(queue="orders")
def ship_order(customer_id: int, order: int) -> None:
    """Have an order packed; one customer's one after the other."""
    time.sleep(0.05)


@job
def welcome_customer(
    customer: Annotated[int, ForeignKey("auth.User")],
    gift: Literal["none", "voucher", "sample"] = "none",
    picture: UploadedPath | None = None,
    api_token: Annotated[str, Secret] = "",
    words: str = "Welcome!\nWe are glad that you are here.",
    deliver_on: dt.date | None = None,
    express: bool = False,
) -> None:
    """Greet a new customer.

    Sends a mail, and a gift if there is one.

    Args:
        customer: whom to greet.
        gift: what goes with it.
        picture: shown on the card.
        api_token: of the mail service; never shown again.
    """


@shared_task  # type: ignore[untyped-decorator]
def tidy_up() -> None:
    """An ordinary Celery task beside them."""
