"""What kills tables that are used as queues, tried on ours: ``python -m benchmarks.cases [name …] [--scale 0.1]``.

Each case is a file with a function ``run``, which measures and returns figures; ``docs/queue_table.md`` shows them.
"""
