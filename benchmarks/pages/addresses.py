"""The pages that are measured: what to call them, and their path below ``/admin/``. Append yours.

``{job}`` is a job that succeeded, ``{failed}`` one that failed, ``{running}`` one that runs, ``{worker}`` a worker.
"""

ADDRESSES: dict[str, str] = {
    "home": "",
    "home, live": "home/live/",
    "errors": "errors/",
    "errors, 30 days": "errors/?period=30d",
    "jobs": "jobs/job/",
    "jobs, failed": "jobs/job/?state=failed",
    "jobs, of a kind": "jobs/job/?kind=example.kind_07",
    "job, succeeded": "jobs/job/{job}/change/",
    "job, failed": "jobs/job/{failed}/change/",
    "job, running": "jobs/job/{running}/change/",
    "submit": "jobs/job/submit/",
    "attempts": "jobs/attempt/",
    "log lines": "jobs/logline/",
    "workers": "jobs/worker/",
    "worker": "jobs/worker/{worker}/change/",
}
