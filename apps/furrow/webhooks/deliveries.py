"""Which events go to which webhooks, and the kind of job that sends one."""

import datetime as dt
import hashlib
import logging
import time
import uuid
from collections.abc import Sequence

from django.db import Error
from django.db.models import F
from django.db.models.functions import Coalesce, Now

from furrow.conf import conf
from furrow.context import current_job
from furrow.diagnosis import troubles
from furrow.errors import Abort, EventError, did_you_mean
from furrow.events.published import whole
from furrow.events.replay import kept_since, pages
from furrow.kinds.retry import RetryPolicy
from furrow.kinds.tags import as_tags
from furrow.models import Event, Job, Webhook
from furrow.models.database import atomic
from furrow.rabbitmq.events import CONTENT_TYPE, cloud_event
from furrow.statements import Outgoing
from furrow.statements.moves import DEPTH_KEY
from furrow.submission.job import job
from furrow.submission.submit import submit
from furrow.topics import TEST, wanted
from furrow.webhooks.posting import Forbidden, Unreachable, post, signature

logger = logging.getLogger(__name__)

#: Seconds for each wait of a request, and for the whole of it.
WAIT, WHOLE = 10.0, 20.0
#: Tries of one delivery, over about fourteen hours; and how many failed ones in a row switch a webhook off.
RETRY = RetryPolicy(max_attempts=10, base=5, factor=4, cap=4 * 3600)
GONE = 410


class DeliveryFailed(Exception):
    """The receiver did not take it."""


@job(
    name="furrow.webhook",
    permission="furrow.change_webhook",
    concurrency=4,
    concurrency_key="furrow.webhook:{webhook}",
    soft_timeout=WHOLE,
    timeout=WHOLE + 10,
    retry=RETRY,
)
def deliver(webhook: int, event: int) -> dict[str, int]:
    """Send one event to one webhook. Events become jobs of this kind by themselves.

    Args:
        webhook: its id.
        event: the event's id.
    """
    to = Webhook.objects.filter(pk=webhook).first()
    what = Event.objects.filter(pk=event).first()
    if to is None or not to.active:
        raise Abort(f"webhook {to or webhook} {'is switched off' if to else 'was deleted'}")
    if what is None:
        raise Abort(f"event {event} is not kept any more (FURROW['EVENT_RETENTION'])")
    began = time.monotonic()
    try:
        status, text = _post(to, what)
    except Forbidden as error:
        _failed(to, str(error))
        raise Abort(str(error)) from None
    except Unreachable as error:
        _failed(to, str(error))
        raise DeliveryFailed(str(error)) from None
    took = round(1000 * (time.monotonic() - began))
    current_job.log("%s answered with status %d. %s", to.name, status, text)
    if status == GONE:
        _switch_off(to, "its receiver answered 410 Gone")
        raise Abort("the receiver wants no more (410 Gone)")
    if not 200 <= status < 300:
        _failed(to, f"its receiver answered {status}")
        raise DeliveryFailed(f"the receiver answered {status}")
    if to.failures:
        Webhook.objects.filter(pk=to.pk).update(failures=0, failing_since=None)
    return {"status": status, "milliseconds": took}


def of(events: Sequence[Outgoing], only: Webhook | None = None) -> list[Job]:
    """Submit the deliveries of these events, in the caller's transaction, each once however often this is called. ``only``: to
    this webhook."""
    hooks = [only] if only else list(Webhook.objects.filter(active=True)) if events else []
    wants = {
        delivery_id(event, hook): (event, hook)
        for event in events
        for hook in hooks
        if wanted(patterns_of(hook), event.name, event.depth)
    }
    there = set(Job.objects.filter(pk__in=wants).values_list("pk", flat=True)) if wants else set()
    made = [_submit(id, event, hook) for id, (event, hook) in wants.items() if id not in there]
    return [job for job in made if job]


def replay(name: str, since: dt.datetime) -> int:
    """Deliver to a webhook, and to nobody else, the events that it wants, that happened since this (aware) time, are kept and
    were published. Those of which there is a delivery make none: retry that.

    Returns:
        How many deliveries were submitted.

    Raises:
        EventError: there is no webhook of this name, or it is switched off; or the time has no zone.
    """
    hook, known = Webhook.objects.filter(name=name).first(), Webhook.objects.values_list("name", flat=True)
    if hook is None:
        hint = did_you_mean(name, known) if known else "there is none"
        raise EventError({"webhook": f"there is no webhook {name!r}; {hint}"})
    if not hook.active:
        raise EventError({"webhook": f"{name!r} is switched off: switch it on first"})
    made = 0
    for page in pages(kept_since(since)):
        with atomic():
            made += len(of(page, only=hook))
    return made


def _submit(id: uuid.UUID, event: Outgoing, hook: Webhook) -> Job | None:
    """``None``: a middleware has refused it, which is told, and keeps no other event back."""
    try:
        return submit(
            deliver,
            {"webhook": hook.pk, "event": event.id},
            id=id,
            tags=[hook.tag, *as_tags(event.name)],
            meta={DEPTH_KEY: event.depth + 1},
        )
    except Error:
        raise
    except Exception as error:
        troubles.failed("submit of a webhook's delivery", error)
        return None


def patterns() -> list[str]:
    """What all webhooks together want."""
    return sorted({pattern for hook in Webhook.objects.filter(active=True) for pattern in patterns_of(hook)})


def delivery_id(event: Outgoing, hook: Webhook) -> uuid.UUID:
    """Of the job: always the same, and among other jobs where the event's time puts it (UUIDv7, RFC 9562, which knows
    no time before 1970)."""
    made = hashlib.sha256(f"{event.id} {hook.pk} {hook.created_at.isoformat()}".encode()).digest()
    bits = max(0, int(event.at.timestamp() * 1000)) << 80 | int.from_bytes(made[:10])
    return uuid.UUID(int=bits & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62)


def send_test(hook: Webhook) -> Job:
    """Send it an event that nobody else gets."""
    event = Event.objects.create(name=TEST, data={"webhook": hook.name}, published_at=Now())
    return submit(deliver, {"webhook": hook.pk, "event": event.pk}, tags=[hook.tag, event.name], meta={DEPTH_KEY: 1})


def _post(hook: Webhook, event: Event) -> tuple[int, str]:
    body, id, timestamp = cloud_event(whole(Event.objects.filter(pk=event.pk))[0]), f"evt_{event.pk}", int(time.time())
    headers = {
        "Content-Type": CONTENT_TYPE,
        "User-Agent": "Furrow",
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(hook.secret, id, timestamp, body),
    }
    return post(hook.url, body, headers, WAIT)


def _failed(hook: Webhook, reason: str) -> None:
    """Count it; too many in a row switch the webhook off."""
    rows = Webhook.objects.filter(pk=hook.pk)
    rows.update(failures=F("failures") + 1, failing_since=Coalesce("failing_since", Now()))
    if rows.filter(failures__gte=conf().webhook_failures).exists():
        _switch_off(hook, f"{conf().webhook_failures:,} attempts in a row failed; the last one: {reason}")


def _switch_off(hook: Webhook, reason: str) -> None:
    if Webhook.objects.filter(pk=hook.pk, active=True).update(active=False, disabled_reason=reason[:300]):
        logger.error("Webhook %s was switched off: %s.", hook.name, reason)
        troubles.note(
            "webhooks", f"Webhook {hook.name} was switched off: {reason}", "Mend its receiver, and switch it on again."
        )


def patterns_of(hook: Webhook) -> list[str]:
    """What it wants."""
    return [pattern for pattern in hook.patterns if isinstance(pattern, str)]
