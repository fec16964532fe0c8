"""The Celery application: ``celery -A config worker``, ``celery -A config flower``, ``celery -A config inspect …``."""

import os
from typing import Any

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("furrow")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
# The job engine inside a Celery worker.
app.steps["worker"].add("apps.jobs.worker.step:JobWorker")
app.steps["consumer"].add("apps.jobs.worker.step:JobReports")


@app.on_after_configure.connect
def connect_to_broker(sender: Any, **kwargs: Any) -> None:
    """The worker consumes the job queues and Celery's own, and no queue that is a slip of the pen. The URL is set here, since
    ``celery report`` and Flower's pages hide a password under this name and not under ``CELERY_BROKER_URL``."""
    from django.conf import settings

    from apps.jobs.broker import worker_queues

    sender.conf.broker_url = settings.BROKER_URL
    sender.conf.task_queues = worker_queues()
    sender.conf.task_create_missing_queues = False
