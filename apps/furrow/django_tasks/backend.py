"""The backend: enqueues a task as a job, and reads results from jobs. Both frameworks' classes are made of it."""

from typing import Any, ClassVar

from django.core.checks import Error

from furrow.conf import conf
from furrow.django_tasks import results
from furrow.django_tasks.frameworks import Framework, aware
from furrow.django_tasks.kinds import TaskKind, kind_of
from furrow.django_tasks.options import priority_of, refuse_unknown
from furrow.errors import KindError
from furrow.kinds.declaration import unknown_queue
from furrow.submission.submit import submit


class Backend:
    """Goes before a framework's ``BaseTaskBackend``."""

    framework: ClassVar[Framework]
    alias: str
    queues: set[str]
    options: dict[str, Any]

    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    #: Of ten levels: docs/django_tasks.md.
    supports_priority = True

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)  # type: ignore[call-arg]
        if "QUEUES" not in params:
            self.queues = set(conf().queues)
        #: Options of jobs, for all tasks that do not say otherwise.
        self.of_all: dict[str, Any] = params.get("OPTIONS", {})
        self._in_transactions = params.get("ENQUEUE_ON_COMMIT", True)

    def validate_task(self, task: Any) -> None:
        """As Django's; also declares the task's kind.

        Raises:
            InvalidTask: the task, or an option of its jobs, cannot work.
        """
        super().validate_task(task)  # type: ignore[misc]
        if task.queue_name not in conf().queues:
            raise self.framework.invalid_task(f"Queue {task.queue_name!r} {unknown_queue(task.queue_name, external=False)}.")
        self._kind(task)

    def _kind(self, task: Any) -> TaskKind:
        try:
            refuse_unknown(f"TASKS[{self.alias!r}]['OPTIONS']", self.of_all)
            return kind_of(task, self.framework, self.of_all)
        except KindError as error:
            raise self.framework.invalid_task(str(error)) from error

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """Submit a job, in the caller's transaction: a rollback takes it back, after the commit it runs.

        Raises:
            InvalidTask: as :meth:`validate_task`.
            TypeError: an argument has no JSON form.
            ArgumentError: the function does not take these arguments.
        """
        self.validate_task(task)
        kind, framework = self._kind(task), self.framework
        given = kind.named(framework.json(args), framework.json(kwargs))
        job = submit(
            kind,
            given,
            queue=task.queue_name,
            priority=priority_of(task.priority),
            run_at=aware(task.run_after),
            meta=results.remembered(kind, task, min(len(args), len(kind.by_position))),
        )
        result = results.result_of(job, kind, new=not job.attempt)
        if not job.existed:
            framework.signals.task_enqueued.send(type(self), task_result=result)
        return result

    def get_result(self, result_id: Any) -> Any:
        """The result of this id, by the job's row.

        Raises:
            TaskResultDoesNotExist: no task was enqueued with it, or its job was deleted, or never committed.
        """
        found = results.find_job(result_id)
        if found is None:
            raise self.framework.exceptions.TaskResultDoesNotExist(result_id)
        return results.result_of(*found)

    def check(self, **kwargs: Any) -> Any:
        """What is wrong with the settings."""
        where = f"TASKS[{self.alias!r}]"
        for queue in sorted(self.queues - set(conf().queues)):
            yield Error(f"{where}['QUEUES']: {queue!r} {unknown_queue(queue, external=False)}.", id="furrow.E010")
        if not self._in_transactions:
            yield Error(
                f"{where}['ENQUEUE_ON_COMMIT'] is False, and a job belongs to its enqueue's transaction: a rollback takes it.",
                hint="Remove the key: what is enqueued runs after the commit.",
                id="furrow.E011",
            )
        try:
            refuse_unknown(f"{where}['OPTIONS']", self.of_all)
        except KindError as error:
            yield Error(str(error), id="furrow.E012")
