"""What ``django.tasks`` and the package ``django-tasks`` have alike, under one name."""

import json
import sys
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

from django.utils import timezone

#: The module of each framework that has its ``Task``.
_BASES = ("django.tasks.base", "django_tasks.base")


@dataclass(frozen=True)
class Framework:
    """One of the two."""

    tasks: Any
    base: Any
    exceptions: Any
    signals: Any
    invalid_task: type[Exception]

    def json(self, value: Any) -> Any:
        """A value as the framework passes it on: lists for tuples, text for bytes.

        Raises:
            TypeError: it has no JSON form.
        """
        if json_of := getattr(self.base, "normalize_json", None):
            return json_of(value)
        return json.loads(json.dumps(value))  # the package before 0.10 has none


def is_task(found: object) -> bool:
    """This is a task of either framework, if it is loaded."""
    loaded: list[ModuleType] = [sys.modules[name] for name in _BASES if name in sys.modules]
    return any(isinstance(found, base.Task) for base in loaded)


def framework_of(task: Any) -> Framework:
    """The one that a task is of."""
    from_django = any(cls.__module__ == "django.tasks.base" for cls in type(task).__mro__)
    found: Framework = import_module(f"furrow.django_tasks.{'of_django' if from_django else 'of_package'}").FRAMEWORK
    return found


def aware(moment: Any) -> Any:
    """A task's ``run_after``, which is naive where the project has no time zones."""
    return timezone.make_aware(moment) if moment is not None and timezone.is_naive(moment) else moment
