"""The addresses of the API, for ``include``: ``/health``, ``/jobs``, …, ``/openapi.json`` and ``/docs``."""

import functools
from collections.abc import Callable
from typing import Any

from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, re_path
from django.utils.cache import get_conditional_response, patch_vary_headers, set_response_etag

from furrow.api.auth import most_bytes
from furrow.api.doors import NAME, api
from furrow.web import problems
from furrow.web.bodies import takes_json
from furrow.web.problems import Refused

problems.spoken_below(f"{NAME}:api-root")


def _answering(view: Callable[..., Any]) -> Callable[..., Any]:
    """What all answers have in common: problems for what Ninja answers otherwise, and tags for who asks again."""

    @functools.wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        response = view(request, *args, **kwargs)
        if response.status_code == 405:
            allowed = ", ".join(sorted(response["Allow"].split(", ")))
            response = Refused(405, f"{request.method} is not possible here: use {allowed}.").answer()
            response["Allow"] = allowed
        response.headers.setdefault("Cache-Control", "private, no-cache")
        patch_vary_headers(response, ["Authorization", "Cookie"])
        if request.method == "GET" and response.status_code == 200 and not response.streaming:
            set_response_etag(response)
            return get_conditional_response(request, etag=response["ETag"], response=response)
        return response

    answer.csrf_exempt = True  # type: ignore[attr-defined]
    # What waits, and what a worker is given, must not stand in the transaction of a project's ATOMIC_REQUESTS until the answer.
    answer._non_atomic_requests = set(connections)  # type: ignore[attr-defined]
    return takes_json(most_bytes)(answer)


def _nowhere(request: HttpRequest) -> HttpResponse:
    return Refused(404, f"There is no {request.path[:200]}: openapi.json lists what there is.").answer()


def _wrapped(pattern: Any) -> URLPattern:
    return URLPattern(pattern.pattern, _answering(pattern.callback), pattern.default_args, pattern.name)


_patterns, _app, _namespace = api.urls
# The last of Ninja's is the root, which it answers with a 404 that is a page.
_own = [*map(_wrapped, _patterns[:-1]), path("", _answering(_nowhere), name="api-root"), re_path(r"", _answering(_nowhere))]
urlpatterns = [path("", (_own, _app, _namespace))]
