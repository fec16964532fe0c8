"""What adoption comes to, task by task."""

from typing import Any, NamedTuple

from furrow.adoption.choosing import is_chosen
from furrow.adoption.kind import TaskKind
from furrow.adoption.tasks import adopt, plain
from furrow.conf import conf
from furrow.kinds.kind import find_kind
from furrow.kinds.task import JobTask


class Adopted(NamedTuple):
    """One task."""

    name: str
    durable: bool
    #: Why it is plain.
    reason: str
    #: What a job does otherwise than Celery does.
    differs: list[str]
    #: It is named, and cannot be a job.
    refused: bool


def report(app: Any) -> list[Adopted]:
    """The tasks of the project, by name."""
    tasks = [
        task for name, task in sorted(app.tasks.items()) if not name.startswith("celery.") and not isinstance(task, JobTask)
    ]
    return [_one(task) for task in tasks]


def _one(task: Any) -> Adopted:
    name = str(task.name)
    if task.kind is None and name not in plain:
        adopt(task)
    durable = isinstance(find_kind(name), TaskKind) and task.kind is not None
    reason = "" if durable else plain.get(name) or "FURROW['ADOPT'] does not name it"
    refused = not durable and is_chosen(name) and getattr(task, "durable", True)
    return Adopted(name, durable, reason, _differs(task), refused)


def _differs(task: Any) -> list[str]:
    """By what it declares; docs/adoption.md has the rest."""
    found: list[str] = []
    if not (task.acks_late and task.reject_on_worker_lost):
        found.append("a run whose process or worker is lost is run again (Celery: it is lost, or recorded as failed)")
    if task.rate_limit:
        found.append(f"its rate_limit {task.rate_limit!r} counts over all workers (Celery: for each)")
    queue = getattr(task, "queue", None)
    if queue is not None and queue not in conf().queues:
        found.append(f"its queue {queue!r} is none of FURROW['QUEUES']: its jobs are in {conf().queues[0]!r}")
    return found
