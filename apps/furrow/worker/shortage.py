"""Errors that say that this process, or the system, has something used up: not the fault of the job or message at hand."""

import errno

_USED_UP = frozenset(
    [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT, errno.EAGAIN, errno.ENOBUFS, errno.ETOOMANYREFS]
)

#: Seconds until a job that no process could take is offered again: so many times the square of how often it went back; at most.
_AGAIN, _AGAIN_LATEST = 0.2, 60.0


def again_in(excused: int) -> float:
    """Seconds after which to offer a job again that went back so often, uncounted: at once, then later each time."""
    return min(_AGAIN * excused**2, _AGAIN_LATEST)


def is_shortage(error: BaseException) -> bool:
    """Descriptors, memory, disk, processes or threads are used up."""
    if isinstance(error, RuntimeError):
        return str(error).startswith("can't start new thread")
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _USED_UP)
