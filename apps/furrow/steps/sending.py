"""``send_signal``: tell a job something from outside."""

import uuid
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from furrow.errors import InputError, ResultError, StepError, did_you_mean
from furrow.events.telling import tell, word
from furrow.kinds.returned import json_text
from furrow.locks.wakeup import wake
from furrow.models import Job, Node, Signal, Step, Workflow
from furrow.models.database import alias, atomic
from furrow.sanitize import clean
from furrow.states import FINAL, State
from furrow.steps.named import check_name

#: The kind of nodes of a workflow that wait for a signal.
WAITS = "furrow.wait"
#: Signals whose names begin so are the engine's own.
OWN = "furrow."
#: Sent to a job of a pinned kind that any worker may go on with.
UNPIN = f"{OWN}unpin"


def send_signal(target: Job | Workflow | uuid.UUID | str, name: str, payload: Any = None, *, by: str = "") -> bool:
    """Send a signal to a job, or to a workflow whose nodes wait for it: one INSERT in the current transaction of the jobs'
    database. Rolled back, it was never sent; committed, it is kept until the job asks for it (``current_job.wait_signal``),
    and taken once.

    The job's row stays locked until the transaction ends: so a wait that begins meanwhile finds the signal.

    Args:
        target: the job, or its id; or those of a workflow: each node that waits for this signal gets it. Where the wait of
            every such node has ended, the signal is kept with each of them: nobody waited for it, and a node that is run
            again takes it.
        name: which signal, such as ``"paid"``.
        payload: what the wait returns; anything that has a JSON form.
        by: who sends it, for people.

    Returns:
        Whether the job waits for it right now: it goes on at once. ``False``: it is kept.

    Raises:
        InputError: names what is wrong, the reason and the remedy. Nothing was written.
    """
    id = _id(target)
    try:
        check_name("signal", name)
    except StepError as error:
        raise InputError({"name": str(error)}) from None
    if name.startswith(OWN):
        raise InputError(
            {"name": f"{name[:80]!r} is one of Furrow's own: an approval is decided, by furrow.decide or its page"}
        )
    try:
        text = json_text(f"the signal {name!r}", payload)
    except ResultError as error:
        raise InputError({"payload": str(error).replace(" returned ", " carries ", 1)}) from None
    with atomic():
        delivered = False
        jobs = _receivers(id, name)
        for job in jobs:
            delivered |= give(job, name, text, by)
        told = {"to": id, "jobs": [str(job) for job in jobs], "name": name, "by": clean(by)[:200], "delivered": delivered}
        tell("signal", [(f"{word(name)}.sent", told)])
        return delivered


def give(job: uuid.UUID, name: str, text: str, by: str) -> bool:
    """Send a job this signal, in the caller's transaction; whether the job waits for it. ``text``: the payload's JSON."""
    Signal.objects.create(target=job, name=name, payload=text, sent_by=clean(by)[:200])
    return _deliver(job, name)


def _receivers(id: uuid.UUID, name: str) -> list[uuid.UUID]:
    """The job of this id, or those of the workflow's nodes that wait for this signal and have not ended; where all of these
    have, all."""
    if not Workflow.objects.filter(pk=id).exists():
        return [id]
    waits = Node.objects.filter(workflow=id, kind=WAITS)
    jobs = Job.objects.filter(node__in=waits.values("pk"), kind=WAITS)
    named = dict(jobs.order_by("pk").values_list("pk", "arguments__signal"))
    if name not in named.values():
        known = did_you_mean(name, {str(one) for one in named.values()}) if named else "none of its nodes waits for a signal"
        raise InputError({"name": f"no node of this workflow waits for {name!r}; {known}"})
    ended = set(jobs.filter(state__in=FINAL).values_list("pk", flat=True))
    receivers = [pk for pk, signal in named.items() if signal == name]
    return [pk for pk in receivers if pk not in ended] or receivers


def _deliver(id: uuid.UUID, name: str) -> bool:
    """First the lock, then the look: who settles the run that begins to wait has the same lock, and looks behind it."""
    locked = Job.objects.filter(pk=id).order_by().select_for_update(no_key=True).values_list("state", flat=True).first()
    if locked != State.PENDING or not Step.objects.filter(job=id, awaits=name, finished_at__isnull=True).exists():
        return False
    Job.objects.filter(pk=id, run_at__gt=Now()).update(run_at=Now())
    transaction.on_commit(wake, using=alias(), robust=True)
    return True


def _id(target: Job | Workflow | uuid.UUID | str) -> uuid.UUID:
    try:
        found: Any = target.pk if isinstance(target, Job | Workflow) else target
        return found if isinstance(found, uuid.UUID) else uuid.UUID(str(found))
    except ValueError:
        raise InputError({"target": f"{str(target)[:80]!r} is no id: pass the job, or its UUID"}) from None
