"""Celery's signals as sightings. No receiver raises, and none waits."""

import datetime as dt
import os
import socket
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from celery import current_app, signals
from django.utils.dateparse import parse_datetime

from furrow.kinds.kind import find_kind
from furrow.watch.recorder import recorder
from furrow.watch.sightings import Began, Ended, Published, Sighting

#: When the runs of this process began, on its monotonic clock.
_began: dict[str, float] = {}
_JSON = ("json", "application/json", None)


def listen() -> None:
    """Begin, in this process; a second time changes nothing."""
    for name, receiver in _RECEIVERS.items():
        getattr(signals, name).connect(receiver, weak=False, dispatch_uid=f"furrow.watch.{name}")


def stop() -> None:
    """End it, for tests."""
    for name in _RECEIVERS:
        getattr(signals, name).disconnect(dispatch_uid=f"furrow.watch.{name}")


def _quietly(receiver: Callable[..., Sighting | None]) -> Callable[..., None]:
    @wraps(receiver)
    def receives(*args: Any, **given: Any) -> None:
        try:
            seen = receiver(*args, **given)
            if seen is not None and find_kind(seen.task) is None:  # jobs have rows of their own
                recorder.see(seen)
        except Exception:
            recorder.dropped += 1

    return receives


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _key(id: Any, retries: Any) -> str:
    return f"{str(id)[:255]}:{int(retries or 0)}"


def _time(value: Any) -> dt.datetime | None:
    moment = parse_datetime(value) if isinstance(value, str) else value
    if not isinstance(moment, dt.datetime):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


@_quietly
def published(
    sender: Any, headers: Any = None, body: Any = None, properties: Any = None, routing_key: Any = None, **more: Any
) -> Published | None:
    """``before_task_publish``: the message is made."""
    headers = headers if isinstance(headers, dict) and "id" in headers else body
    if not isinstance(headers, dict) or "id" not in headers:
        return None
    uses = _uses(sender, headers, body, properties or {}, routing_key)
    return Published(_key(headers["id"], headers.get("retries")), str(sender)[:255], _now(), _time(headers.get("eta")), uses)


def _uses(name: Any, headers: dict[str, Any], body: Any, properties: dict[str, Any], routing_key: Any) -> tuple[str, ...]:
    """What of Celery a call uses."""
    embedded = body[2] if isinstance(body, (tuple, list)) and len(body) == 3 and isinstance(body[2], dict) else headers
    task = current_app.tasks.get(name)
    serializer = getattr(task, "serializer", None) or current_app.conf.task_serializer
    conf = current_app.conf
    found = {
        "link": embedded.get("callbacks"),
        "link_error": embedded.get("errbacks"),
        "chain": embedded.get("chain"),
        "chord": embedded.get("chord"),
        "group": headers.get("group") or headers.get("taskset"),
        "eta": headers.get("eta"),
        "expires": headers.get("expires"),
        "ignore_result": headers.get("ignore_result"),
        "priority": properties.get("priority"),
        "routing_key": routing_key not in (None, conf.task_default_routing_key, conf.task_default_queue),
        "pickle": serializer not in _JSON,
    }
    return tuple(use for use, value in found.items() if value)


@_quietly
def began(task_id: Any = None, task: Any = None, **more: Any) -> Began | None:
    """``task_prerun``: in the process that runs it."""
    request = task.request
    if request.is_eager or request.called_directly:
        return None
    key = _key(task_id, request.retries)
    _began[key] = time.monotonic()
    while len(_began) > 1_000:
        _began.pop(next(iter(_began)), None)
    worker = request.hostname or f"{os.getpid()}@{socket.gethostname()}"
    return Began(key, task.name[:255], _now(), str(worker)[:255])


@_quietly
def ended(task_id: Any = None, task: Any = None, state: Any = None, retval: Any = None, **more: Any) -> Ended | None:
    """``task_postrun``: in the process that ran it."""
    request = task.request
    if request.is_eager or request.called_directly:
        return None
    key = _key(task_id, request.retries)
    start = _began.pop(key, None)
    error = f"{type(retval).__name__}: {retval}" if isinstance(retval, BaseException) else ""
    seconds = None if start is None else time.monotonic() - start
    return Ended(key, task.name[:255], _now(), str(state or "")[:20], seconds, error)


@_quietly
def revoked(request: Any = None, terminated: bool = False, **more: Any) -> Ended | None:
    """``task_revoked``: in the worker's main process."""
    context = getattr(request, "_context", None) or request
    id, name = getattr(context, "id", None), getattr(request, "name", None) or getattr(context, "task", None)
    if id is None or name is None:
        return None
    return Ended(_key(id, getattr(context, "retries", 0)), str(name)[:255], _now(), "REVOKED", None, "")


def failed(sender: Any = None, task_id: Any = None, exception: Any = None, **more: Any) -> None:
    """``task_failure`` in the worker's main process: a pool process died, or ran out of time, and said nothing."""
    _failed(sender=sender, task_id=task_id, exception=exception)


@_quietly
def _failed(sender: Any, task_id: Any, exception: Any) -> Ended | None:
    if getattr(sender, "name", None) is None or task_id == sender.request.id:
        return None  # of a run in this process, whose end is told
    error = f"{type(exception).__name__}: {exception}"
    return Ended(_key(task_id, 0), sender.name[:255], _now(), "FAILURE", None, error)


def forked(**more: Any) -> None:
    """``worker_process_init``: in a new pool process, before its first task."""
    recorder.start()


def ends(**more: Any) -> None:
    """``worker_process_shutdown``, ``worker_shutdown``: what is kept is written."""
    try:
        recorder.flush()
    except Exception:
        recorder.dropped += 1


_RECEIVERS: dict[str, Callable[..., Any]] = {
    "before_task_publish": published,
    "task_prerun": began,
    "task_postrun": ended,
    "task_revoked": revoked,
    "task_failure": failed,
    "worker_process_init": forked,
    "worker_process_shutdown": ends,
    "worker_shutdown": ends,
}
