"""``self.request`` of a run: what Celery's message and worker would tell the task."""

from collections.abc import Mapping, Sequence
from typing import Any

from celery.app import trace
from celery.utils.nodenames import gethostname
from celery.utils.saferepr import saferepr

from furrow.adoption.told import told


def request_of(run: Any, kind: Any, args: list[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Of the run of a job."""
    said = told(run.meta)
    id = said.get("id") or str(run.id)
    limits = said.get("timelimit") or [kind.timeout, kind.soft_timeout]
    stamps = said.get("stamps") or {}
    reply_to = said.get("reply_to") or ""
    priority = said.get("priority", kind.celery.priority)
    return {
        **(said.get("headers") or {}),
        "lang": "py",
        "task": kind.name,
        "id": id,
        "shadow": said.get("shadow"),
        "eta": said.get("eta"),
        "expires": said.get("expires"),
        "group": said.get("group"),
        "group_index": said.get("group_index"),
        "retries": retries_of(run, said),
        "timelimit": limits,
        "root_id": said.get("root_id") or id,
        "parent_id": said.get("parent_id"),
        "argsrepr": said.get("argsrepr") or saferepr(args),
        "kwargsrepr": said.get("kwargsrepr") or saferepr(dict(kwargs)),
        "origin": said.get("origin"),
        "ignore_result": said.get("ignore_result", bool(kind.celery.ignore_result)),
        "replaced_task_nesting": said.get("replaced_task_nesting", 0),
        "stamped_headers": [*stamps] or None,
        "stamps": stamps,
        "properties": {"correlation_id": id, "reply_to": reply_to, "priority": priority, "delivery_mode": 2},
        "correlation_id": id,
        "reply_to": reply_to,
        "hostname": hostname(),
        "delivery_info": {
            "exchange": "",
            "routing_key": said.get("queue") or kind.queue,
            "priority": priority,
            "redelivered": run.excused > 0,
        },
        "callbacks": None,
        "errbacks": None,
        "chain": None,
        "chord": None,
        "utc": True,
        "is_eager": False,
        "called_directly": False,
    }


def retries_of(run: Any, said: Mapping[str, Any]) -> int:
    """How often it was tried again: by ``retry``, and because a run was lost."""
    return int(said.get("retries") or 0) + int(run.failures) - 1


def hostname() -> str:
    """The worker's node, as Celery's pool processes know it."""
    localized: Sequence[Any] = getattr(trace, "_localized", ())
    return str(localized[2]) if len(localized) > 2 else gethostname()
