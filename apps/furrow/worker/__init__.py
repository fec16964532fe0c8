"""The worker: claim, run, record, inside a Celery worker. By process and thread:

``celery/``  Celery's side, in the main process's event loop: bootsteps, consumer, remote control, results.
``intake/``  the same thread: messages, from the wire to what is claimed.
``pool/``    the same thread: what each pool process has, does, and died of.
``ledger/``  a thread of the main process: claims and results, in one transaction each; it tells the event loop by ``news``.
``child/``   a pool process: runs handlers. Imports neither pool nor ledger.

Beside these folders is what several of them share: ``channel`` (between main and pool processes), ``held_locks``, ``events``, …
"""
