"""Django settings of the Celery variants that record results: what they need and nothing else."""

import os

import environ

SECRET_KEY = "only for benchmarks"
INSTALLED_APPS = ["django_celery_results"]
DATABASES = {"default": environ.Env.db_url_config(os.environ["BENCH_RESULTS_URL"])}
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CELERY_RESULT_BACKEND = "django-db"
CELERY_RESULT_EXTENDED = True
CELERY_TASK_TRACK_STARTED = True
