"""Unserved queues: jobs name them and the settings do not, so nothing of them is sent."""

from furrow.conf import conf
from furrow.diagnosis.commands import worker_command
from furrow.diagnosis.reason import Reason
from furrow.kinds.kind import find_kind
from furrow.models import Job
from furrow.states import State

#: So many are named.
UNSERVED = 5


def unserved_queues() -> list[str]:
    """Queues that are not configured and that pending jobs are in; found by jumping from one queue to the next in an index."""
    found: set[str] = set()
    pending = Job.objects.filter(state=State.PENDING).order_by("queue").values_list("queue", flat=True)
    for lane in (pending.filter(limits__isnull=True), pending.filter(limits__isnull=False, held="")):
        name = lane.first()
        while name is not None and len(found) < UNSERVED:
            found |= {name} - set(conf().all_queues)
            name = lane.filter(queue__gt=name).first()
    return sorted(found)


def unserved_text(queue: str) -> str:
    """What is wrong with it."""
    return f"No worker serves queue “{queue}”: FURROW['QUEUES'] does not name it"


def unserved_remedy(queue: str) -> str:
    """What to do."""
    return (
        f"Move its jobs to another queue; or add “{queue}” to FURROW['QUEUES'] (FURROW_QUEUES), restart the dispatcher, and "
        f"start a worker: {worker_command(queue)}"
    )


def unserved(job: Job) -> Reason | None:
    """Why this job is not sent, if its queue is not configured."""
    if job.queue in conf().external_queues and (kind := find_kind(job.kind)) and not kind.external:
        return Reason(
            f"No worker takes it: queue “{job.queue}” is for workers in other languages, and the handler of {job.kind} is "
            "here; due",
            job.run_at,
            f"Move it to another queue, such as “{kind.queue}”.",
            stuck=True,
        )
    if job.queue in conf().all_queues:
        return None
    return Reason(
        f"{unserved_text(job.queue)}, so nothing of it is sent; due", job.run_at, unserved_remedy(job.queue), stuck=True
    )
