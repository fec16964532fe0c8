"""The worker: claim, run, record, inside a Celery worker."""
