"""The Celery task behind a kind."""

from collections.abc import Callable
from functools import cache
from typing import Any

from celery import current_app
from celery.contrib.django.task import DjangoTask
from django.core.signals import setting_changed


def _takes_an_id(task_id: str) -> None: ...


def _no_canvas(signature: Any) -> Any:
    raise RuntimeError("Django's applications are not ready: a canvas of kinds can be called once django.setup() has run.")


#: Submits a canvas (a signature of Celery's) whose parts are kinds, and returns Celery's result; the application puts it here.
start_canvas: Callable[[Any], Any] = _no_canvas


class JobTask(DjangoTask):
    """Sends through :func:`submit`; Celery's own path never runs a job. Its ``Strategy`` sees only what other Celery clients
    sent under the kind's name; the dispatcher's messages go to the intake."""

    abstract = True
    is_a_kinds = True
    Strategy = "furrow.worker.celery.sent_tasks:strategy"
    kind: Any = None
    #: Celery calls an errback of one argument with the failed task's id, through ``apply_async``, and others where it is.
    __header__ = staticmethod(_takes_an_id)

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Submit a job; see :meth:`furrow.kinds.kind.Kind.apply_async`."""
        return self.kind.apply_async(args, kwargs, **options)

    def AsyncResult(self, task_id: str, **options: Any) -> Any:
        """The job of this id, which is read from its row."""
        from furrow.kinds.results import job_result

        return job_result(task_id)


def is_always_eager() -> bool:
    """Celery's ``task_always_eager`` of the project's application: what is sent runs here and now."""
    app = current_app._get_current_object()
    changed = getattr(app.conf, "changes", {}).get("task_always_eager")
    return _is_eager_by_settings(app) if changed is None else bool(changed)


@cache
def _is_eager_by_settings(app: Any) -> bool:
    return bool(app.conf.task_always_eager)  # asking Celery takes as long as a tenth of a submit


def propagates() -> bool:
    """Celery's ``task_eager_propagates``: what such a run raises, the submit raises."""
    return bool(current_app.conf.task_eager_propagates)


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting.upper().endswith("TASK_ALWAYS_EAGER"):
        _is_eager_by_settings.cache_clear()


setting_changed.connect(_forget)
