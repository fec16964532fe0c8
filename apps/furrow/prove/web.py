"""The door: a WSGI application that is the project's own, and submits when ``POST /prove`` asks for it."""

import random
from collections.abc import Callable, Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application
from django.db import Error, close_old_connections

from furrow.prove.load import submit_something

_project = get_wsgi_application()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The body of the request is a seed; the answer is how many jobs were submitted."""
    if environ["PATH_INFO"] != "/prove":
        return _project(environ, start_response)
    close_old_connections()
    try:
        seed = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        done, status = submit_something(random.Random(seed), 30), "200 OK"  # noqa: S311 - no secret
    except Error:
        done, status = 0, "503 Service Unavailable"
    finally:
        close_old_connections()
    start_response(status, [("Content-Type", "text/plain")])
    return [str(done).encode()]
