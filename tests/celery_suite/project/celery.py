"""Its Celery application, which the dispatcher uses; Celery's tests make their own."""

from furrow.celery import Celery

app = Celery("suite", set_as_current=True)
app.config_from_object("django.conf:settings", namespace="CELERY")
