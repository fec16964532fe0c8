"""The pages of schedules beside the list and the form: what a text means, a backfill with its preview, the calendar."""

import datetime as dt
import json
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.views.decorators.http import require_GET

from furrow.actions.audit import audit
from furrow.actions.permissions import may_change_schedules, may_run_schedule, may_see
from furrow.admin import site, theme
from furrow.admin.forms.time_fields import with_zone
from furrow.diagnosis import wording
from furrow.errors import FurrowError, InputError, SubmitError
from furrow.kinds.kind import find_kind
from furrow.kinds.secret import MASK
from furrow.models import Schedule
from furrow.models.audit_entry import Origin
from furrow.plural import counted
from furrow.recurrence import RecurrenceError
from furrow.schedules import acting
from furrow.schedules.load import MOST, Minute, load
from furrow.schedules.upcoming import preview as next_times
from furrow.statements import clock
from furrow.web.parameters import WrongParameter

#: Minutes of the list below the calendar; the most seconds that are no delay.
CROWDED, PUNCTUAL = 15, 5.0


# --- What was typed -------------------------------------------------------------------------------------------------------


@require_GET
def preview(request: HttpRequest) -> HttpResponse:
    """What the fields of the form come to: in words, the next times, and what is wrong."""
    if not (may_change_schedules(request.user, "add") or may_change_schedules(request.user, "change")):
        raise PermissionDenied
    given = {name: request.GET.get(name, "").strip() for name in ("kind", "arguments", "timing", "timezone")}
    problems: dict[str, str] = {}
    words, times = "", list[dt.datetime]()
    try:
        words, times = next_times(given["timing"], given["timezone"], _start(request), clock.now())
    except RecurrenceError as error:
        problems["timing"] = str(error)
    problems |= _of_arguments(given["kind"], given["arguments"])
    shown = [f"{timezone.localtime(one):%a %Y-%m-%d %H:%M:%S %Z}" for one in times]
    return JsonResponse({"words": words, "next": shown, "problems": problems})


def _start(request: HttpRequest) -> dt.datetime | None:
    day, time = request.GET.get("starts_at_0", ""), request.GET.get("starts_at_1", "") or "00:00"
    try:
        return timezone.make_aware(dt.datetime.fromisoformat(f"{day}T{time}")) if day else None
    except (ValueError, OverflowError):
        return None


def _of_arguments(name: str, text: str) -> dict[str, str]:
    kind = find_kind(name)
    try:
        given = json.loads(text or "{}")
        if kind is not None and MASK not in text:
            kind.arguments.to_json(given)
    except SubmitError as error:
        return dict(error.fields)
    except (ValueError, RecursionError) as error:
        return {"arguments": f"this is not JSON: {error}"}
    return {}


# --- Backfill -------------------------------------------------------------------------------------------------------------


_LOCAL = {"type": "datetime-local", "step": "1"}


class _Span(forms.Form):
    """From when to when."""

    start = forms.DateTimeField(widget=theme.TextInput(_LOCAL), label="From")
    end = forms.DateTimeField(widget=theme.TextInput(_LOCAL), label="To")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for field in self.fields.values():
            field.must_be_filled, field.kind_of_input = True, "datetime"  # type: ignore[attr-defined]


