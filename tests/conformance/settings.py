"""Settings for these tests, beside the package's own: SQLite, and no broker, since jobs are drained."""

from importlib import import_module
from pathlib import Path
from typing import Any

from furrow.celery import Celery

SECRET_KEY = "conformance"
USE_TZ = True
ROOT_URLCONF = __name__
urlpatterns: list[object] = []
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3", "TEST": {"NAME": "test.sqlite3"}}}
INSTALLED_APPS = ["furrow", "django.contrib.auth", "django.contrib.contenttypes"]
if Path("tests").exists():
    own: dict[str, Any] = {name: value for name, value in vars(import_module("tests.settings")).items() if name.isupper()}
    globals().update(own)
    INSTALLED_APPS = ["furrow", *own["INSTALLED_APPS"]]
FURROW = {"QUEUES": ["default", "queue_1", "queue-1", "queue-2", "unknown_queue", "high"]}
TASKS = {"default": {"BACKEND": "conformance_backends.ImmediateBackend"}}

app = Celery("conformance", broker="amqp://127.0.0.1:1//")
app.set_default()
