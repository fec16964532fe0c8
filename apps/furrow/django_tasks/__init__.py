"""Django's tasks as jobs: ``TASKS = {"default": {"BACKEND": "furrow.django_tasks.FurrowBackend"}}`` (docs/django_tasks.md).

``FurrowBackend`` is a backend of ``django.tasks`` (Django 6), and of the package ``django-tasks`` where Django has none. Each
task is a kind, named by its module path, and each enqueue a job.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from furrow.django_tasks.options import job_options

if TYPE_CHECKING:
    from furrow.django_tasks.of_django import FurrowBackend, FurrowTask

__all__ = ["FurrowBackend", "FurrowTask", "job_options"]


def __getattr__(name: str) -> Any:
    if name not in ("FurrowBackend", "FurrowTask"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    framework = "of_django" if find_spec("django.tasks") else "of_package"
    return getattr(import_module(f"furrow.django_tasks.{framework}"), name)
