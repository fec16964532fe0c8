"""gunicorn's settings: ``gunicorn -c python:config.web_server config.wsgi``. A client that is slow, or silent, keeps no thread.

A thread that reads a request waits for it as long as the client likes, so a handful of clients that send a byte now and then
would be all that the site has time for. Here a request has a time in which it must have come.
"""

import contextlib
import socket
import struct
import time
from typing import Any

from gunicorn.workers.gthread import _DEFER, TConn, ThreadWorker

#: Seconds in which the headers must have come.
HEADERS = 5.0
#: Seconds in which the body must have come, and bytes a second by which a long one has more.
BODY, SLOWEST = 20.0, 8 * 1024
#: Seconds that a client may take nothing of the answer.
SILENCE = 60


class Worker(ThreadWorker):
    """gunicorn's worker with threads, which ends the reading of a request that does not come in its time."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._due: dict[TConn, float] = {}

    def handle(self, conn: TConn) -> Any:
        """One request, in a thread. A connection on which nothing has come yet gets none."""
        if not conn.initialized:
            if not conn.wait_for_data(0.0):
                return _DEFER
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SILENCE, 0))
        self._due[conn] = time.monotonic() + HEADERS
        try:
            return super().handle(conn)
        finally:
            self._due.pop(conn, None)

    def handle_request(self, req: Any, conn: TConn) -> Any:
        """The headers have come."""
        length = next((text for name, text in req.headers if name == "CONTENT-LENGTH"), "0")
        self._due[conn] = time.monotonic() + BODY + int(length) / SLOWEST
        return super().handle_request(req, conn)

    def murder_pending(self) -> None:
        """Once a second: who reads from a connection whose time is over gets its end; the answer can still be written."""
        super().murder_pending()
        now = time.monotonic()
        for conn, due in list(self._due.items()):
            if now > due:
                self._due.pop(conn, None)
                with contextlib.suppress(OSError):
                    conn.sock.shutdown(socket.SHUT_RD)


worker_class = Worker
#: The longest line of a request, with its address (bytes); headers, and the longest of them.
limit_request_line = 8_190
limit_request_fields = 60
limit_request_field_size = 8_190
control_socket_disable = True
