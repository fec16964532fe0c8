"""Schedules: when they come, what became of their times; made and changed here, unless the code declares them."""

import datetime as dt
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from furrow.actions.audit import audit
from furrow.actions.permissions import (
    may_act_on_schedule,
    may_change_schedules,
    may_delete_schedules,
    may_run_schedule,
    may_see,
)
from furrow.admin import schedule_pages
from furrow.admin.forms.schedule import ScheduleForm
from furrow.admin.readonly import ReadOnlyAdmin
from furrow.admin.site import shows
from furrow.admin.theme import display
from furrow.diagnosis import wording
from furrow.errors import FurrowError
from furrow.kinds.secret import masked
from furrow.models import Schedule
from furrow.models.audit_entry import Origin
from furrow.recurrence import RecurrenceError, zone_of
from furrow.schedules import acting, upcoming
from furrow.schedules.telling import tell_of
from furrow.statements import clock

#: What a page shows of one, beside its form.
_SHOWN = ("condition", "next_five", "sparkline", "lateness", "made_by")
#: What stands in the form's place where it may not be changed.
_FACTS = (
    *("name", "kind_link", "arguments_text", "spelled", "timezone", "catch_up", "catch_up_window", "overlap", "jitter"),
    *("starts_at", "ends_at", "options_text"),
)


