"""Bridges: the messages of queues that other programs own become jobs.

``mapping``   a message's body, headers and properties become arguments and options;
``process``   reads, commits, and only then acknowledges;
``desk``      answers workers in other languages;
``command``   ``manage.py furrow bridges``.
"""
