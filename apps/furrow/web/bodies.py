"""Limits of request bodies: who may send one, and how large, decided before a byte is read.

Django reads a form, files included, as soon as somebody asks for its CSRF token; so the view's own checks come too late to keep
a stranger from filling the disk. The middleware here decides by ``Content-Length`` and by who is logged in. Views that take
files say so, and how large (:func:`takes_files`); everywhere else files are left out.
"""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.files.uploadhandler import FileUploadHandler, SkipFile
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import render
from django.template.defaultfilters import filesizeformat
from django.utils.datastructures import MultiValueDict

from furrow.conf import conf
from furrow.web import problems

#: What who is not logged in may send (bytes): the form of the login has some hundred.
ANONYMOUS = 16 * 1024

Bytes = Callable[..., int]


def takes_files(most: Bytes) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Marks a view that takes files. ``most`` gets the request and the address's parameters and returns how many bytes all
    files may have; it raises what the view would raise for who may not send any."""

    def mark(view: Callable[..., Any]) -> Callable[..., Any]:
        view.takes_files = most  # type: ignore[attr-defined]
        return view

    return mark


def takes_json(most: Callable[[HttpRequest], int]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Marks a view that knows its callers otherwise than by a login. ``most`` gets the request and returns how many bytes this
    caller may send; 0: the caller is treated as who is not logged in."""

    def mark(view: Callable[..., Any]) -> Callable[..., Any]:
        view.most_bytes = most  # type: ignore[attr-defined]
        return view

    return mark


class BodyMiddleware:
    """Refuses bodies that are too large: 413; and those whose length nobody says beforehand: 411. Belongs before
    ``CsrfViewMiddleware``."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        _withhold(request)
        return self._get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: dict[str, Any]) -> HttpResponse | None:
        """Django's hook: the address is known, and nothing has been read."""
        _hand_out(request)
        try:
            return refusal(request, view, kwargs)
        except Exception as error:
            _withhold(request)
            if isinstance(error, (OperationalError, InterfaceError)) and problems.are_spoken(request):
                return problems.database_away()
            raise


def refusal(request: HttpRequest, view: Any, kwargs: dict[str, Any]) -> HttpResponse | None:
    """The answer to a body that is not taken; ``None`` for one that is, and for a request without one.

    Raises:
        PermissionDenied: the view takes files, and none from this user.
    """
    if "HTTP_TRANSFER_ENCODING" in request.META:
        return _refuse(request, 411, "Chunked bodies are not accepted: send Content-Length.")
    length = _length(request)
    if not length:
        return None
    if hasattr(view, "most_bytes") and (most := view.most_bytes(request)):
        if length > most:
            return _refuse(request, 413, f"{_has(length)}; this address accepts at most {_size(most)}.")
        return None
    user = getattr(request, "user", None)
    if user is None or not (user.is_authenticated and user.is_active and user.is_staff):
        if length > ANONYMOUS:
            return _refuse(
                request, 413, f"{_has(length)}; without a login at most {_size(ANONYMOUS)} are accepted: log in first."
            )
        request.upload_handlers = [NoFiles(request)]
        return None
    form: int | None = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    files = min(view.takes_files(request, **kwargs), conf().max_request_bytes) if hasattr(view, "takes_files") else 0
    if not files:
        request.upload_handlers = [NoFiles(request)]
    if form is not None and length > form + files:
        return _refuse(
            request, 413, f"{_has(length)}; this address accepts at most {_size(form + files)}: {_limits(form, files)}."
        )
    return None


class NoFiles(FileUploadHandler):
    """Leaves files out: nothing of them is kept."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """Not this one."""
        raise SkipFile

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Nothing is received."""

    def file_complete(self, file_size: int) -> None:
        """There is no file."""


# --- Steps ------------------------------------------------------------------------------------------------------------


def _withhold(request: Any) -> None:
    """Until its view takes it, the request has an empty form: Django's pages for 403, 404 and 500 look for a CSRF token in the
    form, and would read all of the body."""
    request._post, request._files = QueryDict(), MultiValueDict()


def _hand_out(request: Any) -> None:
    del request._post, request._files


def _length(request: HttpRequest) -> int:
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0


def _limits(form: int, files: int) -> str:
    texts = f"{_size(form)} for its texts"
    if not files:
        return f"{texts}, and no files"
    return f"{texts}, {_size(files)} for files (a file FURROW_MAX_UPLOAD_BYTES, all of them FURROW_MAX_REQUEST_BYTES)"


def _has(length: int) -> str:
    return f"This request has {_size(length)}"


def _size(number: int) -> str:
    return filesizeformat(number).replace("\xa0", " ")


def _refuse(request: HttpRequest, status: int, reason: str) -> HttpResponse:
    if problems.are_spoken(request):
        return problems.Refused(status, reason).answer()
    return render(request, "furrow/refused.html", {"reason": reason}, status=status)
