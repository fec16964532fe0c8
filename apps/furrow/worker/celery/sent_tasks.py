"""Tasks that Celery clients elsewhere sent under a kind's name: each becomes a job with the task's id.

It is acknowledged when the job is committed. A message that is no job is kept as a dead one with the reason, and whoever waits
for its end is told that it failed. Both are one transaction: whoever dies, the message comes again, and makes no second job.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC
from typing import TYPE_CHECKING, Any

import amqp
from celery.worker.strategy import default
from django.db import Error, connections, router

from furrow import signals, statements
from furrow.actions.jobs import end_unstarted
from furrow.canvas.building import start_with
from furrow.conf import conf
from furrow.errors import ArgumentError, FurrowError, OptionError
from furrow.kinds.kind import Kind
from furrow.kinds.results import keeps_results
from furrow.models import DeadMessage, Job, Reply
from furrow.models.database import atomic
from furrow.sanitize import clean
from furrow.signals import EXPIRED
from furrow.statements import clock
from furrow.statements.refused import refuses_value
from furrow.states import State
from furrow.submission import options
from furrow.submission.submit import submit
from furrow.worker.celery.handling import AGAIN
from furrow.worker.celery.honoured import NotHonoured, Sent, caller, headers_of, is_celerys, read, read_call
from furrow.worker.ledger.dead import describe
from furrow.worker.news import Reply as Callback
from furrow.worker.remote import off_the_loop

if TYPE_CHECKING:
    from furrow.worker.celery.bootsteps import JobWorker

logger = logging.getLogger(__name__)


def strategy(task: Any, app: Any, consumer: Any, **kwargs: Any) -> Callable[..., None]:
    """Celery's ``Strategy`` of a kind."""
    jobs: JobWorker | None = getattr(consumer.controller, "jobs", None)
    if jobs is None:
        return _strategy_without_jobs(task, app, consumer)
    post, others = jobs.mail.post, jobs.intake.others
    celerys = default(task, app, consumer, **kwargs) if task.kind.adopted else None

    def submit_task(message: Any, *args: Any, **kwargs: Any) -> None:
        if celerys is not None and is_celerys(task.kind, message):
            celerys(message, *args, **kwargs)
            return

        def work() -> None:
            post(Callback(settle if take(task.kind, app, message, consumer.hostname) else jobs.handling.later, (message,)))

        others.add(message.delivery_tag)
        off_the_loop(work)

    def settle(message: Any) -> None:
        others.discard(message.delivery_tag)
        try:
            message.ack()
        except (amqp.AMQPError, OSError) as error:
            logger.debug("a message was not acknowledged, and comes again: %s", error)

    return submit_task


def _strategy_without_jobs(task: Any, app: Any, consumer: Any) -> Callable[..., None]:
    """The same in a worker that runs no jobs: of Celery's own application, or of another pool."""
    celerys = default(task, app, consumer) if task.kind.adopted else None

    def submit_task(message: Any, *args: Any, **kwargs: Any) -> None:
        if celerys is not None and is_celerys(task.kind, message):
            celerys(message, *args, **kwargs)
        elif take(task.kind, app, message, consumer.hostname):
            message.ack_log_error(logger, (amqp.AMQPError, OSError))
        else:
            consumer.timer.call_after(AGAIN, submit_task, (message,))

    return submit_task


def take(kind: Kind, app: Any, message: Any, node: str) -> bool:
    """Make a job of a message, or keep it as a dead one. ``False``: the database is away, and nothing was done."""
    try:
        try:
            _submit(kind, app, message)
        except Exception as error:
            if isinstance(error, Error) and not refuses_value(error):
                raise
            _refuse(kind, message, node, error)
    except Error as error:
        id = (message.headers or {}).get("id")
        logger.warning("Task %s of kind %s waits: the database is away (%s).", id, kind.name, str(error).strip())
        return False
    return True


