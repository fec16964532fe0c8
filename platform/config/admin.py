"""Django's admin, whose classes are loaded with the URLs: worker and dispatcher show no page and start without them."""

from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.admin.apps import SimpleAdminConfig
from django.contrib.admin.checks import check_admin_app
from django.core.checks import CheckMessage, Tags, register


class AdminConfig(SimpleAdminConfig):
    """``config.urls`` discovers the classes."""

    def ready(self) -> None:
        """Register the checks."""
        super().ready()
        register(check_classes, Tags.admin)


def check_classes(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Django's check of the admin's classes, once they are there."""
    import_module(settings.ROOT_URLCONF)
    return check_admin_app(app_configs)
