"""The admin: pages that show the engine and act on it.

Read in this order: ``site`` and ``theme`` (where, and in which look), ``job`` (the list), ``filters``, ``readonly``, ``keyset``
(its pages), ``bulk_page``, ``job_page``, ``job_body`` and ``timeline`` (one job), ``submit_page``, ``forms``, ``arguments`` and
``fields`` (submitting), ``records`` (attempts, log lines), ``audit_log``, ``queues``, ``workers`` (and the leader) and
``worker_page``, ``workflows`` (a room of its own), ``schedules`` and ``schedule_pages``, ``backfills`` and
``backfill_start``, ``approvals``, ``bridges``, ``dead_messages``, ``events``, ``drift``, ``watched``, ``locks``, ``tokens``,
``webhooks``, ``canaries``, ``live``, ``navigation``. How things are said is in :mod:`furrow.diagnosis.wording`.

Django loads it by itself, and the default site shows everything; another site does after::

    furrow.admin.register(site)
"""

from django.apps import apps

from furrow.admin import (
    approvals,
    audit_log,
    backfills,
    bridges,
    canaries,
    dead_messages,
    drift,
    events,
    job,
    locks,
    queues,
    records,
    schedules,
    tokens,
    watched,
    webhooks,
    workers,
)
from furrow.admin.site import register
from furrow.admin.workflows import listing as workflows

if apps.is_installed("django.contrib.admin"):  # the command line uses parts of this package without it
    register()

__all__ = [
    "approvals",
    "audit_log",
    "backfills",
    "bridges",
    "canaries",
    "dead_messages",
    "drift",
    "events",
    "job",
    "locks",
    "queues",
    "records",
    "register",
    "schedules",
    "tokens",
    "watched",
    "webhooks",
    "workers",
    "workflows",
]
