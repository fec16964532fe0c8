"""Schedules: when jobs are submitted by themselves, each time exactly once (docs/schedules.md).

``declared``  what the code declares; ``sync`` writes that into the table.
``rows``      what a row means: its times, its jitter, why it cannot submit.
``plan``      which times are due, and what becomes of those that were missed; ``firing`` makes ticks and jobs of them.
``acting``    what people do: pause, resume, run now, backfill, delete.
``upcoming``  what people see: next times, what became of the last ones, crowded minutes.
"""
