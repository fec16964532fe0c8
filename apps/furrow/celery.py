"""The Celery class of a project with jobs: ``from furrow.celery import Celery`` instead of ``from celery import Celery``.

The application is Celery's own, with the project's settings and queues. A worker of it takes jobs besides tasks, if its pool is
prefork; a task that is sent under the name of a kind is submitted as a job.
"""

import logging
from collections.abc import Callable
from functools import cached_property
from typing import Any

import celery
from celery.app import utils
from celery.signals import celeryd_after_setup

from furrow.adoption.mixing import AdoptedTask, mix_in, mixed, noticed
from furrow.service_urls import masked

logger = logging.getLogger(__name__)

#: What makes an application's workers run jobs.
REMEDY = "Where it is made, write `from furrow.celery import Celery` instead of `from celery import Celery`"


class Celery(celery.Celery):  # type: ignore[misc]
    """Celery's application, whose workers run jobs."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.steps["worker"].add("furrow.worker.celery.bootsteps:JobWorker")
        self.steps["consumer"].add("furrow.worker.celery.bootsteps:JobReports")

    @cached_property
    def Worker(self) -> Any:
        """The class of this application's workers."""
        return self.subclass_with_self("furrow.worker.celery.worker:Worker")

    #: Its tasks may be jobs (``FURROW["ADOPT"]``).
    adopts = True

    def _task_from_fun(self, fun: Any, name: str | None = None, base: Any = None, **options: Any) -> Any:
        known = (name or self.gen_task_name(fun.__name__, fun.__module__)) in self._tasks
        task = super()._task_from_fun(fun, name=name, base=mixed(base or self.Task), **options)
        if not known:
            _notice(task)
        return task

    def register_task(self, task: Any, **options: Any) -> Any:
        """Register a task of a class; it may be a job as any."""
        task = super().register_task(task, **options)
        mix_in(task)
        _notice(task)
        return task

    def _get_backend(self) -> Any:
        from furrow.conf import adopts_tasks

        backend = super()._get_backend()
        if not adopts_tasks():
            return backend
        from furrow.adoption.app_backend import with_jobs

        return with_jobs(backend)

    def send_task(self, name: str, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Submit a job if a kind has this name, else send an ordinary task.

        Raises:
            ArgumentError, OptionError: as :func:`furrow.submit`.
        """
        from django.apps import apps

        if not apps.ready:
            import django

            django.setup()
        from furrow.kinds.kind import find_kind

        kind = find_kind(name)
        if kind is None:
            return super().send_task(name, args=args, kwargs=kwargs, **options)
        if kind.adopted:
            from furrow.adoption.sending import send

            return send(kind, args, kwargs, options)
        options.pop("serializer", None)  # arguments are always JSON
        return kind.apply_async(args, kwargs, **options)


def _notice(task: Any) -> None:
    """A task was declared: a kind is made of it, when that can be."""
    from django.apps import apps

    if not isinstance(task, AdoptedTask):
        return
    if apps.ready:
        from furrow.adoption.tasks import adopt

        adopt(task)
    else:
        noticed.append(task)


def _hide_passwords() -> None:
    """``celery report``, ``inspect conf`` and Flower show Django's settings, and hide by name: not those within ours."""
    hidden: Callable[[Any], dict[str, Any]] = utils.filter_hidden_settings
    if hasattr(hidden, "hides_furrow"):
        return

    def hide(settings: Any) -> dict[str, Any]:
        found = hidden(settings)
        return {**found, "FURROW": masked(found["FURROW"])} if "FURROW" in found else found

    hide.hides_furrow = True  # type: ignore[attr-defined]
    utils.filter_hidden_settings = hide


_hide_passwords()


@celeryd_after_setup.connect  # type: ignore[untyped-decorator]
def say_that_no_job_runs(instance: Any, **signal: Any) -> None:
    """A worker of another application starts, and would leave jobs where they are without a word."""
    if not isinstance(instance.app, Celery):
        logger.error(
            "This worker runs no jobs: its Celery application, %s, is Celery's own class. %s.", instance.app.main, REMEDY
        )
