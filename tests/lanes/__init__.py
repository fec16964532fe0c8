"""``python -m tests.lanes [--record] [--all] [PATH …] [pytest's options]``: the tests in lanes that run at once, each a pytest
with servers of its own.

``make test`` runs it. Which file runs in which lane follows from the seconds that each file took (``durations.json``), so
that all lanes end at about the same time; a new file falls into one by itself.
"""
