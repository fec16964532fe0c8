"""Workers and the leader: tables to look at."""

from django.contrib import admin
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.decorators import display

from apps.jobs import wording
from apps.jobs.admin.readonly import ReadOnlyAdmin
from apps.jobs.models import Leader, Worker


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    """Workers, living and gone."""

    list_display = ("node", "condition", "heartbeat", "consumes", "processes", "pid", "started")
    list_display_links = ("node",)
    search_texts = ("node",)
    search_help_text = "Id or node name"
    fields = (
        "id",
        "node",
        "condition",
        "heartbeat",
        "lease",
        "consumes",
        "kind_names",
        "processes",
        "pid",
        "started",
        "stopped",
    )
    readonly_fields = ("id", "condition", "heartbeat", "lease", "consumes", "kind_names", "started", "stopped")

    @display(description="condition")
    def condition(self, worker: Worker) -> SafeString:
        return wording.label(condition(worker))

    @display(description="heartbeat")
    def heartbeat(self, worker: Worker) -> str:
        return wording.moment(worker.heartbeat_at)

    @display(description="lease until")
    def lease(self, worker: Worker) -> str:
        return wording.moment(worker.lease_until)

    @display(description="queues")
    def consumes(self, worker: Worker) -> str:
        return ", ".join(map(str, worker.queues)) or wording.NOTHING

    @display(description="kinds")
    def kind_names(self, worker: Worker) -> str:
        return ", ".join(map(str, worker.kinds)) or wording.NOTHING

    @display(description="started")
    def started(self, worker: Worker) -> str:
        return wording.moment(worker.started_at)

    @display(description="stopped")
    def stopped(self, worker: Worker) -> str:
        return wording.moment(worker.stopped_at)


def condition(worker: Worker) -> str:
    """``living``, ``lost`` (no sign of life, or taken for dead) or ``stopped``."""
    if worker.stopped_at is not None and not worker.lost:
        return "stopped"
    return "lost" if worker.lost or worker.lease_until <= timezone.now() else "living"


@admin.register(Leader)
class LeaderAdmin(ReadOnlyAdmin):
    """Who leads, and what troubles it."""

    list_display = ("role", "holder", "term", "leads", "trouble")
    ordering = ("role",)
    search_fields = ()
    fields = ("role", "holder", "term", "leads", "lease", "trouble")
    readonly_fields = ("leads", "lease")

    @display(description="leads")
    def leads(self, leader: Leader) -> SafeString:
        return wording.label("living" if leader.lease_until > timezone.now() else "lost")

    @display(description="lease until")
    def lease(self, leader: Leader) -> str:
        return wording.moment(leader.lease_until)
