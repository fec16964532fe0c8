"""The admin: what people see of the engine, and the few things they may do to it.

Read in this order: ``job`` (the list), ``filters``, ``readonly`` and ``keyset`` (its pages), ``bulk_page``, ``job_page``,
``job_body`` and ``timeline`` (one job), ``submit_page``, ``table_page`` and ``forms/`` (submitting), ``records``
(attempts, log lines), ``audit_log``, ``queues``, ``workers`` (and the leader) and ``worker_page``, ``dead_messages``,
``drift``, ``locks``, ``live``, ``navigation``. How things are said is in :mod:`furrow.diagnosis.wording`.
"""

from furrow.admin import accounts, audit_log, celery_results, dead_messages, drift, job, locks, queues, records, workers

__all__ = ["accounts", "audit_log", "celery_results", "dead_messages", "drift", "job", "locks", "queues", "records", "workers"]
