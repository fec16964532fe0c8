"""Requests to the HTTP API of a project elsewhere: JSON there and back, refusals in the server's own words.

The certificate is verified (``SSL_CERT_FILE`` names other authorities than the system's); a proxy of the environment is used;
no redirect is followed, since the token would be sent along.
"""

import datetime as dt
import http.client
import json
import re
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.core.management.base import CommandError

from furrow.command.source import Away
from furrow.diagnosis.wording import plain

#: Seconds within which an answer must be there, beyond those that the server is asked to wait; over which a server that asks to
#: come again later is asked again; and between two tries of a submit whose answer was lost.
TIMEOUT, PATIENCE, PAUSE = 30.0, 60.0, 1.0
#: How often a submit is sent whose answer is lost. Its key sees to it that it submits once.
TRIES = 3
#: Bytes that an answer may have.
MOST = 200 * 1024 * 1024
#: Answers of proxies whose server is away.
_GATEWAYS = (502, 503, 504)
#: A clock there that differs less is taken for right (seconds).
_SLACK = 2.0


class Problem(CommandError):
    """The server refuses, and says why; ``fields`` maps each field at fault to the reason and the remedy."""

    def __init__(self, status: int, detail: str, fields: Mapping[str, str], retry_after: float | None) -> None:
        super().__init__(plain(detail))
        self.status, self.fields, self.retry_after = status, fields, retry_after


