"""Bridges: who reads each queue, what waits there, what became no job; replay of that."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from furrow.admin import live
from furrow.admin.dead_messages import may_replay, send_again
from furrow.admin.readonly import PageAdmin
from furrow.admin.site import shows
from furrow.errors import BrokerError
from furrow.events.subscribers import all_bridges
from furrow.models import BridgeReader, DeadMessage, StreamPlace
from furrow.rabbitmq.inbox import standings
from furrow.statements import clock

#: Dead messages that one press sends again; milliseconds between two looks of the page.
AT_ONCE, EVERY = 200, 5_000
_ROWS = "admin/furrow/bridge/rows.html"


@shows(BridgeReader)
class BridgeReaderAdmin(PageAdmin):
    """The bridges of the settings and those of subscribers, each with the processes that read its queue."""

    def views(self) -> dict[str, Callable[..., HttpResponse]]:
        """All of them, the part that changes, and what can be done."""
        return {"changelist": show, "live": rows, "replay": replay}


@require_GET
def show(request: HttpRequest) -> HttpResponse:
    """The page."""
    _may(request)
    address, around = reverse("admin:furrow_bridgereader_live"), "admin/furrow/bridge/page.html"
    title = "All bridges"
    return live.page(
        request, _ROWS, _facts(request), title=title, address=address, model=BridgeReader, around=around, every=EVERY
    )


@require_GET
def rows(request: HttpRequest) -> HttpResponse:
    """Its part that changes."""
    _may(request)
    return live.answer(request, _ROWS, _facts(request))


@require_POST
def replay(request: HttpRequest) -> HttpResponse:
    """Send the dead messages of one bridge again, the oldest first."""
    _may(request)
    if not may_replay(request):
        raise PermissionDenied
    queue = request.POST.get("queue", "").replace("\0", "")
    dead = DeadMessage.objects.filter(bridge=queue).exclude(bridge="").order_by("pk")
    if ids := list(dead.values_list("pk", flat=True)[:AT_ONCE]):
        send_again(request, ids)
        if left := dead.filter(pk__gt=ids[-1]).count():
            messages.info(request, f"{left:,} more wait: at most {AT_ONCE} are sent at once.")
    else:
        messages.info(request, "Nothing was sent: this bridge has no dead messages.")
    return HttpResponseRedirect(reverse("admin:furrow_bridgereader_changelist"))


# --- Steps ------------------------------------------------------------------------------------------------------------


def _may(request: HttpRequest) -> None:
    if not request.user.has_perm("furrow.view_bridgereader"):
        raise PermissionDenied


def _facts(request: HttpRequest) -> dict[str, Any]:
    bridges, user = all_bridges(), request.user
    facts: dict[str, Any] = {
        "sees_dead": user.has_perm("furrow.view_deadmessage"),
        "sees_jobs": user.has_perm("furrow.view_job"),
        "may_replay": may_replay(request),
    }
    try:
        stand = standings(bridges) if bridges else {}
    except BrokerError as error:
        stand, facts["away"] = {}, str(error)
    now = clock.now()
    readers = list(BridgeReader.objects.order_by("node", "pid"))
    dead = dict(DeadMessage.objects.exclude(bridge="").order_by().values_list("bridge").annotate(Count("pk")))
    places = dict(StreamPlace.objects.values_list("queue", "next_offset"))
    found = []
    for bridge in bridges:
        own = [reader for reader in readers if reader.queue == bridge.queue]
        living = [reader for reader in own if reader.seen_at > now - BridgeReader.ALIVE]
        found.append(
            {
                "bridge": bridge,
                "readers": living,
                "trouble": _trouble(living),
                "standing": stand.get(bridge.queue),
                "place": places.get(bridge.queue),
                "last": max((reader.last_message_at for reader in own if reader.last_message_at), default=None),
                "dead": dead.get(bridge.queue, 0),
            }
        )
    return {**facts, "bridges": found}


def _trouble(living: list[BridgeReader]) -> str:
    """Why nobody reads it; empty when somebody does."""
    if any(not reader.trouble for reader in living):
        return ""
    return living[0].trouble if living else "no process reads it (manage.py furrow bridges)"
