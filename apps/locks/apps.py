"""The Django application of the locks."""

from django.apps import AppConfig


class LocksConfig(AppConfig):
    """Locks, limits and wake-ups over Redis."""

    name = "apps.locks"
    verbose_name = "Locks"
