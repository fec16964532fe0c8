"""Ports on the loopback interface."""

import socket
import zlib
from pathlib import Path

from deploy import processes
from deploy.errors import NoFreePort

#: A killed process may hold its port for so long (seconds): until the last of its threads is gone.
LINGERING = 2.0
_SEARCHED = 300
_SPREAD = 600


def is_free(port: int) -> bool:
    """Whether a server could listen on 127.0.0.1:`port` now; ports that only linger in TIME_WAIT count as free."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return False
    return True


def spread(first: int, folder: Path) -> int:
    """Where a server of this folder begins to look: other folders begin elsewhere.

    Otherwise one stack would take the port of another's server in the moment that this one is being restarted.
    """
    return first + zlib.crc32(bytes(folder)) % _SPREAD


def choose(first: int, remembered: int | None = None) -> int:
    """The remembered port if it is free, or soon will be, else the first free one from `first` upwards."""
    if remembered is not None and processes.until(lambda: is_free(remembered), LINGERING):
        return remembered
    for port in range(first, first + _SEARCHED):
        if is_free(port):
            return port
    raise NoFreePort(f"No free port between {first} and {first + _SEARCHED - 1} on 127.0.0.1.")
