"""The Django application of this deployment's kinds."""

from django.apps import AppConfig


class TasksConfig(AppConfig):
    """Holds the management commands that go with the kinds."""

    name = "tasks"
