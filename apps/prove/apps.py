"""The Django application of the proof."""

from django.apps import AppConfig


class ProveConfig(AppConfig):
    """``manage.py prove``; it has no models and registers no kinds, except inside of its own private processes."""

    name = "apps.prove"
    verbose_name = "Proof"
