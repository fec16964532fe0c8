"""Replay of chosen events to one subscriber or webhook: a page that asks to whom."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_POST

from furrow.actions.audit import audit
from furrow.actions.permissions import may_see, may_submit
from furrow.admin import site
from furrow.errors import BrokerError, EventError
from furrow.events.published import whole
from furrow.events.replay import kept, replay_chosen
from furrow.events.subscribers import all_subscribers
from furrow.models import Event, Webhook
from furrow.models.audit_entry import Origin
from furrow.models.database import atomic
from furrow.plural import counted
from furrow.webhooks import deliveries

#: Events that can be chosen at once; ``manage.py furrow replay`` takes more.
MOST = 1_000


def targets(request: HttpRequest) -> dict[str, str]:
    """To whom this user may send events, with a text for each: subscribers whose jobs the user may submit, and, for who may
    change them, webhooks."""
    if not may_see(request.user, "event"):
        return {}
    kinds = [one.kind for one in all_subscribers() if may_submit(request.user, one.kind)]
    may_change = request.user.has_perm("furrow.change_webhook")
    hooks = Webhook.objects.filter(active=True) if may_change else Webhook.objects.none()
    return {f"kind:{kind.name}": f"subscriber {kind.name}" for kind in kinds} | {
        f"webhook:{hook.pk}": f"webhook {hook.name}" for hook in hooks
    }


def ask(request: HttpRequest, ids: list[int], problem: str = "") -> HttpResponse:
    """The page."""
    if len(ids) > MOST:
        messages.error(request, f"Choose {MOST:,} events at most; manage.py furrow replay sends all since a time.")
        return HttpResponseRedirect(reverse("admin:furrow_event_changelist"))
    context = {
        **site.context(request, Event),
        "title": f"Replay {counted(len(ids), 'event')}",
        "ids": ids,
        "targets": targets(request),
        "to": request.POST.get("to", ""),
        "problem": problem,
    }
    return TemplateResponse(request, "admin/furrow/event/replay.html", context, status=422 if problem else 200)


@require_POST
def replay(request: HttpRequest) -> HttpResponse:
    """Send them, and say how many."""
    known, to = targets(request), request.POST.get("to", "")
    if not known:
        raise PermissionDenied
    ids = _ids(request.POST.getlist("ids"))
    if to not in known:
        return ask(request, ids, "choose a subscriber or a webhook that is there, and to which you may send.")
    try:
        sent = _send(request, to, known[to], ids)
    except (BrokerError, EventError) as error:
        return ask(request, ids, f"{error}.")
    if sent:
        messages.success(request, f"{counted(sent, 'event')} sent to {known[to]}.")
    if left := len(ids) - sent:
        text = "its patterns match others, or they are not published, or gone, or were delivered"
        messages.warning(request, f"{counted(left, 'event')} left out: {text}.")
    return HttpResponseRedirect(reverse("admin:furrow_event_changelist"))


def _send(request: HttpRequest, to: str, name: str, ids: list[int]) -> int:
    what, _, key = to.partition(":")
    with atomic():
        if what == "kind":
            sent = replay_chosen(key, ids)
        else:
            sent = len(deliveries.of(whole(kept().filter(pk__in=ids)), Webhook.objects.get(pk=key)))
        if sent:
            detail = ", ".join(map(str, ids))
            audit("replay events", by=request.user, origin=Origin.ADMIN, target=name, count=sent, detail=detail)
    return sent


def _ids(texts: list[str]) -> list[int]:
    return sorted({int(text) for text in texts[:MOST] if text.isascii() and text.isdecimal() and len(text) < 19})
