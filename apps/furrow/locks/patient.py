"""Redis clients with a time limit for a whole answer: redis-py limits each read only, so a server that sends byte by byte,
or an endless line, would keep a thread for ever."""

import math
import time
from typing import Any

import redis


class _Socket:
    """A socket that is read no longer than its connection waits."""

    def __init__(self, sock: Any, connection: Any) -> None:
        self._sock, self._connection = sock, connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def recv(self, size: int) -> bytes:
        """Read.

        Raises:
            TimeoutError: the answer's time is over.
        """
        if time.monotonic() > self._connection.until:
            raise TimeoutError("no whole answer in time")
        found: bytes = self._sock.recv(size)
        return found


class _Patient:
    """Goes before a class of connections."""

    #: By when (monotonic seconds) the answer must be whole that is read now.
    until = math.inf

    def _connect(self) -> _Socket:
        return _Socket(super()._connect(), self)  # type: ignore[misc]

    def read_response(self, *args: Any, timeout: Any = None, **options: Any) -> Any:
        """An answer: within the socket's timeout as a whole, ``timeout`` seconds later if it may take so long to begin."""
        if isinstance(timeout, int | float):
            options["timeout"] = timeout
        self.until = time.monotonic() + self.socket_timeout + options.get("timeout", 0.0)  # type: ignore[attr-defined]
        try:
            return super().read_response(*args, **options)  # type: ignore[misc]
        finally:
            self.until = math.inf


def patient(client: redis.Redis) -> redis.Redis:
    """Let this client, which has a ``socket_timeout``, bound every answer. Before it is used."""
    pool = client.connection_pool
    pool.connection_class = type("PatientConnection", (_Patient, pool.connection_class), {})
    return client
