"""``manage.py furrow jobs``: the admin's powers on the command line.

``actor`` says as whom it acts; ``output`` prints tables for people and JSON for programs; ``rows`` turns jobs into either.
``words``, ``choosing`` and ``intermixed`` read the command line. One file for each group of commands: ``submitting``,
``looking`` (kinds, list, show, stats), ``tailing`` (with ``following``), ``acting`` (cancel, retry, …, pause, resume).
"""