def backfill(request: HttpRequest, id: int) -> HttpResponse:
    """The form, its preview, and the submit."""
    row = Schedule.objects.filter(pk=id).first() if id < 2**63 else None
    if not may_see(request.user, "schedule") or (row is not None and not may_run_schedule(request.user, row.kind)):
        raise PermissionDenied
    if row is None:
        raise Http404(f"There is no schedule {id}.")
    now = clock.now().replace(second=0, microsecond=0)
    usual = {"start": now - dt.timedelta(days=1), "end": now}
    initial = {name: f"{timezone.localtime(one):%Y-%m-%dT%H:%M:%S}" for name, one in usual.items()}
    form = _Span(request.POST or None, initial=initial)
    times: list[dt.datetime] | None = None
    if form.is_valid():
        span = with_zone(form.cleaned_data["start"]), with_zone(form.cleaned_data["end"])
        try:
            if request.POST.get("step") == "do":
                jobs = acting.backfill(row, *span, by=request.user)
                told = f"{span[0].isoformat()} to {span[1].isoformat()}"
                target = f"schedule {row.name}"
                audit("backfill", by=request.user, origin=Origin.ADMIN, target=target, ids=jobs, count=len(jobs), detail=told)
                messages.success(request, f"{row.name}: {counted(len(jobs), 'job')} submitted.")
                return HttpResponseRedirect(reverse("admin:furrow_schedule_change", args=[id]))
            times = acting.missing(row, *span)
        except InputError as error:
            for name, text in error.fields.items():
                form.add_error(name if name in form.fields else None, text)
        except FurrowError as error:
            form.add_error(None, str(error))
    context = {**site.context(request, Schedule), "title": f"Backfill {row.name}", "row": row, "form": form, "times": times}
    if times:
        context |= {"first": wording.exact(times[0]), "last": wording.exact(times[-1])}
    status = 422 if form.errors else 200
    return TemplateResponse(request, "admin/furrow/schedule/backfill.html", context, status=status)


# --- Calendar -------------------------------------------------------------------------------------------------------------


@require_GET
def calendar(request: HttpRequest) -> HttpResponse:
    """A day in the reader's zone: which minutes are crowded, and what came late."""
    if not may_see(request.user, "schedule"):
        raise PermissionDenied
    now, zone = clock.now(), timezone.get_current_timezone()
    day = _day(request, now.astimezone(zone).date())
    start, end = (dt.datetime.combine(one, dt.time(), zone).astimezone(dt.UTC) for one in (day, day + dt.timedelta(days=1)))
    minutes, whole = load(start, end, now)
    most = max((one.count for one in minutes.values()), default=0)
    hours = []
    for position in range(int((end - start).total_seconds()) // 3_600):
        first = start + dt.timedelta(hours=position)
        cells = [_cell(first + dt.timedelta(minutes=minute), minutes, most, now) for minute in range(60)]
        hours.append((f"{first.astimezone(zone):%H:%M}", cells))
    crowded = sorted(minutes.items(), key=lambda one: (-one[1].count, one[0]))[:CROWDED]
    context = {
        **site.context(request, Schedule),
        "title": "Calendar of schedules",
        "day": f"{day:%A} {day}",
        "before": str(day - dt.timedelta(days=1)),
        "after": str(day + dt.timedelta(days=1)),
        "zone": getattr(zone, "key", str(zone)),
        "hours": hours,
        "cut": 0 if whole else MOST,
        "crowded": [
            {
                "clock": f"{moment.astimezone(zone):%H:%M}",
                "count": one.count,
                "lateness": wording.span(one.late) if one.late else wording.NOTHING,
                "names": _names(one),
            }
            for moment, one in crowded
        ],
    }
    return TemplateResponse(request, "admin/furrow/schedule/calendar.html", context)


def _day(request: HttpRequest, today: dt.date) -> dt.date:
    text = request.GET.get("day", "")
    if not text:
        return today
    try:
        found = parse_date(text)
    except ValueError:
        found = None
    if found is None or abs((found - today).days) > 3_660:
        raise WrongParameter("day", f"{text[:60]!r} is no day within ten years: write it as {today}")
    return found


def _cell(moment: dt.datetime, minutes: dict[dt.datetime, Minute], most: int, now: dt.datetime) -> dict[str, Any]:
    """A square: how full it is, from 0 to 5, beside the fullest one, and what there is to tell."""
    one, is_now = minutes.get(moment, Minute()), moment <= now < moment + dt.timedelta(minutes=1)
    level = 0 if not one.count else 1 if most == 1 else 1 + round(4 * (one.count - 1) / (most - 1))
    late = f", up to {wording.span(one.late)} late" if one.late > PUNCTUAL else ""
    told = f"{timezone.localtime(moment):%H:%M}: {counted(one.count, 'job')}{late} ({_names(one)})"
    return {"count": one.count, "level": level, "late": bool(late), "now": is_now, "told": told}


def _names(one: Minute) -> str:
    return wording.shorten(", ".join(one.names), 200) + (", …" if one.count > len(one.names) else "")
