"""Django settings of the peers that live in Django: what each needs and nothing else. ``BENCH_APP`` is the peer's application.

Database connections are kept, which Django's documentation recommends for speed; Celery, which closes them itself
after each task, is left with Django's default.
"""

import os

import environ

APP = os.environ["BENCH_APP"]
SECRET_KEY = "only for benchmarks"
INSTALLED_APPS = ["django.contrib.contenttypes", APP]
DATABASES = {"default": environ.Env.db_url_config(os.environ["BENCH_DATABASE_URL"])}
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

if APP == "django_celery_results":
    CELERY_RESULT_BACKEND = "django-db"
    CELERY_RESULT_EXTENDED = True
    CELERY_TASK_TRACK_STARTED = True
else:
    DATABASES["default"]["CONN_MAX_AGE"] = None

Q_CLUSTER = {
    "name": os.environ["BENCH_QUEUE"],
    "orm": "default",
    "workers": 2,
    # From the example for the ORM broker in its documentation.
    "timeout": 90,
    "retry": 120,
    "queue_limit": 50,
    "bulk": 10,
    # Keeps all results, so prunes nothing for each; recycles no process, which would stand still for half a second.
    "save_limit": 0,
    "recycle": 1_000_000,
    "poll": 0.1,
}

TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}

_DRAMATIQ = ["AgeLimit", "TimeLimit", "Callbacks", "Retries"]
_DJANGO_DRAMATIQ = ["DbConnectionsMiddleware", "AdminMiddleware"]
DRAMATIQ_BROKER = {
    "BROKER": "dramatiq.brokers.rabbitmq.RabbitmqBroker",
    "OPTIONS": {"url": os.environ["BROKER_URL"].replace("//", "/%2f").replace("amqp:/%2f", "amqp://")},
    "MIDDLEWARE": [f"dramatiq.middleware.{name}" for name in _DRAMATIQ]
    + [f"django_dramatiq.middleware.{name}" for name in _DJANGO_DRAMATIQ],
}
