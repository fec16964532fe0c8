"""The backend of the package ``django-tasks``, for Django before 6.0."""

from dataclasses import dataclass
from typing import Any

import django_tasks
from django_tasks import base, exceptions, signals
from django_tasks.backends.base import BaseTaskBackend

from furrow.django_tasks.backend import Backend
from furrow.django_tasks.frameworks import Framework
from furrow.django_tasks.options import JobOptions

#: The error's name differs between releases.
_invalid: Any = getattr(exceptions, "InvalidTaskError", None) or vars(exceptions)["InvalidTask"]
FRAMEWORK = Framework(django_tasks, base, exceptions, signals, _invalid)


@dataclass(frozen=True, kw_only=True)
class FurrowTask(JobOptions, base.Task[..., Any]):
    """A task with the options of its jobs: ``@task(retry=…, unique=…)``."""


class FurrowBackend(Backend, BaseTaskBackend):
    """Enqueues a task as a job."""

    framework = FRAMEWORK
    task_class: Any = FurrowTask
