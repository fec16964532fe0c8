"""A shop as there are many: apps of its own below ``apps/``, a user with an e-mail address, a back office, Celery."""

import os
from pathlib import Path
from urllib.parse import urlsplit

from kombu import Exchange, Queue

BASE_DIR = Path(__file__).resolve().parents[1]
SECRET_KEY = "a shop's"
ALLOWED_HOSTS = ["testserver"]
ROOT_URLCONF = "shop.urls"
AUTH_USER_MODEL = "accounts.User"
USE_TZ = True
TIME_ZONE = "Europe/Berlin"
STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

WITH_UNFOLD = os.environ["SHOP_THEME"] == "unfold"
WITH_RESULTS = os.environ["SHOP_RESULTS"] == "django-db"

INSTALLED_APPS = [
    *(["unfold"] if WITH_UNFOLD else []),
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    *(["django_celery_results"] if WITH_RESULTS else []),
    "apps.accounts",
    "apps.jobs",
    "apps.orders",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

_database = urlsplit(os.environ["SHOP_DATABASE"])
if _database.scheme == "sqlite":
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": _database.path, "OPTIONS": {"timeout": 20}}}
else:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": _database.path.lstrip("/"),
            "USER": _database.username,
            "PASSWORD": _database.password,
            "HOST": _database.hostname,
            "PORT": _database.port,
        }
    }

CELERY_BROKER_URL = os.environ["SHOP_BROKER"]
CELERY_RESULT_BACKEND = os.environ["SHOP_RESULTS"]
CELERY_WORKER_CONCURRENCY = 2
CELERY_TASK_QUEUES = [
    Queue("celery"),
    Queue("mail", Exchange("mail"), routing_key="mail", queue_arguments={"x-max-priority": 10}),
]
CELERY_TASK_ROUTES = {"apps.orders.tasks.send_receipt": {"queue": "mail", "routing_key": "mail"}}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"shop": {"format": "shop: {levelname} {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "shop"}},
    "loggers": {"apps": {"handlers": ["console"], "level": "INFO", "propagate": False}},
}
