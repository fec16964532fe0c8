"""The options that a task has as a job: given to ``@task``, or by :func:`job_options` where that takes none."""

import datetime as dt
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeVar

from furrow.errors import CutOff, KindError, Retry, did_you_mean
from furrow.kinds.retry import RetryPolicy
from furrow.limits.limit import Unique
from furrow.models.job import DEFAULT_PRIORITY, HIGHEST_PRIORITY, LOWEST_PRIORITY
from furrow.schedule import Schedule

_Function = TypeVar("_Function", bound=Callable[..., Any])
#: Where a function keeps what :func:`job_options` gave it.
_GIVEN = "furrow_job_options"
#: A task that raises is not tried again, as with Django's own backends, unless it raises Retry; one whose process died is.
NO_RETRY_OF_ERRORS = RetryPolicy(exceptions={BaseException: None, CutOff: RetryPolicy(), Retry: RetryPolicy()})


@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """What ``@task`` takes besides Django's own arguments; each is as of :func:`furrow.job`."""

    retry: RetryPolicy | None = field(default=None, compare=False)
    soft_timeout: float | None = field(default=None, compare=False)
    timeout: float | None = field(default=None, compare=False)
    expires: dt.timedelta | None = field(default=None, compare=False)
    transactional: bool | None = field(default=None, compare=False)
    permission: str | None = field(default=None, compare=False)
    tags: Collection[str] | None = field(default=None, compare=False)
    title: str | None = field(default=None, compare=False)
    pinned: bool | None = field(default=None, compare=False)
    upgrade: Callable[[dict[str, Any]], dict[str, Any]] | None = field(default=None, compare=False)
    schedule: Schedule | Collection[Schedule] | None = field(default=None, compare=False)
    lock: str | None = field(default=None, compare=False)
    concurrency: int | None = field(default=None, compare=False)
    concurrency_key: str | None = field(default=None, compare=False)
    on_conflict: Literal["wait", "drop", "cancel"] | None = field(default=None, compare=False)
    rate: str | None = field(default=None, compare=False)
    rate_key: str | None = field(default=None, compare=False)
    unique: Unique | str | None = field(default=None, compare=False)
    ordered: str | None = field(default=None, compare=False)
    fair: str | None = field(default=None, compare=False)


NAMES = tuple(one.name for one in fields(JobOptions))


def job_options(**options: Any) -> Callable[[_Function], _Function]:
    """Give a task's function the options of its jobs. Goes below ``@task``, and does nothing with other backends::

        @task(queue_name="mail")
        @job_options(retry=RetryPolicy(max_attempts=3), unique="invoice:{order_id}")
        def send_invoice(order_id): ...

    Raises:
        KindError: there is no such option.
    """
    refuse_unknown("job_options", options)

    def give(function: _Function) -> _Function:
        setattr(function, _GIVEN, options)
        return function

    return give


def refuse_unknown(where: str, options: Collection[str]) -> None:
    """Look at the names of options.

    Raises:
        KindError: there is no such option; suggests one.
    """
    for name in options:
        if name not in NAMES:
            raise KindError(f"{where}: there is no option {name!r} of jobs; {did_you_mean(name, NAMES)}.")


def options_of(task: Any, of_all: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a task's kind: its own, then those that the backend's ``OPTIONS`` have for all."""
    own = {name: value for name in NAMES if (value := getattr(task, name, None)) is not None}
    return {"retry": NO_RETRY_OF_ERRORS, **of_all, **getattr(task.func, _GIVEN, {}), **own}


def priority_of(given: int) -> int:
    """A job's priority for Django's, which runs from -100 to 100, the highest first: any above 0 goes before 0, that before any
    below."""
    if given > 0:
        return DEFAULT_PRIORITY - math.ceil(given * (DEFAULT_PRIORITY - HIGHEST_PRIORITY) / 100)
    return DEFAULT_PRIORITY + math.ceil(-given * (LOWEST_PRIORITY - DEFAULT_PRIORITY) / 100)
