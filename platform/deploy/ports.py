"""Ports on the loopback interface."""

import socket

from deploy.errors import NoFreePort

_SEARCHED = 300


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


def choose(first: int, remembered: int | None = None) -> int:
    """The remembered port if it is still free, else the first free one from `first` upwards."""
    if remembered is not None and is_free(remembered):
        return remembered
    for port in range(first, first + _SEARCHED):
        if is_free(port):
            return port
    raise NoFreePort(f"No free port between {first} and {first + _SEARCHED - 1} on 127.0.0.1.")
