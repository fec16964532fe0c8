"""``manage.py furrow jobs``: the admin's powers on the command line.

``source`` is what the commands ask: ``here`` answers from the project's database, as an ``actor``; ``there`` over ``http`` from
another project (``remote`` reads the options). ``output`` prints tables for people and JSON for programs; ``rows`` turns the
JSON of jobs into cells. ``words``, ``choosing`` and ``intermixed`` read the command line. One file for each group of commands:
``submitting``, ``looking`` (kinds, list, show, stats), ``tailing`` (with ``following``), ``acting`` (cancel, retry, …, pause,
resume), ``workflows`` (with ``graph``, which draws one). ``schedules`` is ``furrow schedules``. All but ``here``, ``actor`` and
``schedules`` work where there is no project.
"""
