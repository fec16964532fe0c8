"""An assistant: a session of the official client, with ``manage.py furrow mcp`` by standard input and output, or over HTTP."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp import Client, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

from tests.services import RUN
from tests.stack import database_url


class Session:
    """Calls tools, one after the other."""

    def __init__(self, portal: BlockingPortal, client: Client) -> None:
        self._portal, self._client = portal, client

    def tools(self) -> list[Any]:
        """What the server offers."""
        return self._portal.call(self._client.list_tools).tools

    def text(self, name: str, **arguments: Any) -> tuple[str, bool]:
        """What a tool answers, and whether that is an error."""
        result: Any = self._portal.call(self._client.call_tool, name, json.loads(json.dumps(arguments, default=str)))
        [content] = result.content
        return content.text, result.is_error

    def whole(self, name: str, **arguments: Any) -> Any:
        """The whole answer."""
        text, is_error = self.text(name, **arguments)
        assert not is_error, text
        return json.loads(text)

    def ask(self, name: str, **arguments: Any) -> Any:
        """What the tool found."""
        return self.whole(name, **arguments)["answer"]

    def refused(self, name: str, **arguments: Any) -> str:
        """Why it does nothing."""
        text, is_error = self.text(name, **arguments)
        assert is_error, text
        return text


@contextmanager
def session(*options: str, command: list[str] | None = None, **environ: str) -> Iterator[Session]:
    """A running server; ``options`` as on its command line."""
    program, *words = command or [sys.executable, "manage.py", "furrow", "mcp"]
    env = {**os.environ, "DATABASE_URL": database_url(), **environ}
    server = StdioServerParameters(command=program, args=[*words, *options], env=env)
    log = RUN / "log" / "mcp.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("w") as said,
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(Client(stdio_client(server, errlog=said))) as client,
    ):
        yield Session(portal, client)


@contextmanager
def over_http(url: str, secret: str, mode: str = "auto") -> Iterator[Session]:
    """A session with the site at this address, by a token. ``mode``: the age of the protocol that the client speaks."""
    http = httpx2.AsyncClient(headers={"Authorization": f"Bearer {secret}"})
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(http),
        portal.wrap_async_context_manager(Client(streamable_http_client(url, http_client=http), mode=mode)) as client,
    ):
        yield Session(portal, client)
