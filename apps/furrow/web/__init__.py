"""Middleware of web requests.

``bodies``      how much a request may carry; ``asgi`` asks it before a body is received.
``event_stream``  server-sent events; ``waiters`` bounds the requests that wait.
``problems``  errors for programs, where no page is wanted.
``zone``        the reader's time zone.
``parameters``  wrong ones get an answer that names them.
"""
