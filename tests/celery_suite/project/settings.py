"""A Django project with Furrow around Celery's own tests: the smallest there is, with Celery's settings as Celery has them."""

import os
from urllib.parse import urlsplit

SECRET_KEY = "of the tests alone"
DEBUG = True
USE_TZ = True
INSTALLED_APPS = ["furrow", "django.contrib.contenttypes", "django.contrib.auth"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

_database = urlsplit(os.environ["DATABASE_URL"])
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

CELERY_BROKER_URL = os.environ["TEST_BROKER"]
CELERY_RESULT_BACKEND = os.environ["TEST_BACKEND"]

FURROW = {"QUEUES": ["default"], "REDIS_URL": os.environ["REDIS_URL"]}
if os.environ["CELERY_SUITE"] == "adopted":
    FURROW["ADOPT"] = "all"
