"""The backend of ``django.tasks``, which Django has from 6.0 on."""

from dataclasses import dataclass
from typing import Any

from django import tasks
from django.tasks import base, exceptions, signals
from django.tasks.backends.base import BaseTaskBackend

from furrow.django_tasks.backend import Backend
from furrow.django_tasks.frameworks import Framework
from furrow.django_tasks.options import JobOptions

FRAMEWORK = Framework(tasks, base, exceptions, signals, exceptions.InvalidTask)


_Task: Any = base.Task


@dataclass(frozen=True, kw_only=True)
class FurrowTask(JobOptions, _Task):  # type: ignore[misc]
    """A task with the options of its jobs: ``@task(retry=…, unique=…)``."""


class FurrowBackend(Backend, BaseTaskBackend):
    """Enqueues a task as a job."""

    framework = FRAMEWORK
    task_class = FurrowTask
