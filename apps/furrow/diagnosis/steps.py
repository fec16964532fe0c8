"""The steps of a job: as pages and programs show them, and why it waits in one."""

import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

from django.db.models import Sum, TextField
from django.db.models.functions import Cast

from furrow.diagnosis.reason import Reason
from furrow.errors import CANARY, PINNED, StepChanged
from furrow.kinds.masks import masks_of
from furrow.kinds.secret import mask_text
from furrow.models import Approval, Attempt, Job, Node, Signal, Step, Worker
from furrow.models.step import Sort
from furrow.plural import counted
from furrow.states import Outcome, State
from furrow.steps.sending import OWN

#: Steps that a page shows.
SHOWN = 200


class Shown(NamedTuple):
    """A step as it may be shown."""

    step: Step
    #: Its result as JSON text, without the secrets among the job's arguments; ``None`` when it has none.
    result: str | None


def steps_of(job: Job) -> list[Shown]:
    """A job's steps in their order, at most ``SHOWN``."""
    steps = list(Step.objects.filter(job=job.pk)[:SHOWN])
    if not steps:
        return []
    texts = {f"{name}_whole": Cast(name, TextField()) for name in ("arguments", "meta")}
    given = Job.objects.filter(pk=job.pk).annotate(**texts).values_list(*texts).first() or ("{}", None)
    masks = masks_of(*given)
    return [Shown(step, None if step.result is None else mask_text(masks.json(step.result) or "null")) for step in steps]


def kept_signals(job: Job) -> list[Signal]:
    """Signals that were sent to a job and that no step has taken, at most ``SHOWN``: it may ask for them yet; where it has
    ended nobody waited for them."""
    return list(Signal.objects.filter(target=job.pk, consumed_at=None).exclude(name__startswith=OWN).defer("payload")[:SHOWN])


def begun_by(job: Job, steps: Sequence[Shown]) -> str:
    """The version of the project's code that ran it first, where its deployment told one: as its first step has it, or the
    worker of its first run, which is forgotten sooner."""
    if steps:
        return min(steps, key=lambda shown: shown.step.pk).step.version
    first = Attempt.objects.filter(job=job.pk, number=1).values_list("worker", flat=True).first() or job.worker
    found = Worker.objects.filter(pk=first).values_list("code_version", flat=True).first() if first and job.attempt else None
    return found or ""


def halt(job: Job) -> dict[str, Any]:
    """How a job's last run ended, and where it left a job that it put off: fields of a ``Situation``."""
    last = Attempt.objects.filter(job=job.pk).order_by("-number").values_list("outcome", "error_type", "error").first()
    if last is None:
        return {}
    outcome, error_type, error = last
    found: dict[str, Any] = {"last_outcome": outcome}
    if error.startswith((CANARY, PINNED)) and job.state == State.PENDING:
        found["elsewhere"] = error
    if outcome == Outcome.SNOOZED and job.state == State.PENDING:
        if error_type == StepChanged.__name__:
            return {**found, "held": error.removeprefix(f"{error_type}: ")}
        found["step"] = Step.objects.filter(job=job.pk, finished_at__isnull=True).first()
    return found


def why_halted(job: Job, held: str, step: Step | None) -> Reason | None:
    """Why it is not due, if its steps say so."""
    if held:
        return Reason(f"Held: {held} It is tried again", job.run_at, stuck=True)
    if step is None:
        return None
    if step.sort == Sort.SLEEP:
        return Reason(f"Sleeps in its step “{step.name}”, until", step.until)
    if step.sort == Sort.CALL:
        counts = Node.objects.filter(workflow=uuid.UUID(step.awaits)).aggregate(open=Sum("open"), jobs=Sum("jobs"))
        left, all_of_them = (counts[name] or 0 for name in ("open", "jobs"))
        return Reason(f"Waits in its step “{step.name}” for {left:,} of {counted(all_of_them, 'job')} to end")
    if step.awaits.startswith(OWN) and (approval := Approval.objects.filter(pk=step.awaits.rpartition(" ")[2]).first()):
        text = f"Waits for the approval “{approval.title}” by somebody with the permission {approval.permission}"
        if approval.second_person and approval.asked_by_id is not None:
            text += ", other than who submitted it"
        return Reason(f"{text}; at the latest until", step.until) if step.until else Reason(text)
    text = f"Waits for the signal “{step.awaits}”, which nobody has sent yet"
    return Reason(f"{text}; at the latest until", step.until) if step.until else Reason(text)
