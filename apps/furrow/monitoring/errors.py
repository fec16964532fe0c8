"""The errors page: failures that are alike, grouped, with their frequency over time.

From the counts and the names of the groups; of the jobs only the newest of each group that is shown is looked up.
"""

import datetime as dt
from collections import defaultdict
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import Max, OuterRef, Subquery, Sum
from django.db.models.functions import Right
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from furrow.actions.permissions import may_act, may_view
from furrow.admin import live
from furrow.fingerprint import place
from furrow.kinds.kind import all_kinds
from furrow.models import Attempt, ErrorCount, ErrorGroup, Job
from furrow.monitoring.charts import sparkline
from furrow.statements import clock
from furrow.states import State
from furrow.web.parameters import one_of

#: What may be asked for: name → hours; and steps of a sparkline.
PERIODS, STEPS = {"1h": 1, "24h": 24, "7d": 7 * 24, "30d": 30 * 24}, 48
USUAL = "24h"
#: Groups on the page.
SHOWN = 50

_BODY = "furrow/monitoring/errors_body.html"


@require_GET
def errors(request: HttpRequest) -> HttpResponse:
    """The page. ``?period=`` is one of ``PERIODS``, ``?kind=`` narrows it."""
    facts = _facts(request)
    address = f"{reverse('furrow:errors_live')}?{urlencode({name: facts[name] for name in ('period', 'kind')})}"
    return live.page(request, _BODY, facts, title="Errors", address=address, around="furrow/monitoring/errors.html", every=4000)


@require_GET
def errors_live(request: HttpRequest) -> HttpResponse:
    """The part that changes."""
    return live.answer(request, _BODY, _facts(request))


def _facts(request: HttpRequest) -> dict[str, Any]:
    if not may_view(request.user):
        raise PermissionDenied
    period, kind = one_of(request, "period", PERIODS, USUAL), request.GET.get("kind", "")
    groups, total = found(clock.now(), PERIODS[period] * 3600, kind)
    return {
        "period": period,
        "periods": list(PERIODS),
        "kind": kind,
        "kinds": [known.name for known in all_kinds()],
        "groups": groups,
        "more": total - len(groups),
        "may_act": may_act(request.user),
    }


def found(now: dt.datetime, seconds: int, kind: str = "") -> tuple[list[dict[str, Any]], int]:
    """The groups of which something happened within the last so many seconds, the newest first, at most ``SHOWN``; and how many
    there are."""
    since = int(now.timestamp()) - seconds
    counts = ErrorCount.objects.filter(at__gte=since, **({"kind": kind} if kind else {}))
    rows = counts.values("kind", "fingerprint").annotate(runs=Sum("runs"), jobs=Sum("jobs"), last=Max("at"))
    newest = list(rows.order_by("-last", "-runs")[: SHOWN + 1])
    total = len(newest) if len(newest) <= SHOWN else rows.count()
    known = _named([row["fingerprint"] for row in newest[:SHOWN]])
    sparks = _sparks(counts, [row["fingerprint"] for row in newest[:SHOWN]], since, seconds)
    groups = [
        {
            **row,
            "last": dt.datetime.fromtimestamp(row["last"], dt.UTC),
            "group": known.get((row["kind"], row["fingerprint"])),
            "spark": sparkline(sparks[row["kind"], row["fingerprint"]]),
            "query": urlencode({"state": State.FAILED.value, "kind": row["kind"], "fingerprint": row["fingerprint"]}),
        }
        for row in newest[:SHOWN]
    ]
    _add_places(groups)
    return groups, total


def _named(fingerprints: list[str]) -> dict[tuple[str, str], Any]:
    alike = Job.objects.filter(state=State.FAILED, kind=OuterRef("kind"), fingerprint=OuterRef("fingerprint")).order_by("-pk")
    groups = ErrorGroup.objects.filter(fingerprint__in=fingerprints).annotate(newest=Subquery(alike.values("pk")[:1]))
    return {(group.kind, group.fingerprint): group for group in groups}


def _sparks(counts: Any, fingerprints: list[str], since: int, seconds: int) -> dict[tuple[str, str], list[int]]:
    """Runs that failed, by group: one number a step."""
    step = seconds // STEPS
    sparks: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * (STEPS + 1))
    for kind, fingerprint, at, runs in counts.filter(fingerprint__in=fingerprints).values_list(
        "kind", "fingerprint", "at", "runs"
    ):
        sparks[kind, fingerprint][(at - since) // step] += runs
    return sparks


def _add_places(groups: list[dict[str, Any]]) -> None:
    """Where each happened, by the traceback of its newest job's last attempts."""
    jobs = [group["group"].newest for group in groups if group["group"] and group["group"].newest]
    attempts = Attempt.objects.filter(job__in=jobs).order_by("number")
    stories = dict(attempts.annotate(end=Right("traceback", 4_000)).values_list("job", "end"))
    for group in groups:
        group["place"] = place(stories.get(group["group"].newest, "")) if group["group"] else ""
