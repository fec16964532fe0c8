"""Schedules: when jobs are submitted by themselves, each time exactly once (docs/schedules.md).

``declared``  what the code declares; ``sync`` writes that into the table.
``rows``      what a row means: its times, its jitter, why it cannot submit.
``plan``      which times are due, and what becomes of those that were missed; ``firing`` makes ticks and jobs of them.
``acting``    what people do: pause, resume, run now, backfill, delete.
``beat``      what Celery's beat has, as schedules; ``as_json`` for programs.
``load``      how many jobs come in each minute of a day.
``upcoming``  what people see: next times, what became of the last ones.
"""
