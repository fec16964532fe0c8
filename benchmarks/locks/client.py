"""``client.py PEER URL NAME SECONDS``: says ``ready``, waits for a line, then locks and unlocks NAME so long; says how often.

Runs in the peer's own environment and imports nothing of the repository but for Furrow itself.
"""

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

#: Seconds until the lock of a dead holder falls free, for all peers.
LEASE = 15


def furrow(url: str, name: str) -> Callable[[], AbstractContextManager[Any]]:
    """With fencing, first come first served, and renewed."""
    import django

    django.setup()
    from furrow import lock

    return lambda: lock(name)


def redis_py(url: str, name: str) -> Callable[[], AbstractContextManager[Any]]:
    """Not renewed; who waits asks ten times a second (its default)."""
    import redis

    client = redis.Redis.from_url(url)
    return lambda: client.lock(name, timeout=LEASE)


def python_redis_lock(url: str, name: str) -> Callable[[], AbstractContextManager[Any]]:
    """Not renewed."""
    import redis
    import redis_lock  # type: ignore[import-not-found]

    client = redis.Redis.from_url(url)
    return lambda: redis_lock.Lock(client, name, expire=LEASE)


def python_redis_lock_renewed(url: str, name: str) -> Callable[[], AbstractContextManager[Any]]:
    """Renewed by a thread for each lock that is held."""
    import redis
    import redis_lock

    client = redis.Redis.from_url(url)
    return lambda: redis_lock.Lock(client, name, expire=LEASE, auto_renewal=True)


PEERS = {
    "furrow": furrow,
    "redis-py": redis_py,
    "python-redis-lock": python_redis_lock,
    "python-redis-lock, renewed": python_redis_lock_renewed,
}


def main() -> None:
    """See the module."""
    peer, url, name, seconds = sys.argv[1:5]
    lock = PEERS[peer](url, name)
    with lock():
        pass
    print("ready", flush=True)
    sys.stdin.readline()
    end, times = time.perf_counter() + float(seconds), 0
    while time.perf_counter() < end:
        with lock():
            times += 1
    print(times, flush=True)


if __name__ == "__main__":
    main()
