"""The Celery application: ``celery -A config worker``, ``celery -A config flower``, ``celery -A config inspect …``."""

import os
from typing import Any

from furrow.celery import Celery

from config.reports import mask_celerys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# Celery would run Django's checks, throw away what they say, and load all pages for it: manage.py check says it.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

mask_celerys()
app = Celery("furrow")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@app.on_after_configure.connect
def connect_to_broker(sender: Any, **kwargs: Any) -> None:
    """The URL is set here, since ``celery report`` and Flower's pages hide a password under this name and not under
    ``CELERY_BROKER_URL``."""
    from django.conf import settings

    sender.conf.broker_url = settings.BROKER_URL
