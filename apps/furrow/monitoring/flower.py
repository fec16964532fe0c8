"""Proxy for Flower's pages below ``/flower/``, for people with ``furrow.view_flower``.

Flower listens where only this process reaches it (``FLOWER_URL``, loopback) and wants a secret (``FLOWER_BASIC_AUTH``) that no
browser ever sees. Of its addresses those pass that its pages use; the rest of its API and ``/metrics`` do not. What acts needs
``furrow.act_on_job`` as well, Django's CSRF token, and is written to the audit log; where it concerns a job or a worker of ours
it is done by us, through the database, instead of by a message (:mod:`furrow.monitoring.flower_acts`).
"""

import base64
import http.client
import logging
import re
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed, StreamingHttpResponse
from django.middleware.csrf import CsrfViewMiddleware, get_token
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt

from furrow.admin import site
from furrow.conf import conf
from furrow.monitoring import flower_acts, flower_pages

logger = logging.getLogger(__name__)

PERMISSION = "furrow.view_flower"
#: Seconds that Flower may be silent; it asks workers for up to a second.
TIMEOUT = 15.0
CHUNK = 64 * 1024

_READ = re.compile(r"|workers|worker/.+|tasks|tasks/datatable|task/.+|broker|api/workers|static/.+")
#: Headers that are passed on, by name in lower case; no cookies, no credentials, nothing about the connection.
_ASKED = ("accept", "accept-language", "content-type", "if-modified-since", "if-none-match", "range", "x-requested-with")
_ANSWERED = ("accept-ranges", "cache-control", "content-range", "content-type", "etag", "last-modified")


@csrf_exempt  # checked below, with the token where Flower's script puts it
def flower(request: HttpRequest, path: str = "") -> HttpResponseBase:
    """Any address below ``/flower/``."""
    if not (request.user.is_authenticated and request.user.is_active and request.user.is_staff):
        return redirect_to_login(request.get_full_path(), reverse("admin:login"))
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    if request.method not in ("GET", "HEAD", "POST"):
        return HttpResponseNotAllowed(["GET", "HEAD", "POST"])
    if request.method == "POST":
        _ = request.body  # kept, to be passed on; form fields are read from it
        if refusal := _check_token(request):
            return refusal
        if path != "tasks/datatable":
            acted = flower_acts.act(request, path)
            if acted is not None:
                return acted
    elif not _READ.fullmatch(path):
        raise Http404("Only addresses that Flower's own pages use are passed on.")
    return _pass_on(request, _address(path))


# --- Steps ------------------------------------------------------------------------------------------------------------


def _check_token(request: HttpRequest) -> HttpResponseBase | None:
    """Django's check. Flower's script sends what its cookie ``_xsrf`` holds as ``X-XSRFToken``; that cookie is ours."""
    request.META["HTTP_X_CSRFTOKEN"] = request.META.get("HTTP_X_XSRFTOKEN", "")
    return CsrfViewMiddleware(lambda _: HttpResponse()).process_view(request, lambda: HttpResponse(), (), {})


def _address(path: str) -> str:
    """The path as Flower gets it. Raises Http404 for one that tries to leave."""
    if any(part in (".", "..") for part in path.split("/")) or "\\" in path or not path.isprintable():
        raise Http404("This is no address of Flower.")
    return f"{urlsplit(conf().flower_url).path.rstrip('/')}/{quote(path, safe='/@:,;=+!$*()~-._')}"


def _pass_on(request: HttpRequest, address: str) -> HttpResponseBase:
    """Ask Flower, and answer with what it says."""
    if not conf().flower_url:
        return _away(request, "FLOWER_URL is not set.")
    parts = urlsplit(conf().flower_url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=TIMEOUT)
    query = request.META.get("QUERY_STRING", "")
    headers = {name: value for name in _ASKED if (value := request.headers.get(name))}
    secret = base64.b64encode(conf().flower_basic_auth.encode()).decode()
    headers |= {"Authorization": f"Basic {secret}", "Accept-Encoding": "identity"}
    body = request.body if request.method == "POST" else None
    try:
        connection.request(request.method or "GET", f"{address}?{query}" if query else address, body, headers)
        answer = connection.getresponse()
        return _answer(request, connection, answer)
    except http.client.InvalidURL as error:
        connection.close()
        raise Http404("This is no address of Flower.") from error
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        logger.warning("Flower does not answer: %s", error or type(error).__name__)
        return _away(request, f"It does not answer at {parts.hostname}:{parts.port or 80} ({error or type(error).__name__}).")


def _answer(request: HttpRequest, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse) -> HttpResponseBase:
    if answer.status == 401:
        connection.close()
        return _away(
            request, "It refuses the secret: set FLOWER_BASIC_AUTH to the same value for the web server and for Flower."
        )
    if not 200 <= answer.status <= 599:
        connection.close()
        return _away(
            request, f"It answers with {answer.status}, which is no status of HTTP: is it Flower that FLOWER_URL names?"
        )
    headers = {name: value for name in _ANSWERED if (value := answer.headers.get(name))}
    if answer.headers.get_content_type() == "text/html" and request.method != "HEAD":
        page = flower_pages.rewrite(request, answer.read().decode(errors="replace"), may_act=flower_acts.may_act(request))
        connection.close()
        given = HttpResponse(page, status=answer.status, headers={**headers, "Cache-Control": "private, no-store"})
        given.set_cookie("_xsrf", get_token(request), path=reverse("flower"), samesite="Strict", secure=request.is_secure())
        return given
    return StreamingHttpResponse(_chunks(connection, answer), status=answer.status, headers=headers)


def _chunks(connection: http.client.HTTPConnection, answer: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while chunk := answer.read1(CHUNK):
            yield chunk
    finally:
        connection.close()


def _away(request: HttpRequest, reason: str) -> HttpResponse:
    """A page in the admin's look; a line for a script."""
    if request.headers.get("X-Requested-With") == "XMLHttpRequest":
        return HttpResponse(f"Flower is away. {reason}", status=502, content_type="text/plain; charset=utf-8")
    context = {**site.context(request), "title": "Flower", "reason": reason}
    return render(request, "furrow/monitoring/flower_away.html", context, status=502)
