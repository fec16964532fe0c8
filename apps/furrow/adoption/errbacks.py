"""Errbacks of three arguments, as Celery's manual has them: ``def on_error(request, exc, traceback)``. What has no JSON form
is made anew for their job, of the one that failed."""

from typing import Any

from celery.app.task import Context

from furrow.adoption.told import told
from furrow.kinds.kind import find_kind
from furrow.kinds.meta import from_stored
from furrow.kinds.results import find, meta


def arguments(failed: str) -> list[Any]:
    """The request, the exception and the traceback of the job that failed."""
    job = find(failed)
    if job is None:
        return [Context(id=failed), None, None]
    kind, found, said = find_kind(job.kind), meta(job), told(from_stored(job.meta))
    given: dict[str, Any] = dict(job.arguments)
    split = getattr(kind.arguments, "split", None) if kind is not None else None
    args, kwargs = split(given, said.get("args")) if split else ([], given)
    id = found["task_id"]
    request = Context(
        said.get("headers") or {},
        id=id,
        task=job.kind,
        args=args,
        kwargs=kwargs,
        retries=found["retries"],
        root_id=said.get("root_id") or id,
        parent_id=said.get("parent_id"),
        called_directly=False,
        delivery_info={"exchange": "", "routing_key": job.queue},
    )
    return [request, found["result"], found["traceback"]]
