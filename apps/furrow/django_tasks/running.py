"""In the pool process: call a task's function, and send Django's signals.

The signals are sent outside of the job's log, which would else have two lines of Django's own for each run; what receivers log
goes to the worker's console. A receiver that fails is logged, and fails no task.
"""

import traceback
from collections.abc import Coroutine
from typing import Any

from django.dispatch import Signal
from django.utils import timezone

from furrow.context import Run, _run
from furrow.django_tasks.kinds import TaskKind
from furrow.django_tasks.results import blank, result_of, time_of
from furrow.errors import Cancelled, Interruption, Snooze, SoftTimeout
from furrow.kinds.retry import next_delay
from furrow.models import Job


def run(kind: TaskKind, given: dict[str, Any]) -> Any:
    """Call the function of a task; what it returned, in its JSON form."""
    call = Call(kind, given)
    call.tell(kind.framework.signals.task_started)
    try:
        value = call.returned(kind.function(*call.args, **call.kwargs))
    except BaseException as error:
        if call.failed(error):
            call.tell(kind.framework.signals.task_finished)
        raise
    call.tell(kind.framework.signals.task_finished)
    return value


def run_async(kind: TaskKind, given: dict[str, Any]) -> Coroutine[Any, Any, Any]:
    """The same of a coroutine function. The row is read before its event loop begins."""
    return _run_async(kind, Call(kind, given))


async def _run_async(kind: TaskKind, call: "Call") -> Any:
    await call.atell(kind.framework.signals.task_started)
    try:
        value = call.returned(await kind.function(*call.args, **call.kwargs))
    except BaseException as error:
        if call.failed(error):
            await call.atell(kind.framework.signals.task_finished)
        raise
    await call.atell(kind.framework.signals.task_finished)
    return value


class Call:
    """One run of a task's job: the call of its function, and the result that context and signals have."""

    def __init__(self, kind: TaskKind, given: dict[str, Any]) -> None:
        self.kind, self.run = kind, _run.get()
        self.result = _result(kind, self.run, given)
        context = [kind.framework.base.TaskContext(task_result=self.result)] if kind.leading else []
        self.args, self.kwargs = [*context, *self.result.args], self.result.kwargs

    def returned(self, value: Any) -> Any:
        """The function returned this: its JSON form.

        Raises:
            TypeError: it has none.
        """
        found = self.kind.framework.json(value)
        self._ends("SUCCESSFUL", _return_value=found)
        return found

    def failed(self, error: BaseException) -> bool:
        """The function raised this. Whether the task ends so, and is not run again."""
        if not self._is_last(error):
            return False
        path = f"{type(error).__module__}.{type(error).__qualname__}"
        told = self.kind.framework.base.TaskError(
            exception_class_path=path, traceback="".join(traceback.format_exception(error))
        )
        self._ends("FAILED", errors=[*self.result.errors, told])
        return True

    def _is_last(self, error: BaseException) -> bool:
        if isinstance(error, Snooze) or (isinstance(error, Interruption) and not isinstance(error, (Cancelled, SoftTimeout))):
            return False
        if isinstance(error, Cancelled) or self.run is None:
            return True
        return next_delay(self.kind.retry, self.run.failures, self.run.max_attempts, error) is None

    def _ends(self, status: str, **fields: Any) -> None:
        ended = {"status": self.kind.framework.base.TaskResultStatus[status], "finished_at": timezone.now(), **fields}
        for name, value in ended.items():
            object.__setattr__(self.result, name, value)  # it is frozen; Django's own backends do so

    def tell(self, signal: Signal) -> None:
        """Send a signal."""
        token = _run.set(None)
        try:
            signal.send_robust(self._sender, task_result=self.result)
        finally:
            _run.reset(token)

    async def atell(self, signal: Signal) -> None:
        """Send a signal from an event loop."""
        token = _run.set(None)
        try:
            await signal.asend_robust(self._sender, task_result=self.result)
        finally:
            _run.reset(token)

    @property
    def _sender(self) -> Any:
        return type(self.result.task.get_backend())


def _result(kind: TaskKind, run: Run | None, given: dict[str, Any]) -> Any:
    """What the task's row says, if anybody looks; the first run of a task without context and receivers asks no database."""
    if run is not None and (kind.leading or run.attempt > 1 or _is_listened_to(kind)):
        job = Job.objects.filter(pk=run.id).first()
        if job is not None:
            return result_of(job, kind, new=run.attempt == 1)
    now = timezone.now()
    return blank(
        kind,
        run.meta if run else {},
        given,
        queue=kind.queue,
        id=str(run.id) if run else "",
        status=kind.framework.base.TaskResultStatus.RUNNING,
        enqueued_at=time_of(run.id) if run else now,
        started_at=now,
        last_attempted_at=now,
        finished_at=None,
        errors=[],
        worker_ids=[""] * (run.attempt if run else 1),
    )


def _is_listened_to(kind: TaskKind) -> bool:
    """By more than the framework's own logger."""
    signals = kind.framework.signals
    return len(signals.task_started.receivers) > 1 or len(signals.task_finished.receivers) > 1
