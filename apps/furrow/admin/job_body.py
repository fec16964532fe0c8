"""The part of a job's page that changes while the job is active."""

import datetime as dt
import hashlib
import json
from typing import Any

from django.db.models import TextField
from django.db.models.functions import Cast
from django.http import HttpRequest
from django.urls import reverse

from furrow.actions.permissions import may_submit
from furrow.admin.timeline import timeline
from furrow.conf import conf
from furrow.diagnosis import wording
from furrow.diagnosis.explain import situation, why
from furrow.diagnosis.steps import SHOWN, Shown, begun_by, kept_signals, steps_of
from furrow.errors import UnknownKind
from furrow.kinds.kind import get_kind
from furrow.kinds.secret import KEY, mask_text
from furrow.models import Attempt, Event, Job, Node, Tick, Webhook
from furrow.statements import clock
from furrow.states import FINAL, State
from furrow.webhooks.deliveries import deliver

#: Columns that hold JSON, read as text.
JSON_COLUMNS = ("arguments", "meta", "result")
#: Jobs that failed alike are counted to this number.
ALIKE = 1_000
#: For how long a job may be snoozed from its page, in minutes.
SNOOZES = ((10, "10 min"), (60, "1 h"), (240, "4 h"), (1440, "1 day"), (10080, "1 week"))


def body(request: HttpRequest, job: Any, *, may_act: bool) -> dict[str, Any]:
    """The context of the part that changes while the job lives."""
    now = clock.now()
    final = job.state in FINAL
    reason = None if final else why(job, situation(job, now), now)
    known, steps = _is_registered(job.kind), steps_of(job)
    return {
        "job": job,
        "version": _version(job, reason, steps),
        "steps": steps,
        "kept_signals": kept_signals(job),
        "begun_by": begun_by(job, steps),
        "more_steps": len(steps) == SHOWN,
        "may_run_from": may_act and job.state != State.RUNNING,
        "final": final,
        "reason": reason,
        "events": timeline(job, now),
        "failure": _failure(job),
        "node": Node.objects.select_related("workflow").filter(pk=job.node).first() if job.node else None,
        "tick": Tick.objects.select_related("schedule").filter(job=job.pk).first(),
        "delivery": _delivery(job) if job.kind == deliver.name else None,
        "again": Job.objects.filter(again_of=job.pk).only("pk").order_by("-pk")[:5],
        "wait_seconds": job.wait.total_seconds() if job.wait is not None else None,
        "run_seconds": run_seconds(job, now),
        "texts": [json_part(job, name) for name in _shown(job)],
        "may_act": may_act,
        "has_stack": job.state == State.RUNNING and job.queue not in conf().external_queues,
        "may_run_now": job.state == State.PENDING and job.run_at > now,
        "may_snooze": job.state in (State.PENDING, State.QUEUED),
        "snoozes": SNOOZES,
        "may_submit": may_submit(request.user, job.kind),
        "kind_known": known,
        "flower_link": _flower_link(request, job),
    }


def run_seconds(job: Job, now: dt.datetime) -> float | None:
    """Seconds of the last run, so far if it runs; ``None`` when it has not begun or has gone back to wait."""
    if job.started_at is None or (job.state != State.RUNNING and job.finished_at is None):
        return None
    return ((job.finished_at or now) - job.started_at).total_seconds()


def _shown(job: Any) -> list[str]:
    """The JSON columns that say something."""
    shown = {"arguments": True, "meta": job.meta_length is not None, "result": job.state == State.SUCCEEDED}
    return [name for name in JSON_COLUMNS if shown[name]]


def json_part(job: Any, name: str) -> dict[str, Any]:
    """The beginning of a JSON column, as pages show it. The job has the column's text as ``…_text``, or its beginning, and the
    length as ``…_length``."""
    length = getattr(job, f"{name}_length") or 0
    text = getattr(job, f"{name}_text") or "null"
    if KEY in text and length > len(text):  # a part cannot be read, and so not masked
        text = whole_text(job, name)
    text = wording.plain(wording.pretty_json(mask_text(text)))
    is_cut = length > 4 * wording.SHOWN or len(text) > wording.SHOWN
    return {"name": name, "text": text[: wording.SHOWN], "length": length, "is_cut": is_cut}


def _failure(job: Job) -> dict[str, Any] | None:
    """The error of a job that failed, and how many other jobs failed alike (counted to ``ALIKE``)."""
    if job.state != State.FAILED:
        return None
    attempt = Attempt.objects.filter(job=job.pk, number=job.attempt).first()
    alike = Job.objects.filter(fingerprint=job.fingerprint, state=State.FAILED).exclude(pk=job.pk).order_by()
    return {"attempt": attempt, "alike": alike[:ALIKE].count() if job.fingerprint else 0, "limit": ALIKE}


def _delivery(job: Any) -> dict[str, Any] | None:
    """Of a delivery: to which webhook, of which event. Either is ``None`` when it is gone."""
    try:
        given = json.loads(job.arguments_text)
        ids = [int(given[name]) for name in ("webhook", "event")]
    except (ValueError, TypeError, KeyError):  # another program's row
        return None
    if not all(0 < id < 2**63 for id in ids):
        return None
    return {"webhook": Webhook.objects.filter(pk=ids[0]).first(), "event": Event.objects.filter(pk=ids[1]).first()}


def whole_text(job: Job, column: str) -> str:
    """A JSON column's whole text."""
    rows = Job.objects.filter(pk=job.pk).annotate(text=Cast(column, TextField()))
    return rows.values_list("text", flat=True).first() or "null"


def _flower_link(request: HttpRequest, job: Job) -> str:
    """For who may see Flower, if there is one."""
    shows = bool(conf().flower_url) and request.user.has_perm("furrow.view_flower")
    return reverse("flower", kwargs={"path": f"task/{job.pk}"}) if shows else ""


def _is_registered(name: str) -> bool:
    try:
        get_kind(name)
    except UnknownKind:
        return False
    return True


def _version(job: Job, reason: Any, steps: list[Shown]) -> str:
    """Changes when the body would look different."""
    columns = (
        "state",
        "attempt",
        "progress",
        "progress_note",
        "error",
        "run_at",
        "queued_at",
        "started_at",
        "queue",
        "priority",
        "tags",
    )
    seen = [str(getattr(job, name)) for name in (*columns, "finished_at", "cancel_requested_at")]
    seen += [f"{shown.step.pk} {shown.step.finished_at} {shown.step.note}" for shown in steps]
    return hashlib.sha256(json.dumps([seen, str(reason)]).encode()).hexdigest()[:16]