class Server:
    """The API at a URL, asked with a token. ``say`` tells the user why nothing happens yet."""

    def __init__(self, url: str, token: str, say: Callable[[str], None]) -> None:
        self._url, self._token, self._say = _checked(url), token, say
        self._skew, self._said = 0.0, ""
        secure = urllib.request.HTTPSHandler(context=ssl.create_default_context())
        self._opener = urllib.request.build_opener(secure, _NoRedirects)

    def now(self) -> dt.datetime:
        """The time there, as the last answer had it."""
        return dt.datetime.now(dt.UTC) + dt.timedelta(seconds=self._skew)

    def get(self, path: str, query: Mapping[str, Any] | None = None, *, wait: float = 0.0) -> Any:
        """The answer to a GET; the server may wait for so many seconds."""
        given = {name: value for name, value in (query or {}).items() if value not in (None, "")} | (
            {"wait": wait} if wait else {}
        )
        return self._patiently(f"{path}?{urlencode(given)}" if given else path, None, {}, wait)

    def post(self, path: str, body: Any = None, *, key: str = "") -> Any:
        """The answer to a POST. With a ``key`` it is sent again when its answer is lost."""
        headers = {"Idempotency-Key": key} if key else {}
        content = json.dumps({} if body is None else body).encode()
        for left in reversed(range(TRIES if key else 1)):
            try:
                return self._patiently(path, content, headers, 0.0)
            except Away as error:
                if error.nothing_done:
                    raise
                if not left:
                    raise Away(f"{error} It is not known whether this was done: look before you do it again.") from None
                time.sleep(PAUSE)
        raise AssertionError("the last try ends it")

    def _patiently(self, path: str, content: bytes | None, headers: Mapping[str, str], wait: float) -> Any:
        """The server may be too busy, and say when it is to be asked again; it has done nothing then."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return self._ask(path, content, headers, wait)
            except Problem as problem:
                pause = problem.retry_after
                if problem.status not in (429, 503) or pause is None:
                    raise
                if time.monotonic() + pause > end:
                    raise Away(f"The server is too busy: {problem}", nothing_done=True) from None
                if pause > 2 and str(problem) != self._said:
                    self._said = str(problem)
                    self._say(f"{problem} Asking again in {pause:.0f} s.")
                time.sleep(pause)

    def _ask(self, path: str, content: bytes | None, headers: Mapping[str, str], wait: float) -> Any:
        sent = {"Authorization": f"Bearer {self._token}", "Accept": "application/json", "User-Agent": "furrow-jobs", **headers}
        sent |= {"Content-Type": "application/json"} if content is not None else {}
        request = urllib.request.Request(f"{self._url}/{path}", content, sent)  # noqa: S310 - the scheme was looked at
        end = time.monotonic() + TIMEOUT + wait
        try:
            with self._opener.open(request, timeout=TIMEOUT + wait) as answer:
                return self._read(answer.status, answer.headers, _content(answer, end))
        except urllib.error.HTTPError as error:
            with error:
                return self._read(error.code, error.headers, _content(error, end))
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from None

    def _read(self, status: int, headers: Any, content: bytes) -> Any:
        self._note_time(headers.get("Date"))
        kind, is_json = headers.get_content_type(), headers.get_content_type().endswith("json")
        try:
            value = json.loads(content) if is_json else None
        except (ValueError, RecursionError):
            is_json = False
        if is_json and 200 <= status < 300:
            return value
        if is_json and isinstance(value, dict) and "detail" in value and kind == "application/problem+json":
            raise Problem(status, str(value["detail"]), _fields(value), _seconds(headers.get("Retry-After")))
        if status in _GATEWAYS:
            raise Away(f"The server is unreachable: {self._url} answers {status}, as a proxy does whose server is away.")
        if 300 <= status < 400:
            raise CommandError(
                plain(f"{self._url} leads to {headers.get('Location')}: give the API's own address to --remote.")
            )
        raise CommandError(
            plain(f"{self._url} answers {status} with {kind}, which is not Furrow's API: --remote is its address, as in ")
            + "https://shop.example/api."
        )

    def _note_time(self, date: str | None) -> None:
        try:
            skew = (parsedate_to_datetime(date) - dt.datetime.now(dt.UTC)).total_seconds() if date else 0.0
        except (ValueError, TypeError):
            return
        self._skew = skew if abs(skew) > _SLACK else 0.0

    def _unreachable(self, error: Exception) -> CommandError:
        reason = _reason(error)
        host = urlsplit(self._url).netloc
        if isinstance(reason, ssl.SSLCertVerificationError):
            return CommandError(
                f"The certificate of {host} is not trusted: {reason.verify_message}. If an authority of your own has "
                "signed it, name its certificate's file in SSL_CERT_FILE."
            )
        if isinstance(reason, TimeoutError):
            return Away(f"The server is unreachable: {host} did not answer in time.")
        text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        nothing_done = isinstance(reason, (ConnectionRefusedError, socket.gaierror, ssl.SSLError))
        return Away(plain(f"The server is unreachable: {host}: {text}."), nothing_done=nothing_done)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        return None


def _checked(url: str) -> str:
    """The address without a slash at its end.

    Raises:
        CommandError: it is none.
    """
    try:
        parts = urlsplit(url)
        whole = bool(parts.scheme in ("http", "https") and parts.hostname and parts.port != 0)
        usable = whole and not (parts.query or parts.fragment) and re.fullmatch(r"[\x21-\x7e]+", url) is not None
    except ValueError:
        usable = False
        parts = urlsplit("")
    if "@" in parts.netloc:
        raise CommandError("--remote has a user or a password in it: the API takes a token alone.")
    if not usable:
        raise CommandError(f"--remote {url[:200]!r} is no address of an API: write it as in https://shop.example/api.")
    return url.rstrip("/") if parts.path.strip("/") else f"{url.rstrip('/')}/api"


def _content(answer: Any, end: float) -> bytes:
    """The body, if it comes in time and is not too large."""
    pieces, size = [], 0
    while piece := answer.read1(65_536):
        pieces.append(piece)
        size += len(piece)
        if size > MOST:
            raise CommandError(f"The answer has more than {MOST:,} bytes: ask for less, as with --limit.")
        if time.monotonic() > end:
            raise TimeoutError
    return b"".join(pieces)


def _reason(error: Any) -> Any:
    reason = getattr(error, "reason", None)
    return reason if isinstance(reason, BaseException) else error


def _fields(problem: dict[str, Any]) -> dict[str, str]:
    errors = problem.get("errors")
    found = errors if isinstance(errors, list) else []
    return {str(one.get("field")): plain(one.get("detail")) for one in found if isinstance(one, dict)}


def _seconds(text: str | None) -> float | None:
    return float(text) if text and re.fullmatch(r"\d{1,6}", text) else None
