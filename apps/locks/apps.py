"""The Django application of the locks."""

from django.apps import AppConfig


class LocksConfig(AppConfig):
    """Locks, limits and wake-ups over Redis."""

    name = "apps.locks"
    verbose_name = "Locks"

    def ready(self) -> None:
        """Refuse a lease that cannot be, at the start and not at the first lock."""
        from apps.locks.conf import times

        times()
