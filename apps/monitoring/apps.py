"""The Django application of health, metrics and dashboard."""

from django.apps import AppConfig


class MonitoringConfig(AppConfig):
    """Health, metrics, the admin's first page and the errors page."""

    name = "apps.monitoring"
