"""Kinds are made of tasks."""

import logging
from typing import Any

from celery import current_app

from furrow.adoption import gathering  # noqa: F401
from furrow.adoption.backend import TaskBackend
from furrow.adoption.choosing import refused, why_plain
from furrow.adoption.kind import TaskKind
from furrow.adoption.mixing import AdoptedTask, noticed
from furrow.conf import conf
from furrow.errors import KindError
from furrow.kinds.kind import _kinds, find_kind

logger = logging.getLogger(__name__)

#: Why tasks of ours are ordinary ones, by name.
plain: dict[str, str] = {}
_STRATEGY = "furrow.worker.celery.sent_tasks:strategy"


def adopt_noticed() -> None:
    """When Django's applications are ready: those that were declared until now."""
    if conf().adopt in ("none", "watch"):
        return
    app = current_app._get_current_object()
    if hasattr(app, "adopts"):
        app.finalize(auto=True)
    while noticed:
        adopt(noticed.pop(0))


def adopt(task: Any) -> None:
    """Make a kind of this task, if it can be one."""
    name = str(task.name)
    if not isinstance(task, AdoptedTask) or name.startswith("celery."):
        return
    known = find_kind(name)
    if isinstance(known, TaskKind) and known.celery.app is not task.app:
        _have(task, known)
        return
    reason = why_plain(task)
    if known is not None and not isinstance(known, TaskKind):
        reason = "a kind (@job) has its name"
    if not reason:
        try:
            kind = TaskKind(task)
        except KindError as error:
            reason = refused(error)
        else:
            _kinds[name] = kind
            _have(task, kind)
            plain.pop(name, None)
            return
    plain[name] = reason


def _have(task: Any, kind: TaskKind) -> None:
    task.kind = kind
    task.backend = TaskBackend(task.app, max_cached_results=-1)
    task.Strategy = _STRATEGY
