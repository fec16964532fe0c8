"""``external_kind``: declares a kind whose jobs workers in other languages take."""

import datetime as dt
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any, Unpack

import pydantic

from furrow.errors import KindError
from furrow.kinds.external import ExternalKind
from furrow.kinds.kind import register
from furrow.kinds.retry import RetryPolicy
from furrow.limits.limit import Rule
from furrow.models.job import DEFAULT_PRIORITY
from furrow.schedule import Schedule
from furrow.submission.submit import submit


def external_kind(
    name: str,
    *,
    arguments: type[pydantic.BaseModel] | None = None,
    result: Any = None,
    queue: str | None = None,
    priority: int = DEFAULT_PRIORITY,
    retry: RetryPolicy | None = None,
    max_attempts: int | None = None,
    timeout: float | None = None,
    expires: dt.timedelta | None = None,
    permission: str = "",
    tags: Collection[str] = (),
    upgrade: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    schedule: Schedule | Sequence[Schedule] = (),
    **rules: Unpack[Rule],
) -> ExternalKind:
    """Declare a kind whose handler lives elsewhere: a worker in any language takes its jobs, over HTTP or AMQP.

    Args:
        name: the kind's name, as the worker asks for it.
        arguments: a pydantic model; its fields are the arguments. Default: none.
        result: a pydantic model, or any type, that results must fit. Default: any JSON value.
        queue: one of ``FURROW['EXTERNAL_QUEUES']``. Default: the first.
        timeout: seconds after which a run is over, whatever its worker says later.
        retry, max_attempts: as of :class:`RetryPolicy`; ``max_attempts`` alone changes that number only.
        priority, expires, permission, tags, upgrade, schedule, rules: as of :func:`furrow.job`, but for ``rate``.

    Raises:
        KindError: at import, when an option cannot work. Names the option, the reason and the remedy.
    """
    policy = RetryPolicy() if retry is None else retry
    if max_attempts is not None:
        if retry is not None:
            raise KindError(f"{name}: max_attempts is given beside retry: write RetryPolicy(max_attempts={max_attempts!r}, …).")
        policy = replace(policy, max_attempts=max_attempts)
    kind = ExternalKind(
        name,
        submit,
        arguments=arguments,
        result=result,
        module=sys._getframe(1).f_globals.get("__name__", ""),
        queue=queue,
        priority=priority,
        retry=policy,
        timeout=timeout,
        expires=expires,
        permission=permission,
        tags=tags,
        upgrade=upgrade,
        schedule=schedule,
        **rules,
    )
    register(kind)
    return kind
