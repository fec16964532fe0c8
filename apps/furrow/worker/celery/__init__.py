"""Celery's side of the worker: ``bootsteps`` and ``consumer`` are where it begins."""