def _submit(kind: Kind, app: Any, message: Any) -> None:
    """One job with its rules, and a row for whoever waits for its end.

    Raises:
        NotHonoured, FurrowError: it is no job.
    """
    headers = headers_of(message)
    waits = caller(message, headers)
    now = clock.now()
    zone = UTC if app.conf.enable_utc else app.timezone
    sent = read_call(kind, message, headers) if kind.adopted else read(kind, message, headers, now, zone)
    before = Job.objects.filter(pk=sent.id, kind=kind.name)
    if sent.followers and before.exists():
        return
    with atomic():
        try:
            ids, existed = _written(kind, sent)
        except OptionError as error:
            if "id" in error.fields and before.exists():
                return  # the message came before
            raise
        if sent.expired and not existed:
            end_unstarted(Job.objects.filter(pk=ids[0]), "expired: its expires was over when its message came", how=EXPIRED)
        if waits and (waits.reply_to or keeps_results()):
            _await(waits.task_id, waits.reply_to, job=ids[0])
            for id in ids[1:]:
                _await(str(id), waits.reply_to, job=id)


def _written(kind: Kind, sent: Sent) -> tuple[list[uuid.UUID], bool]:
    """The job, and those that follow it; and whether it is an earlier one."""
    try:
        arguments = sent.values if kind.adopted else kind.arguments.bind(sent.args, sent.kwargs)
        if sent.followers:
            return start_with(kind, arguments, sent.followers, id=sent.id, **sent.options), False
        job = submit(kind, arguments, id=sent.id, **sent.options)
        return [job.pk], job.existed
    except ArgumentError as error:
        if sent.followers or kind.adopted:
            raise
        return _failed(kind, sent, error), False


def _failed(kind: Kind, sent: Sent, error: ArgumentError) -> list[uuid.UUID]:
    """A job that failed before it began, with the arguments as they came."""
    names, args, kwargs = kind.arguments.names, sent.args, sent.kwargs
    if len(args) > len(names) or {*names[: len(args)]} & kwargs.keys():
        came: dict[str, Any] = {"args": args, **kwargs}
    else:
        came = {**dict(zip(names, args, strict=False)), **kwargs}
    text = json.dumps(came, default=str)
    if len(text) > conf().max_argument_bytes:
        raise error
    columns = options.columns(kind, None, None, None, None, None, None, sent.options["batch"], None)
    columns |= options.meta_column(kind, sent.options["meta"] or {})
    link = connections[router.db_for_write(Job)]
    if not statements.on(link).insert_jobs(link, [sent.id], [text], columns):
        raise OptionError(kind.name, {"id": f"{sent.id} is the id of another job: leave it out, or use a fresh one"})
    signals.submitted(kind.name, [sent.id])
    end_unstarted(Job.objects.filter(pk=sent.id), str(error), State.FAILED)
    return [sent.id]


def _refuse(kind: Kind, message: Any, node: str, error: Exception) -> None:
    said = str(error) if isinstance(error, (NotHonoured, FurrowError)) else f"{type(error).__name__}: {str(error)[:500]}"
    reason = f"It is no job of {kind.name}: {said}"
    logger.error("Task %s is kept as a dead message. %s", (message.headers or {}).get("id"), reason)
    try:
        waits = caller(message, _readable(message))
    except NotHonoured:
        waits = None
    with atomic():
        DeadMessage.objects.create(**describe(message, reason, node)._asdict())
        if waits and waits.task_id and (waits.reply_to or keeps_results()):
            _await(waits.task_id, waits.reply_to, refused=clean(reason))


def _readable(message: Any) -> Mapping[str, Any]:
    try:
        return headers_of(message)
    except Exception:  # of a body that nobody can read
        return message.headers or {}


def _await(task_id: str, reply_to: str, **columns: Any) -> None:
    row = Reply(form=Reply.Form.CELERY, correlation_id=task_id, reply_to=reply_to, **columns)
    Reply.objects.bulk_create([row], ignore_conflicts=True)
