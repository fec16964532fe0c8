"""The Celery application: ``celery -A config worker``, ``celery -A config flower``, ``celery -A config inspect …``."""

import os
from typing import Any

import django
from celery import Celery
from django.apps import apps

from config.reports import mask_celerys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# Celery would run Django's checks, throw away what they say, and load all pages for it: manage.py check says it.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")


class FurrowCelery(Celery):
    """Celery, where sending a task that is a kind of job submits a job: ``app.send_task``, ``celery call``."""

    def send_task(self, name: str, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Submit a job if a kind has this name, else send an ordinary task.

        Raises:
            ArgumentError, OptionError: as :func:`furrow.submit`.
        """
        if not apps.ready:
            django.setup()
        from furrow.errors import UnknownKind
        from furrow.kinds.kind import get_kind

        try:
            kind = get_kind(name)
        except UnknownKind:
            return super().send_task(name, args=args, kwargs=kwargs, **options)
        options.pop("serializer", None)  # arguments are always JSON
        return kind.apply_async(args, kwargs, **options)


mask_celerys()
app = FurrowCelery("furrow")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
# The job engine inside a Celery worker.
app.steps["worker"].add("furrow.worker.celery.bootsteps:JobWorker")
app.steps["consumer"].add("furrow.worker.celery.bootsteps:JobReports")


@app.on_after_configure.connect
def connect_to_broker(sender: Any, **kwargs: Any) -> None:
    """The worker consumes the job queues and Celery's own, and no queue that is a slip of the pen. The URL is set here, since
    ``celery report`` and Flower's pages hide a password under this name and not under ``CELERY_BROKER_URL``."""
    from django.conf import settings
    from furrow.rabbitmq.broker import worker_queues

    sender.conf.broker_url = settings.BROKER_URL
    sender.conf.task_queues = worker_queues()
    sender.conf.task_create_missing_queues = False
