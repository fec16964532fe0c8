"""The network between the campaign's processes and their servers: a TCP proxy for each pair, that can be cut in three ways.

==========  ============================================================================================================
cut         what the two ends see
==========  ============================================================================================================
``reset``   connections are reset; new ones are, too
``hold``    nothing arrives, on old connections and on new ones; after it what was sent arrives (a partition, as TCP sees it)
``half``    the server's end is reset, the client's stays open and silent; after it the client's is reset, too
==========  ============================================================================================================
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Iterable
from typing import Literal

from deploy.services import Service

Cut = Literal["reset", "hold", "half"]
_CHUNK = 256 * 1024


class Link:
    """One proxy. Lives in the loop of :class:`Network`."""

    def __init__(self, upstream: Service) -> None:
        self._upstream = upstream
        self._cut: Cut | None = None
        self._flows = asyncio.Event()
        self._flows.set()
        self._clients: set[asyncio.StreamWriter] = set()
        self._servers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def listen(self) -> int:
        """Begin; returns the port on 127.0.0.1."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    def cut(self, how: Cut) -> None:
        """Cut it."""
        self._cut = how
        if how == "reset":
            _reset(self._clients | self._servers)
        else:
            self._flows.clear()
        if how == "half":
            _reset(self._servers)

    def heal(self) -> None:
        """Undo the cut."""
        if self._cut == "half":
            _reset(self._clients)
        self._cut = None
        self._flows.set()

    def close(self) -> None:
        """Listen no more, and reset what is connected."""
        if self._server is not None:
            self._server.close()
        _reset(self._clients | self._servers)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        try:
            await self._flows.wait()
            if self._cut == "reset":
                raise ConnectionResetError
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self._upstream.port)
            self._servers.add(to_server)
            try:
                await asyncio.gather(self._pump(reader, to_server), self._pump(from_server, writer))
            finally:
                self._servers.discard(to_server)
                _reset([to_server])
        except OSError:
            await self._flows.wait()  # half open: the client is not told yet
        except asyncio.CancelledError:
            pass  # the end; Python 3.11 would print a traceback for each connection
        finally:
            self._clients.discard(writer)
            _reset([writer])

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on until one end closes; then both are closed."""
        while data := await reader.read(_CHUNK):
            await self._flows.wait()
            writer.write(data)
            await writer.drain()
        await self._flows.wait()
        if writer.can_write_eof():
            writer.write_eof()


def _reset(writers: Iterable[asyncio.StreamWriter]) -> None:
    """Close with a RST."""
    for writer in list(writers):
        connection = writer.get_extra_info("socket")
        if connection is not None and not writer.is_closing():
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()


class Network:
    """All links, in a thread with an event loop. Its methods may be called from any other thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._links: dict[tuple[str, str], Link] = {}
        self._thread = threading.Thread(target=self._loop.run_forever, name="prove-network", daemon=True)
        self._thread.start()

    def connect(self, client: str, server: str, upstream: Service) -> int:
        """Lay a link. Returns the port that the client is told."""
        link = self._links[client, server] = Link(upstream)
        return asyncio.run_coroutine_threadsafe(link.listen(), self._loop).result(10)

    def cut(self, how: Cut, *, server: str, client: str | None = None) -> None:
        """Cut the links to this server: all, or one client's."""
        for link in self._chosen(server, client):
            self._loop.call_soon_threadsafe(link.cut, how)

    def heal(self, *, server: str, client: str | None = None) -> None:
        """Undo :meth:`cut`."""
        for link in self._chosen(server, client):
            self._loop.call_soon_threadsafe(link.heal)

    def close(self) -> None:
        """Drop all connections, and end the loop."""
        asyncio.run_coroutine_threadsafe(self._hang_up(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _hang_up(self) -> None:
        for link in self._links.values():
            link.close()
        under_way = asyncio.all_tasks() - {asyncio.current_task()}
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    def _chosen(self, server: str, client: str | None) -> list[Link]:
        return [link for (c, s), link in self._links.items() if s == server and client in (None, c)]
