"""Workers: running ones with their jobs, ended ones with their totals. A worker's page is in ``worker_page``."""

import datetime as dt
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET

from furrow.actions.permissions import may_see
from furrow.admin import live, worker_page
from furrow.admin.readonly import ReadOnlyAdmin
from furrow.admin.site import shows
from furrow.admin.theme import display
from furrow.diagnosis import wording
from furrow.diagnosis.commands import worker_command
from furrow.diagnosis.explain import living_workers
from furrow.models import Job, Leader, Worker
from furrow.statements import clock
from furrow.states import State

_LIST = "admin/furrow/worker/rows.html"
#: Living and ended workers on the page at most; the list has all.
LIVING, ENDED = 200, 15


@shows(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    """Workers. ``all/`` is Django's list of them."""

    empty_title = "No worker has ever run"
    empty_text = f"Start one: {worker_command()}"
    list_display = ("node", "condition", "heartbeat", "consumes", "did", "host", "version", "started")
    list_display_links = ("node",)
    search_texts = ("node", "host")
    search_help_text = "Id, node name or host"

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The living, and the last that ended."""
        return show_all(request)

    def all_view(self, request: HttpRequest) -> HttpResponse:
        """The list of all, with search."""
        page: HttpResponse = super().changelist_view(request)
        return page

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """One worker."""
        return worker_page.show(request, object_id)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Its page has what was asked of it."""
        return worker_page.show(request, object_id)

    def get_urls(self) -> list[URLPattern]:
        """The pages beside Django's own."""
        own = [
            ("all/", self.all_view, "all"),
            ("live/", all_live, "live"),
            ("<uuid:worker>/live/", worker_page.one_live, "one_live"),
            ("<uuid:worker>/ask/", worker_page.ask, "ask"),
            ("stack/<uuid:job>/", worker_page.ask_for_stack, "stack"),
            ("request/<uuid:asked>/", worker_page.show_request, "request"),
            ("request/<uuid:asked>/live/", worker_page.request_live, "request_live"),
        ]
        wrap = self.admin_site.admin_view
        urls: list[URLPattern] = super().get_urls()
        return [path(route, wrap(view), name=f"furrow_worker_{name}") for route, view, name in own] + urls

    @display(description="condition")
    def condition(self, worker: Worker) -> SafeString:
        return wording.label(worker_page.condition(worker))

    @display(description="heartbeat")
    def heartbeat(self, worker: Worker) -> str:
        return wording.moment(worker.heartbeat_at)

    @display(description="queues")
    def consumes(self, worker: Worker) -> str:
        return ", ".join(map(str, worker.queues)) or wording.NOTHING

    @display(description="runs")
    def did(self, worker: Worker) -> str:
        return f"{worker.ended:,}" + (f", {worker.failed:,} failed" if worker.failed else "")

    @display(description="started")
    def started(self, worker: Worker) -> str:
        return wording.moment(worker.started_at)


@require_GET
def show_all(request: HttpRequest) -> HttpResponse:
    """The page of all workers."""
    address = reverse("admin:furrow_worker_live")
    return live.page(request, _LIST, _all(request), title="All workers", address=address, model=Worker)


@require_GET
def all_live(request: HttpRequest) -> HttpResponse:
    """Its part that changes."""
    return live.answer(request, _LIST, _all(request))


def _all(request: HttpRequest) -> dict[str, Any]:
    if not may_see(request.user, "worker"):
        raise PermissionDenied
    now = clock.now()
    living = list(living_workers(now).order_by("node")[:LIVING])
    # Recent ones by id, which begins with the time of its making: no index knows when a worker stopped.
    gone = Worker.objects.exclude(pk__in=[worker.pk for worker in living]).order_by("-pk")[:ENDED]
    busy = Job.objects.filter(state=State.RUNNING, worker__in=[worker.pk for worker in living]).order_by()
    running = dict(busy.values_list("worker").annotate(Count("pk")))
    for worker in living:
        worker.claimed = running.get(worker.pk, 0)  # type: ignore[attr-defined]
        worker.memory = worker_page.memory(worker)  # type: ignore[attr-defined]
    ended = [{"worker": worker, "condition": worker_page.condition(worker), "until": _until(worker)} for worker in gone]
    return {"living": living, "ended": ended, "limit": LIVING}


def _until(worker: Worker) -> dt.datetime:
    """Until when it is known to have lived."""
    return worker.heartbeat_at if worker.lost or worker.stopped_at is None else worker.stopped_at


@shows(Leader)
class LeaderAdmin(ReadOnlyAdmin):
    """Who leads, and what troubles it."""

    empty_title = "No dispatcher has ever run"
    empty_text = "Start one: manage.py furrow dispatcher"
    list_display = ("role", "holder", "term", "leads", "trouble", "since")
    ordering = ("role",)
    search_fields = ()
    fields = ("role", "holder", "term", "leads", "lease", "trouble", "since")
    readonly_fields = ("leads", "lease", "since")

    @display(description="leads")
    def leads(self, leader: Leader) -> SafeString:
        return wording.label("living" if leader.lease_until > clock.now() else "lost")

    @display(description="lease until")
    def lease(self, leader: Leader) -> str:
        return wording.moment(leader.lease_until)

    @display(description="since")
    def since(self, leader: Leader) -> str:
        return wording.moment(leader.troubled_since)
