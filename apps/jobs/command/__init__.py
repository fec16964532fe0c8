"""``manage.py jobs``: the powers of the admin on a command line.

``actor`` says as whom it acts; ``output`` prints tables for people and JSON for programs; ``rows`` turns jobs into either.
One file for each group of commands: ``submitting``, ``looking`` (kinds, list, show, stats), ``following`` (tail, and waiting for
an end), ``acting`` (cancel, retry, run-now, …, pause, resume).
"""
