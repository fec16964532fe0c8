"""Loaded by ``FURROW_MODULES`` into a worker: while there is a file ``FURROW_TEST_NO_FORK``, no process can be started."""

import errno
import os

_fork = os.fork


def _refused() -> int:
    if os.path.exists(os.environ["FURROW_TEST_NO_FORK"]):
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
    return _fork()


os.fork = _refused
