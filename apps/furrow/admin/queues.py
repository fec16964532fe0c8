"""Queues: their contents and consumers; pause, drain and resume."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_GET, require_POST

from furrow.actions import queues
from furrow.actions.audit import audit
from furrow.actions.permissions import may_act_on_queues, may_see
from furrow.admin import live
from furrow.admin.readonly import ReadOnlyAdmin
from furrow.admin.site import shows
from furrow.conf import conf
from furrow.diagnosis.figures import COUNTED, queue_figures
from furrow.models import Queue
from furrow.models.audit_entry import Origin
from furrow.statements import clock

_LIST, _ONE = "admin/furrow/queue/rows.html", "admin/furrow/queue/one.html"


@shows(Queue)
class QueueAdmin(ReadOnlyAdmin):
    """The configured queues; most have no row."""

    search_fields = ()

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """All of them."""
        return show_all(request)

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """One of them."""
        return show(request, object_id)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """The audit log has it."""
        return HttpResponseRedirect(reverse("admin:furrow_queue_change", args=[object_id]))

    def get_urls(self) -> list[URLPattern]:
        """The pages beside Django's own."""
        own = [
            ("live/", all_live, "live"),
            ("<str:name>/live/", one_live, "one_live"),
            ("<str:name>/pause/", pause, "pause"),
            ("<str:name>/drain/", drain, "drain"),
            ("<str:name>/resume/", resume, "resume"),
        ]
        wrap = self.admin_site.admin_view
        urls: list[URLPattern] = super().get_urls()
        return [path(route, wrap(view), name=f"furrow_queue_{name}") for route, view, name in own] + urls


@require_GET
def show_all(request: HttpRequest) -> HttpResponse:
    """The page of all queues."""
    _may(request)
    address, around = reverse("admin:furrow_queue_live"), "admin/furrow/queue/page.html"
    return live.page(request, _LIST, _all(request), title="All queues", address=address, model=Queue, around=around)


@require_GET
def all_live(request: HttpRequest) -> HttpResponse:
    """Its part that changes."""
    _may(request)
    return live.answer(request, _LIST, _all(request))


@require_GET
def show(request: HttpRequest, name: str) -> HttpResponse:
    """The page of one queue."""
    _may(request, name)
    address, around = reverse("admin:furrow_queue_one_live", args=[name]), "admin/furrow/queue/one_page.html"
    return live.page(request, _ONE, _one(request, name), title=f"Queue {name}", address=address, model=Queue, around=around)


@require_GET
def one_live(request: HttpRequest, name: str) -> HttpResponse:
    """Its part that changes."""
    _may(request, name)
    return live.answer(request, _ONE, _one(request, name))


@require_POST
def pause(request: HttpRequest, name: str) -> HttpResponse:
    """Let nothing of it begin any more."""
    return _pause(request, name, drain=False)


@require_POST
def drain(request: HttpRequest, name: str) -> HttpResponse:
    """Let run what RabbitMQ has, and nothing more."""
    return _pause(request, name, drain=True)


@require_POST
def resume(request: HttpRequest, name: str) -> HttpResponse:
    """Let it go on."""
    _may(request, name, act=True)
    if queues.resume(name):
        audit("resume", by=request.user, origin=Origin.ADMIN, target=f"queue {name}")
        messages.success(request, f"Queue {name} is resumed.")
    else:
        messages.info(request, f"Queue {name} was not paused.")
    return _back(name)


# --- Steps ------------------------------------------------------------------------------------------------------------


def _pause(request: HttpRequest, name: str, *, drain: bool) -> HttpResponse:
    _may(request, name, act=True)
    reason = request.POST.get("reason", "").replace("\0", "").strip()
    verb, done = ("drain", "is drained") if drain else ("pause", "is paused")
    if queues.pause(name, by=request.user.get_username(), reason=reason, drain=drain):
        audit(verb, by=request.user, origin=Origin.ADMIN, target=f"queue {name}", detail=reason)
        messages.success(request, f"Queue {name} {done}.")
    else:
        messages.info(request, f"Queue {name} {done} already.")
    return _back(name)


def _may(request: HttpRequest, name: str = "", *, act: bool = False) -> None:
    """Raises PermissionDenied, or Http404 for a queue that is none."""
    if not may_see(request.user, "queue") or (act and not may_act_on_queues(request.user)):
        raise PermissionDenied
    if name and name not in conf().all_queues:
        raise Http404(f"There is no queue {name!r}.")


def _all(request: HttpRequest) -> dict[str, Any]:
    return {"queues": queue_figures(clock.now()), "counted": COUNTED}


def _one(request: HttpRequest, name: str) -> dict[str, Any]:
    (queue,) = queue_figures(clock.now(), name)
    sees = may_see(request.user, "worker")
    return {"queue": queue, "counted": COUNTED, "sees_workers": sees, "may_act": may_act_on_queues(request.user)}


def _back(name: str) -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:furrow_queue_change", args=[name]))
