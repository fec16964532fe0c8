"""Celery's own integration tests, run by hand against this product: ``python -m tests.celery_suite plain``, and its like."""
