"""Furrow against its peers, in turn, in one run, on the same private servers.

``__main__``      ``python -m benchmarks quick | full | smoke``: the rounds, in alternating order; ``page``: the page.
``catalogue``     who takes part: how each peer is started, and how many jobs it gets. ``peer``: what there is to say of one.
``peers/``        one file a peer: its settings, its no-op job, and a client that submits. Runs in the peer's own interpreter.
``environments``  the pinned packages of those interpreters, Node.js among them.
``client``        the loop in which a peer's client takes orders; ``counter`` is how jobs are counted, alike for all.
``trial``         one peer, one round: what is measured, and from when to when.
``meter``         processor time, transactions, bytes in the database.
``report``        medians, the JSON file, the table, the ratios; ``page`` and ``plot`` put them into the documentation.
``servers``       PostgreSQL (fsync on), RabbitMQ and Redis of their own; ``programs`` starts and ends processes.
"""
