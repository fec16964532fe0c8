"""The HTTP API: ``path("api/", include("furrow.api.urls"))``, with django-ninja.

``urls`` is what a project includes; ``doors`` has the API with its routers, its errors and its document. ``auth`` says who
asks and what a token may be used for, ``rate`` how often. ``shapes`` and ``engine_shapes`` are the bodies. One file for each
group of operations: ``jobs`` (get, list, logs, wait), ``submitting`` (with ``idempotency``), ``acting``, ``looking`` (kinds,
queues, workers, errors, health), ``events`` (follow), ``work`` (for workers in other languages).
``waiting`` bounds the requests that wait.
"""
