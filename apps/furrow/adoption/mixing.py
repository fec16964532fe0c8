"""The class below every task of an application whose tasks may be jobs. Imports nothing that needs Django's applications: tasks
are declared before these are ready."""

from functools import cache
from typing import Any

from celery.contrib.django.task import DjangoTask

#: Tasks, by application and name, whose kinds are made when Django's applications are ready.
noticed: list[Any] = []


class AdoptedTask(DjangoTask):
    """A task that can be a job: behind the classes of the project's own, before Celery's."""

    abstract = True
    #: ``@shared_task(durable=False)`` keeps an ordinary task.
    durable = True
    #: The kind that was made of it; an ordinary task has none.
    kind: Any = None

    def AsyncResult(self, task_id: str, **options: Any) -> Any:
        """Its job's result."""
        if self.kind is None:
            return super().AsyncResult(task_id, **options)
        from furrow.kinds.results import JobResult

        return JobResult(task_id, backend=self.backend)

    def replace(self, sig: Any) -> Any:
        """A canvas in its place: of a job, the job waits for it."""
        if self.kind is None or self.request.is_eager or self.request.called_directly:
            return super().replace(sig)
        from furrow.adoption.replacing import refuse

        refuse(sig)
        return self.on_replace(sig)

    def on_replace(self, sig: Any) -> Any:
        """Called by :meth:`replace`; the project's own classes may change the signature."""
        if self.kind is None or self.request.is_eager or self.request.called_directly:
            return super().on_replace(sig)
        from furrow.adoption.replacing import replace

        return replace(sig)


@cache
def mixed(base: type) -> type:
    """The class with ours behind it, so that what the project's own classes override stays overridden."""
    if issubclass(base, AdoptedTask) or getattr(base, "is_a_kinds", False):
        return base
    return type(base.__name__, (base, AdoptedTask), {"abstract": True, "__module__": base.__module__, "__doc__": base.__doc__})


def mix_in(task: Any) -> None:
    """The same for a task that is made already, of a class of its own."""
    cls = type(task)
    if not issubclass(cls, AdoptedTask):
        names = {"__module__": cls.__module__, "__doc__": cls.__doc__, "__qualname__": cls.__qualname__}
        task.__class__ = type(cls.__name__, (cls, AdoptedTask), names)
