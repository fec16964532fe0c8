"""Error groups: failures that are alike, with their frequency over time.

From the counts and the names of the groups; of the jobs only the newest of each group that is shown is looked up.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Collection
from typing import Any

from django.db.models import Max, OuterRef, Subquery, Sum
from django.db.models.functions import Right

from furrow.fingerprint import place
from furrow.models import Attempt, ErrorCount, ErrorGroup, Job
from furrow.states import State

#: What may be asked for: name → hours; and steps of the frequency.
PERIODS, STEPS = {"1h": 1, "24h": 24, "7d": 7 * 24, "30d": 30 * 24}, 48
USUAL = "24h"
#: Groups in one answer.
SHOWN = 50


def error_groups(now: dt.datetime, seconds: int, kinds: Collection[str] = ()) -> tuple[list[dict[str, Any]], int]:
    """The groups (of these kinds; empty: of all) of which something happened within the last so many seconds, the newest first,
    at most ``SHOWN``; and how many there are."""
    since = int(now.timestamp()) - seconds
    counts = ErrorCount.objects.filter(at__gte=since, **({"kind__in": kinds} if kinds else {}))
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
            "frequency": sparks[row["kind"], row["fingerprint"]],
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
