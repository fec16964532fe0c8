"""Redis keys and channels of locks, each from one function; and which names are allowed."""

from furrow.locks.errors import LockError

PREFIX = "furrow:lock:"
#: Bytes of UTF-8.
LONGEST_NAME = 200


def key(part: str, label: str = "") -> str:
    """A key. ``part``: ``state``, ``line`` or ``rate`` of the lock with this label; ``epoch`` and ``index``, of all locks;
    ``wake``, the channel of the waiter with this label."""
    return f"{PREFIX}{part}:{label}" if label else PREFIX + part


def of_lock(label: str) -> list[str]:
    """KEYS of the scripts that move a lock: its state, its line, the epoch and the index of all locks."""
    return [key("state", label), key("line", label), key("epoch"), key("index")]


def label(kind: str, name: object) -> str:
    """``lock:orders``: what is locked, with its kind (``lock``, ``semaphore``, ``leader``, ``rate``).

    Raises:
        LockError: the name cannot be one.
    """
    if not isinstance(name, str):
        raise LockError(f"name: {name!r} is a {type(name).__name__}: a {kind}'s name is text, such as 'order:7'.")
    if not name.isprintable():
        raise LockError(f"name: {name[:50]!r} has characters that cannot be printed: leave them out of a {kind}'s name.")
    if not 1 <= (size := len(name.encode())) <= LONGEST_NAME:
        raise LockError(
            f"name: {name[:50]!r} cannot be a {kind}'s name, with {size:,} bytes: give it 1 to {LONGEST_NAME}, such as a hash."
        )
    return f"{kind}:{name}"
