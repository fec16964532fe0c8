"""A task's run in the pool process: Celery's own tracer calls it, with its signals and hooks, and tells how it ended."""

import datetime as dt
import json
from typing import Any

from celery import states
from celery.app import trace
from celery.canvas import Signature
from celery.exceptions import Reject
from celery.exceptions import Retry as CelerysRetry
from django.utils import timezone

from furrow.adoption import errbacks, replacing
from furrow.adoption.backend import Told, current
from furrow.adoption.ended import Ended
from furrow.adoption.request import request_of, retries_of
from furrow.adoption.told import told
from furrow.context import _run
from furrow.kinds.celery_options import META
from furrow.kinds.results import JobResult, job_result
from furrow.models import Job
from furrow.states import Outcome, State

#: From this number of failures on further retries are put off instead of counted: ``max_retries=None`` has no end.
ENDLESS = 990
#: Seconds until a task that raised ``Reject(requeue=True)`` runs again.
REQUEUE = 1.0


def run(kind: Any, values: dict[str, Any]) -> Any:
    """Run the task of the job that this process is busy with; its result.

    Raises:
        Exception: what the task raised.
        Ended: it is to run again, or is over without a result.
    """
    job: Any = _run.get()
    args, kwargs = kind.arguments.split(values, told(job.meta).get("args"))
    if job is None:
        return kind.celery(*args, **kwargs)
    if failed := told(job.meta).get("errback"):
        args = [*errbacks.arguments(failed), *args[3:]]
    if replacing.is_replaced(job):
        return replacing.outcome()
    request = request_of(job, kind, args, kwargs)
    mine = Told(request["id"])
    token = current.set(mine)
    try:
        ended = _tracer(kind.celery)(request["id"], args, kwargs, request)
    finally:
        current.reset(token)
    info = ended.info
    if mine.again is not None:
        raise _again(job, kind, mine.again, info)
    if info is None:
        return mine.result
    if info.state == states.FAILURE:
        raise info.retval
    if info.state == trace.REJECTED:
        raise _rejected(info.retval)
    if info.state == trace.IGNORED and mine.state in (states.FAILURE, states.REVOKED):
        failed = mine.state == states.FAILURE
        said = f"{mine.state}: {mine.meta}"
        raise Ended(*((State.FAILED, Outcome.FAILED) if failed else (State.CANCELLED, Outcome.CANCELLED)), said)
    return None


def _tracer(task: Any) -> Any:
    """Celery's, made once in each process, when everybody who wraps ``build_tracer`` has done so."""
    made = task.__dict__.get("_furrow_tracer")
    if made is None:
        made = task._furrow_tracer = trace.build_tracer(task.name, task, app=task.app, Info=trace.TraceInfo)
    return made


def asked_again(task: Any, args: Any, kwargs: Any, options: dict[str, Any]) -> JobResult | None:
    """``self.retry`` sends the task anew under its own id: the run takes note, and ``None`` is returned of any other call."""
    mine = current.get()
    if mine is None or str(options.get("task_id")) != mine.task_id or not options.get("retries"):
        return None
    mine.again = Signature(task.name, args, kwargs, options)
    return job_result(mine.task_id)


def _again(job: Any, kind: Any, asked: Signature, info: Any) -> Ended:
    """The verdict of a run that asked for another, whose row has the other arguments from now on."""
    bound = kind.arguments.bound(asked.args, asked.kwargs)
    text = kind.arguments.to_json(bound.values)
    retries, said = retries_of(job, told(job.meta)), dict(told(job.meta))
    changed: dict[str, Any] = {}
    before = job.arguments_text or None
    if before is None or kind.arguments.from_json(before) != kind.arguments.from_json(text):
        changed["arguments"] = json.loads(text)
    counted = job.failures < ENDLESS
    skipped = int(asked.options["retries"]) - retries - (1 if counted else 0)
    new = {name: value for name, value in said.items() if name not in ("args", "retries", "eta")}
    new |= {} if bound.positional is None else {"args": bound.positional}
    if base := int(said.get("retries") or 0) + skipped:
        new["retries"] = base
    if new != {name: value for name, value in said.items() if name != "eta"}:
        changed["meta"] = {**_stored(job), META: new}
    if changed:
        Job.objects.filter(pk=job.id, attempt=job.attempt, state=State.RUNNING).update(**changed)
    again = info.retval if info is not None and isinstance(info.retval, CelerysRetry) else None
    error = again.exc if again is not None else None
    delay = _delay(asked.options)
    reason = f"{type(error).__name__}: {error}" if error is not None else "the task asked for another run"
    outcome = Outcome.FAILED if counted else Outcome.SNOOZED
    return Ended(State.PENDING, outcome, reason, delay=delay, error=error if isinstance(error, BaseException) else None)


def _delay(options: Any) -> float:
    eta, countdown = options.get("eta"), options.get("countdown")
    if eta:
        moment = dt.datetime.fromisoformat(eta) if isinstance(eta, str) else eta
        moment = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
        return max(0.0, (moment - timezone.now()).total_seconds())
    return max(0.0, float(countdown or 0))


def _rejected(error: Reject) -> Ended:
    said = f"Reject: {error.reason}" if error.reason else "Reject"
    if error.requeue:
        return Ended(State.PENDING, Outcome.SNOOZED, said, delay=REQUEUE)
    return Ended(State.FAILED, Outcome.FAILED, said)


def _stored(job: Any) -> dict[str, Any]:
    """The job's metadata as the row has it."""
    return json.loads(job.meta_text) if job.meta_text else {}
