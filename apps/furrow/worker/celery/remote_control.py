"""Celery's remote control (``celery control``, Flower's buttons) where its own commands would say ok and do nothing for jobs.

A kind is a Celery task by name, and its jobs are not run by Celery: a rate or time limit that is set on the task has no effect,
and revoking leaves alone what runs. Panel commands of the same names take their places; they pass on what is no job.
"""

from typing import Any

from celery.utils.functional import maybe_list
from celery.worker import control
from django.db import Error

from furrow.errors import UnknownKind
from furrow.kinds.kind import get_kind
from furrow.kinds.results import job_id
from furrow.models import Job
from furrow.states import FINAL
from furrow.worker.remote import cancel_from_celery

_celerys = dict(control.Panel.data)
_AT_LEAST_ONE = "n must be 1 or more."


def install() -> None:
    """From now on this worker has them; how they are written on the command line stays as it was."""
    control.Panel.data.update(
        {one.__name__: one for one in (rate_limit, time_limit, revoke, terminate, pool_grow, pool_shrink, autoscale)}
    )


def rate_limit(state: Any, task_name: str, rate_limit: Any, **options: Any) -> Any:
    """Tell worker(s) to modify the rate limit for a task by type."""
    if _is_kind(task_name):
        return _no_kind(task_name, "rate limits", '@job(rate="5/m"), which holds for all workers together')
    return _celerys["rate_limit"](state, task_name, rate_limit, **options)


def time_limit(state: Any, task_name: str = "", hard: Any = None, soft: Any = None, **options: Any) -> Any:
    """Tell worker(s) to modify the time limit for task by type."""
    if _is_kind(task_name):
        return _no_kind(task_name, "time limits", "@job(soft_timeout=50, timeout=60)")
    return _celerys["time_limit"](state, task_name, hard=hard, soft=soft, **options)


def revoke(state: Any, task_id: Any, terminate: bool = False, signal: Any = None, **options: Any) -> Any:
    """Revoke task by task id (or list of ids); a job is cancelled, also while it runs."""
    ids = [str(one) for one in maybe_list(task_id) or []]
    try:
        meant = {job_id(id): id for id in ids}  # of what a Celery client sent, also by the client's own id
        jobs = {meant[job.pk]: job for job in Job.objects.filter(pk__in=meant).only("state")}
    except Error as error:
        return control.nok(f"The database is away, so that nothing is revoked: {str(error).strip()}")
    others = [id for id in ids if id not in jobs]
    told = [_cancel(job) for job in jobs.values()]
    if others or not jobs:
        answer = _celerys["revoke"](state, others, terminate=terminate, signal=signal, **options)
        told.append(str(answer.get("ok", answer)))
    return control.ok("; ".join(told))


def terminate(state: Any, signal: Any, task_id: Any, **options: Any) -> Any:
    """Terminate task by task id (or list of ids); a job is cancelled."""
    return revoke(state, task_id, terminate=True, signal=signal)


def pool_grow(state: Any, n: int = 1, **options: Any) -> Any:
    """Grow pool by n processes/threads."""
    return _celerys["pool_grow"](state, n, **options) if n >= 1 else control.nok(_AT_LEAST_ONE)


def pool_shrink(state: Any, n: int = 1, **options: Any) -> Any:
    """Shrink pool by n processes/threads."""
    if n < 1:  # Celery would end one, also the last
        return control.nok(_AT_LEAST_ONE)
    if n >= state.consumer.pool.num_processes:
        return control.nok(f"One process must be left of {state.consumer.pool.num_processes}: end the worker instead.")
    return _celerys["pool_shrink"](state, n, **options)


def autoscale(state: Any, max: int | None = None, min: int | None = None, **options: Any) -> Any:
    """Modify autoscale settings."""
    if (max is not None and max < 1) or (min is not None and min < 0):
        return control.nok("max must be 1 or more, and min not less than 0: end the worker if it shall have no process.")
    return _celerys["autoscale"](state, max=max, min=min, **options)


def _is_kind(name: str) -> bool:
    try:
        get_kind(name)
    except UnknownKind:
        return False
    return True


def _no_kind(name: str, what: str, instead: str) -> Any:
    return control.nok(
        f"{name} is a kind of job: Celery's {what} do not hold for it. Declare {instead}, and restart the workers; "
        "a queue can be paused in the admin meanwhile."
    )


def _cancel(job: Job) -> str:
    if job.state in FINAL:
        return f"job {job.pk} had ended: {job.state}"
    cancel_from_celery(str(job.pk))
    return f"job {job.pk} is being cancelled"
