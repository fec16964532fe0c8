"""Server-sent events: the output of one job (``current_job.emit``), read while it runs; and published events.

``views``, ``urls``, ``tokens``, ``reader``  output;
``events``                                   events, for the HTTP API.
"""
