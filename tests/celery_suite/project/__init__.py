"""The Django project around Celery's own tests."""

from tests.celery_suite.project.celery import app

__all__ = ["app"]
