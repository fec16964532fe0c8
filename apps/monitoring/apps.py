"""The Django application of health, metrics and dashboard."""

from django.apps import AppConfig


class MonitoringConfig(AppConfig):
    """Health and, later, metrics and the dashboard."""

    name = "apps.monitoring"
