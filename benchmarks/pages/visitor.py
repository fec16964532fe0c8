"""A person with a browser, as far as the server can tell: logs in, and asks for pages on one connection."""

import http.client
import http.cookies
import re
import time
from urllib.parse import urlencode, urlsplit

from benchmarks.programs import ProgramFailed


class Visitor:
    """Logged in at a site. Raises ProgramFailed when it answers with anything but a page."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)
        self._cookies: http.cookies.SimpleCookie = http.cookies.SimpleCookie()
        form = self._ask("GET", "/admin/login/")
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)
        if token is None:
            raise ProgramFailed("the login page has no form")
        fields = {"csrfmiddlewaretoken": token[1], "username": user, "password": password, "next": "/admin/"}
        self._ask("POST", "/admin/login/", urlencode(fields), expected=302)

    def first_byte(self, path: str) -> float:
        """Seconds from asking for a page to the first byte of the answer; the rest of it is read as well."""
        begin = time.perf_counter()
        answer = self._send("GET", path, None)
        answer.read(1)
        seconds = time.perf_counter() - begin
        text = answer.read()
        if answer.status != 200:
            raise ProgramFailed(f"{path} answered {answer.status}: {text[-500:]!r}")
        return seconds

    def close(self) -> None:
        """Leave."""
        self._connection.close()

    def _ask(self, method: str, path: str, body: str | None = None, expected: int = 200) -> str:
        answer = self._send(method, path, body)
        text = answer.read().decode()
        for line in answer.headers.get_all("Set-Cookie", []):
            self._cookies.load(line)
        if answer.status != expected:
            raise ProgramFailed(f"{method} {path} answered {answer.status}: {text[-500:]}")
        return text

    def _send(self, method: str, path: str, body: str | None) -> http.client.HTTPResponse:
        cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in self._cookies.items())
        headers = {"Cookie": cookies, "Accept": "text/html"}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        self._connection.request(method, path, body, headers)
        return self._connection.getresponse()
