"""What is shown of the settings: by Django's page of an error, by ``celery report``, ``celery inspect conf`` and Flower."""

from collections.abc import Callable, Mapping
from typing import Any

from celery.app import utils
from django.views.debug import SafeExceptionReporterFilter
from furrow.service_urls import masked


class MaskingFilter(SafeExceptionReporterFilter):
    """Django's, which hides by the name of a setting, masks passwords within URLs as well."""

    def cleanse_setting(self, key: Any, value: Any) -> Any:
        """A setting as it may be shown."""
        return masked(super().cleanse_setting(key, value))


def mask_celerys() -> None:
    """Celery shows all settings of Django's, and hides less than Django does."""
    hidden: Callable[[Any], Mapping[str, Any]] = utils.filter_hidden_settings
    if not hasattr(hidden, "furrow"):

        def hide(conf: Any) -> Any:
            return masked(hidden(conf))

        hide.furrow = True  # type: ignore[attr-defined]
        utils.filter_hidden_settings = hide