@shows(Schedule)
class ScheduleAdmin(ReadOnlyAdmin):
    """The schedules. Those of the code are looked at, paused and run here; those that people made are also changed."""

    form = ScheduleForm
    empty_title = "No schedules yet"
    empty_text = "A schedule submits jobs by itself. Declare one at @job(schedule=…), or add one here."
    actions = ("pause_selected", "resume_selected", "run_selected")
    change_form_outer_before_template = "admin/furrow/schedule/before.html"
    ordering = ("-id",)
    search_ids = ()
    search_texts = ("name", "kind", "timing")
    search_help_text = "Name, kind or timing"
    list_display = ("name", "comes", "kind_link", "condition", "next_one", "sparkline", "lateness", "made_by")
    list_display_links = ("name",)
    readonly_fields = (*_SHOWN, "kind_link", "arguments_text", "spelled", "options_text")

    class Media:
        """What the form needs."""

        js = ("furrow/schedule.js",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return may_change_schedules(request.user, "add")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is None:
            return may_change_schedules(request.user, "change")
        return obj.source != Schedule.Source.CODE and may_change_schedules(request.user, "change", obj.kind)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        declared = obj is not None and obj.source == Schedule.Source.CODE and obj.orphaned_at is None
        return not declared and may_delete_schedules(request.user, obj.kind if obj else None)

    def has_act_permission(self, request: HttpRequest) -> bool:
        """May pause and resume some."""
        return may_act_on_schedule(request.user, "")

    def has_run_permission(self, request: HttpRequest) -> bool:
        """May run some."""
        return may_run_schedule(request.user, "")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        """A form that offers what this user may."""
        return type("ScheduleForm", (super().get_form(request, obj, change, **options),), {"user": request.user})

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """What there is to see of one that exists."""
        if obj is not None and not self.has_change_permission(request, obj):
            return [*_SHOWN, *_FACTS]
        own = ["name", "kind", "arguments", *ScheduleForm.Meta.fields[2:], "queue", "priority"]
        return [*own, *(_SHOWN if obj else ())]

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        row = find(object_id) if object_id.isdecimal() else None
        extra = {**(extra_context or {}), "shown_schedule": row}
        if row is not None:
            extra |= {
                "may_act": may_act_on_schedule(request.user, row.kind),
                "may_run": may_run_schedule(request.user, row.kind),
                "reason": upcoming.why(row),
            }
        answer: HttpResponse = super().change_view(request, object_id, form_url, extra)
        return answer

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        own = [
            ("preview/", schedule_pages.preview, "preview"),
            ("calendar/", schedule_pages.calendar, "calendar"),
            ("<int:id>/backfill/", schedule_pages.backfill, "backfill"),
            ("<int:id>/<str:verb>/do/", require_POST(self.do), "do"),
        ]
        urls: list[URLPattern] = super().get_urls()
        return [path(route, wrap(view), name=f"furrow_schedule_{name}") for route, view, name in own] + urls

    def do(self, request: HttpRequest, id: int, verb: str) -> HttpResponse:
        """Pause, resume, or run now."""
        row = find(id)
        if not may_see(request.user, "schedule"):
            raise PermissionDenied
        if row is None or verb not in ("pause", "resume", "run"):
            raise Http404(f"There is no schedule {id}, or nothing such can be done to it.")
        self._act(request, verb, row, request.POST.get("reason", "").replace("\0", "").strip())
        return HttpResponseRedirect(reverse("admin:furrow_schedule_change", args=[id]))

    def _act(self, request: HttpRequest, verb: str, row: Schedule, reason: str = "") -> None:
        """Do it and say so.

        Raises:
            PermissionDenied: this user may not.
        """
        may = may_run_schedule if verb == "run" else may_act_on_schedule
        if not may(request.user, row.kind):
            raise PermissionDenied
        try:
            if verb == "run":
                job = acting.run_now(row, by=request.user)
                link = reverse("admin:furrow_job_change", args=[job])
                messages.success(request, format_html('{}: <a href="{}">its job</a> is submitted.', row.name, link))
            else:
                by = request.user.get_username()
                done = acting.pause(row, by=by, reason=reason) if verb == "pause" else acting.resume(row)
                if not done:
                    messages.info(request, f"{row.name} {'is paused already' if verb == 'pause' else 'was not paused'}.")
                    return
                job = None
                messages.success(request, f"{row.name} is {'paused' if verb == 'pause' else 'resumed'}.")
        except FurrowError as error:
            messages.error(request, f"{row.name}: {error}")
            return
        name = "run now" if verb == "run" else verb
        audit(name, by=request.user, origin=Origin.ADMIN, target=f"schedule {row.name}", job=job, detail=reason)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        tell_of([obj], "changed" if change else "added")
        self._write_down(request, "change" if change else "add", obj)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        if acting.delete(obj):
            self._write_down(request, "delete", obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Those of the code stay, unless they are orphaned."""
        for row in queryset:
            if self.has_delete_permission(request, row):
                self.delete_model(request, row)

    def _write_down(self, request: HttpRequest, action: str, row: Schedule) -> None:
        audit(action, by=request.user, origin=Origin.ADMIN, target=f"schedule {row.name}", detail=f"{row.kind}, {row.timing}")

    @admin.action(description="Pause", permissions=["act"])
    def pause_selected(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        """They fire no more."""
        self._act_on(request, "pause", queryset)

    @admin.action(description="Resume", permissions=["act"])
    def resume_selected(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        """They go on with their next times."""
        self._act_on(request, "resume", queryset)

    @admin.action(description="Run now", permissions=["run"])
    def run_selected(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        """Each submits a job now."""
        self._act_on(request, "run", queryset)

    def _act_on(self, request: HttpRequest, verb: str, queryset: QuerySet[Schedule]) -> None:
        for row in queryset:
            try:
                self._act(request, verb, row)
            except PermissionDenied:
                messages.warning(request, f"{row.name} was left alone: its kind asks for a permission that you lack.")

    # --- Columns ----------------------------------------------------------------------------------------------------

    @display(description="comes")
    def comes(self, row: Schedule) -> SafeString:
        return format_html(
            '<span class="fw-long" title="{}, {}">{}</span>', wording.plain(row.timing), row.timezone, upcoming.words(row)
        )

    @display(description="timing")
    def spelled(self, row: Schedule) -> SafeString:
        return format_html("{} <code>{}</code>", upcoming.words(row), wording.plain(row.timing))

    @display(description="kind")
    def kind_link(self, row: Schedule) -> SafeString:
        link = reverse("admin:furrow_job_changelist")
        return format_html('<a class="fw-anywhere" href="{}?kind={}">{}</a>', link, row.kind, wording.plain(row.kind))

    @display(description="condition")
    def condition(self, row: Schedule) -> SafeString:
        word, why = upcoming.condition(row), upcoming.why(row)
        return format_html('<span class="fw-long">{} {}</span>', wording.label(word), wording.plain(why))

    @display(description="next")
    def next_one(self, row: Schedule) -> str:
        return wording.moment(row.fire_at)

    @display(description="next times")
    def next_five(self, row: Schedule) -> SafeString | str:
        return times_shown(upcoming.next_times(row, clock.now()), row.timezone) or wording.NOTHING

    @display(description="last times")
    def sparkline(self, row: Schedule) -> SafeString | str:
        shown = _ticks(row)
        marks = ((_job_link(one), wording.colour(one.word), told, told) for one in shown if (told := _told(one)))
        found = format_html_join("", '<a{} class="fw-spark fw-{}" title="{}"><span class="fw-unseen">{}</span></a>', marks)
        return format_html('<span class="fw-sparks">{}</span>', found) if shown else wording.NOTHING

    @display(description="late by")
    def lateness(self, row: Schedule) -> str:
        late = sorted(one.late for one in _ticks(row) if one.tick.origin == "time")
        return f"{wording.span(late[len(late) // 2])}, at most {wording.span(late[-1])}" if late else wording.NOTHING

    @display(description="made by")
    def made_by(self, row: Schedule) -> str:
        return "the code" if row.source == Schedule.Source.CODE else "people"

    @display(description="arguments")
    def arguments_text(self, row: Schedule) -> SafeString:
        return format_html('<pre class="fw-anywhere">{}</pre>', wording.plain(wording.indented(masked(row.arguments))))

    @display(description="options")
    def options_text(self, row: Schedule) -> str:
        told = (f"{name} {value}" for name, value in masked(row.options).items())
        return wording.shorten(", ".join(told), 300) or wording.NOTHING


def find(id: int | str) -> Schedule | None:
    """The schedule with this id, if there is one."""
    return Schedule.objects.filter(pk=id).first() if len(str(id)) < 19 else None


def times_shown(times: list[dt.datetime], name: str) -> SafeString:
    """Times in the reader's zone, and in the schedule's where that is another."""
    try:
        zone: dt.tzinfo = zone_of(name)
    except RecurrenceError:
        zone = dt.UTC
    rows = ((wording.moment(one), _clock(timezone.localtime(one)), _elsewhere(one, zone)) for one in times)
    found = format_html_join("", "<li>{} <span>{}</span>{}</li>", rows)
    return format_html('<ol class="fw-times">{}</ol>', found) if times else SafeString("")


def _clock(local: dt.datetime) -> str:
    return f"{local:%a %Y-%m-%d %H:%M:%S %Z}"


def _elsewhere(moment: dt.datetime, zone: dt.tzinfo) -> SafeString | str:
    there = moment.astimezone(zone)
    same = there.utcoffset() == timezone.localtime(moment).utcoffset()
    return "" if same else format_html(' <span class="fw-muted">{}</span>', _clock(there))


def _ticks(row: Schedule) -> list[upcoming.Shown]:
    """The last ones, read once for a page."""
    if "last_ticks" not in row.__dict__:
        row.__dict__["last_ticks"] = upcoming.last_ticks([row])[row.pk]
    found: list[upcoming.Shown] = row.__dict__["last_ticks"]
    return found


def _job_link(one: upcoming.Shown) -> SafeString | str:
    return format_html(' href="{}"', reverse("admin:furrow_job_change", args=[one.tick.job])) if one.has_job else ""


def _told(one: upcoming.Shown) -> str:
    """A tick in words."""
    parts = [wording.exact(one.due_at), one.word]
    parts += [f"{wording.span(one.late)} late"] if one.late >= 1 else []
    parts += [f"for {one.tick.missed:,} missed before"] if one.tick.missed else []
    parts += [one.tick.get_origin_display()] if one.tick.origin != "time" else []
    return ", ".join([*parts, *([one.tick.note] if one.tick.note else [])])
