"""What is the project's own is as it was when Furrow is installed: settings, logging, hooks, admin, error pages, Celery."""

import json
import subprocess
import sys
from typing import Any

from tests import services

SCRIPT = r"""
import json, logging, signal, sys, threading, types

with_furrow = sys.argv[1] == "True"
urls = types.ModuleType("shop_urls")
sys.modules["shop_urls"] = urls
from django.conf import settings

APPS = ["django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
        "django.contrib.messages", *(["furrow"] if with_furrow else [])]
settings.configure(
    SECRET_KEY="x", ROOT_URLCONF="shop_urls", INSTALLED_APPS=APPS, USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    LOGGING={"version": 1, "disable_existing_loggers": False, "handlers": {"null": {"class": "logging.NullHandler"}},
             "root": {"handlers": ["null"], "level": "WARNING"}},
)
if with_furrow:
    from furrow.celery import Celery
else:
    from celery import Celery
app = Celery("shop", broker="amqp://shop@nowhere//", backend="rpc://")
app.conf.update(task_queue_max_priority=5, worker_pool="threads", task_default_queue="mail", worker_concurrency=3)
app.set_default()
import django
django.setup()
from django.contrib import admin
from django.urls import get_resolver, path
urls.urlpatterns = [path("admin/", admin.site.urls)]
from django.core.files.storage import default_storage
from django.utils import translation

app.autodiscover_tasks(force=True)
app.finalize()
print(json.dumps({
    "settings": {name: repr(getattr(settings, name)) for name in dir(settings)
                 if name.isupper() and name not in ("INSTALLED_APPS", "FURROW")},
    "logging": [repr([type(handler) for handler in logging.root.handlers]), logging.root.level, logging.root.manager.disable,
                repr(logging.getLogRecordFactory()), repr(logging.getLoggerClass()),
                [logging.getLogger(name).level for name in ("django", "celery", "celery.task")]],
    "hooks": [repr(sys.excepthook is sys.__excepthook__), threading.excepthook.__module__,
              [str(signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)]],
    "admin": {model._meta.label: type(shown).__module__ for model, shown in admin.site._registry.items()
              if model._meta.app_label != "furrow"},
    "site": [type(admin.site).__name__, type(admin.site).__module__, str(admin.site.site_header), admin.site.index_template],
    "errors": [get_resolver().resolve_error_handler(code).__module__ for code in (400, 403, 404, 500)],
    "storage": type(default_storage._wrapped).__name__, "language": translation.get_language(),
    "threads": [thread.name for thread in threading.enumerate()],
    "celery": {name: repr(app.conf[name]) for name in sorted(map(str, app.conf))},
    "queues": sorted(app.amqp.queues), "exchange": app.amqp.queues["mail"].exchange.name,
    "arguments": repr(app.amqp.queues["mail"].queue_arguments), "backend": type(app.backend).__module__,
    "tasks": sorted(name for name in app.tasks if not name.startswith("furrow.")),
}))
"""


def seen(*, with_furrow: bool) -> dict[str, Any]:
    """What a project sees of itself."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(with_furrow)], capture_output=True, text=True, cwd=services.ROOT, env=None
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_what_is_the_projects_own_is_as_it_was() -> None:
    without, with_it = seen(with_furrow=False), seen(with_furrow=True)
    for name, value in without.items():
        assert with_it[name] == value, name
    assert without["queues"] == ["mail"]
    assert len(without["celery"]) > 50, "Celery's settings, all of them"
