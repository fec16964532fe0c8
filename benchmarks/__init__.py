"""Furrow against its peers, in turn, in one run, on the same private servers.

``__main__``   ``python -m benchmarks quick | full | smoke``: the rounds, in alternating order.
``catalogue``  who takes part: how each peer is started, and how many jobs it gets.
``peers/``     one file a peer: its settings, its no-op job, and a client that submits. Runs in the peer's own interpreter.
``client``     the loop in which a peer's client takes orders; ``counter`` is how jobs are counted as they run, alike for all.
``trial``      one peer, one round: what is measured, and from when to when.
``meter``      processor time a job.
``report``     medians, the JSON file, the table, the ratios, the page of results.
``servers``    PostgreSQL (fsync on), RabbitMQ and Redis of their own; ``programs`` starts and ends processes.
"""
