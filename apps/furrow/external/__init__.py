"""Workers in other languages: what they may do with jobs of external kinds, whatever carries their words.

Such a worker has a row in ``furrow_worker`` and a lease like any. ``claims`` gives it jobs, ``heartbeats`` keeps its lease and
tells it what to stop, ``reports`` takes log lines and progress, ``ends`` settles its runs. Each run is named by its job and its
attempt, which is the fence: ``fence`` tells a run that goes on from one that is over. docs/other_languages.md is the protocol:
``shapes`` are its bodies, and ``operations`` what is done, over HTTP (:mod:`furrow.api.work`) as over AMQP (``requests``,
:mod:`furrow.bridges.desk`).
"""
