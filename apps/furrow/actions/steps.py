"""Run a job again from one of its steps."""

import uuid

from furrow.actions.jobs import retry, run_now
from furrow.errors import InputError, did_you_mean
from furrow.models import Job, Signal, Step
from furrow.models.database import atomic
from furrow.states import FINAL, State
from furrow.steps.sending import UNPIN, give


def retry_from(job: uuid.UUID, step: str) -> int:
    """Run a job again from this step: what it recorded there and behind is forgotten, signals that it took there can be taken
    again, and it is due now. Returns how many steps that were; 0 when there is no such job, or it is running.

    Raises:
        InputError: the job has no such step.
    """
    with atomic():
        there = Job.objects.select_for_update().filter(pk=job).exclude(state=State.RUNNING).first()
        if there is None:
            return 0
        steps = list(Step.objects.filter(job=job))
        first = next((one.position for one in steps if one.name == step), None)
        if first is None:
            raise InputError({"step": f"{step!r} is no step of this job; {did_you_mean(step, [one.name for one in steps])}"})
        again = [one for one in steps if one.position >= first]
        names = [one.name for one in again]
        Signal.objects.filter(target=job, step__in=names, consumed_at__isnull=False).update(consumed_at=None, step="")
        Step.objects.filter(pk__in=[one.pk for one in again]).delete()
        retry(job) if there.state in FINAL else run_now(job)
        return len(again)


def unpin(job: uuid.UUID, *, by: str = "") -> bool:
    """Any worker may go on with this job of a pinned kind, at once. ``False`` when it has ended, or runs."""
    with atomic():
        there = Job.objects.select_for_update().filter(pk=job).exclude(state__in=[*FINAL, State.RUNNING]).first()
        if there is None:
            return False
        give(job, UNPIN, "null", by)
        run_now(job)
    return True
