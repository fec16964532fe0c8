"""A Celery task as a kind."""

import functools
import inspect
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from celery import states
from celery.exceptions import SoftTimeLimitExceeded, TaskRevokedError, TimeLimitExceeded, WorkerLostError
from celery.utils.functional import arity_greater

from furrow.adoption.arguments import TaskArguments, dumps, loads
from furrow.adoption.choosing import rate_of
from furrow.adoption.options import Call, priority_of
from furrow.adoption.told import told
from furrow.conf import conf
from furrow.errors import CutOff, JobFailed
from furrow.kinds.kind import Handler, Kind
from furrow.kinds.meta import from_json, from_stored
from furrow.kinds.results import JobBackend
from furrow.kinds.retry import RetryPolicy
from furrow.limits.limit import Rule
from furrow.models import Job
from furrow.states import State
from furrow.submission.submit import submit

_STATE = re.compile(r"(\w+)(?: ([\[{\"\d-].*))?", re.DOTALL)
#: Before 5.7 stored arguments are not counted.
_HAS_ARITY = hasattr(JobBackend, "_errback_arity_greater")
#: Attempts that a job has where its task says less: a lost worker is no reason to fail.
FEWEST, MOST = 3, 1_000


class TaskKind(Kind):
    """See the module. Its options are the task's own."""

    adopted = True
    soft_error = SoftTimeLimitExceeded

    def __init__(self, task: Any) -> None:
        self.celery = task
        limits = task.app.conf.task_soft_time_limit, task.app.conf.task_time_limit
        soft, hard = (own or general for own, general in zip((task.soft_time_limit, task.time_limit), limits, strict=True))
        retries = task.max_retries
        attempts = MOST if retries is None else min(MOST, max(FEWEST, int(retries) + 1))
        rules: Rule = {"rate": rate} if (rate := rate_of(task)) else {}
        super().__init__(
            _handler(task),
            submit,
            name=task.name,
            queue=task.queue if getattr(task, "queue", None) in conf().queues else None,
            priority=priority_of(task.priority),
            retry=RetryPolicy(
                max_attempts=attempts, exceptions={BaseException: None, CutOff: RetryPolicy(max_attempts=attempts)}
            ),
            soft_timeout=None if soft and hard and soft >= hard else soft,
            timeout=hard,
            **rules,
        )

    def _arguments(self, handler: Handler) -> TaskArguments:
        return TaskArguments(self.celery.name, self.celery.run, checked=bool(self.celery.typing))

    @property
    def task(self) -> Any:
        """The task itself."""
        return self.celery

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the task in this process, like any function."""
        return self.celery(*args, **kwargs)

    def apply_async(self, args: Iterable[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **given: Any) -> Any:
        """As of the task."""
        return self.celery.apply_async(args, kwargs, **given)

    def call(
        self, args: Iterable[Any], kwargs: Mapping[str, Any], given: Mapping[str, Any], *, later: bool = False
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """A call as a submit: its arguments by name, and its options."""
        assert isinstance(self.arguments, TaskArguments)
        bound = self.arguments.bound(tuple(args), kwargs)
        options = Call(self, given, later=later).options(bound.positional)
        return bound.values, options

    def limits(self, meta: str | None) -> tuple[float | None, float | None]:
        """The task's, or those of the call."""
        if meta and '"timelimit"' in meta:
            hard, soft = told(from_json(meta)).get("timelimit") or (self.timeout, self.soft_timeout)
            return soft, hard
        return self.soft_timeout, self.timeout

    def failure_text(self, error: BaseException) -> str | None:
        """The exception, as Celery's results have it."""
        if not isinstance(error, Exception):
            return None
        try:
            return dumps(JobBackend(self.celery.app).prepare_exception(error, serializer="json"))
        except Exception:  # of an exception that cannot be asked: its text is kept all the same
            return None

    def wants_the_error(self, errback: Any) -> bool:
        """By its signature, as Celery decides."""
        header = getattr(self.celery, "__header__", None)
        if header is None or isinstance(header, functools.partial) or errback.immutable:
            return False
        return bool(JobBackend(self.celery.app)._errback_arity_greater(errback, 1)) if _HAS_ARITY else arity_greater(header, 1)

    def told(self, job: Job) -> dict[str, Any]:
        """The states of Celery, the results and exceptions as they were, and the id that the task was given."""
        found: dict[str, Any] = {}
        if own := told(from_stored(job.meta)).get("id"):
            found["task_id"] = own
        state, error = State(job.state), str(job.error or "")
        if state is State.SUCCEEDED and isinstance(job.result, (dict, list)):
            found["result"] = loads(json.dumps(job.result))
        elif state is State.FAILED:
            found["result"] = self._exception(job) or JobFailed(error or "failed")
        elif state is State.CANCELLED:
            found["result"] = TaskRevokedError(error or "revoked")
        elif state is State.RUNNING and (said := _STATE.fullmatch(job.progress_note or "")):
            found |= {"status": said[1], "result": _readable(said[2])}
        elif state in (State.PENDING, State.QUEUED) and isinstance(job.result, dict) and "exc_type" in job.result:
            found |= {"status": states.RETRY, "result": self._exception(job)}
        return found

    def _exception(self, job: Job) -> BaseException | None:
        if isinstance(job.result, dict) and "exc_type" in job.result:
            exception = JobBackend(self.celery.app).exception_to_python(dict(job.result))
            return exception if isinstance(exception, BaseException) else None
        name, _, text = str(job.error or "").partition(": ")
        found: dict[str, BaseException] = {
            "HardTimeout": TimeLimitExceeded(self.timeout),
            **dict.fromkeys(("PoolProcessDied", "WorkerLost"), WorkerLostError(text)),
        }
        return found.get(name)


def _readable(text: str | None) -> Any:
    """Metadata of a custom state; of such that was too long to be kept whole, nothing."""
    try:
        return loads(text) if text else None
    except ValueError:
        return None


def _handler(task: Any) -> Handler:
    from furrow.adoption import running

    @functools.wraps(running.run)
    def handler(**values: Any) -> Any:
        return running.run(task.kind, values)

    own = inspect.unwrap(task.run)
    handler.__name__ = handler.__qualname__ = str(task.name).rpartition(".")[2] or "task"
    handler.__module__ = task.__module__ or getattr(own, "__module__", "")
    handler.__doc__ = task.__doc__ if task.__doc__ != type(task).__mro__[-2].__doc__ else None
    return handler
