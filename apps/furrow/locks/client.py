"""Connections to Redis that a process's locks share, and the scripts that run there.

Scripts go over connections of our own, at a third of the price of redis-py's ``execute_command``: that looks before each
command whether an answer lies unread, and measures itself. Here a call that did not read its answer closes its connection.
"""

import hashlib
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import redis
from django.core.signals import setting_changed

from furrow.locks.conf import redis_url, times
from furrow.locks.errors import LockUnavailable
from furrow.locks.patient import patient

logger = logging.getLogger(__name__)

#: What redis-py raises when Redis is not there, is loading its data, does not answer in time, refuses, or is
#: something else that answers nonsense.
NONSENSE = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
AWAY = (redis.RedisError, OSError, *NONSENSE)

_SCRIPTS = Path(__file__).parent / "scripts"
_mutex = threading.Lock()
_client: redis.Redis | None = None
#: Connections that nobody uses just now; as many as there were calls at a time.
_idle: list[Any] = []


def client() -> redis.Redis:
    """This process's client: a pool of connections."""
    global _client
    if _client is not None:
        return _client
    if not redis_url():
        raise LockUnavailable("Locks and rates in code need Redis: set FURROW['REDIS_URL'] (redis://host:6379/0).")
    with _mutex:
        if _client is None:
            patience = times().patience
            _client = patient(
                redis.Redis.from_url(
                    redis_url(),
                    socket_timeout=patience,
                    socket_connect_timeout=patience,
                    health_check_interval=30,
                    retry=None,
                    decode_responses=True,
                    encoding_errors="surrogateescape",  # of bytes that somebody else wrote and that are no text
                    protocol=2,
                )
            )
        return _client


def run(script: str, keys: list[str], args: list[Any]) -> Any:
    """Run a script (its contract is on top of its file). Tried again once when the connection was stale.

    Raises:
        LockUnavailable: Redis is not there, does not answer in time, refuses (it has no memory left, say), or one of the keys
            holds what Furrow did not put there.
    """
    with explained():
        try:
            return _ask(script, keys, args)
        except redis.ConnectionError:  # the server restarted: the next connection is a new one
            _idle.clear()
            return _ask(script, keys, args)


@contextmanager
def explained() -> Iterator[None]:
    """Ask Redis, and understand what it answers.

    Raises:
        LockUnavailable: as :func:`run`.
    """
    try:
        yield
    except redis.ResponseError as error:
        raise LockUnavailable(f"Redis refuses the command ({error}): repair Redis, or check FURROW['REDIS_URL'].") from error
    except (redis.RedisError, OSError) as error:
        raise LockUnavailable(f"Redis is unreachable ({error}): check FURROW['REDIS_URL'], or try again later.") from error
    except NONSENSE as error:
        raise LockUnavailable(
            f"The server at FURROW['REDIS_URL'] does not speak Redis' protocol ({error}): check the URL."
        ) from error


def _ask(script: str, keys: list[str], args: list[Any]) -> Any:
    try:
        connection = _idle.pop()
    except IndexError:
        # Not the pool's make_connection, which counts: after a hundred that failed it would give no more, for good.
        pool = client().connection_pool
        connection = pool.connection_class(**pool.connection_kwargs)
    source, digest = _script(script)
    try:
        try:
            connection.send_command("EVALSHA", digest, len(keys), *keys, *args)
            answer = connection.read_response()
        except redis.exceptions.NoScriptError:
            connection.send_command("EVAL", source, len(keys), *keys, *args)
            answer = connection.read_response()
    except BaseException:  # also what is raised in this thread from outside: the answer must not be taken for the next one's
        connection.disconnect()
        raise
    _idle.append(connection)
    return answer


@cache
def _script(name: str) -> tuple[str, str]:
    """A script, and the digest by which Redis knows it."""
    source = (_SCRIPTS / f"{name}.lua").read_text()
    if "slots_of(" in source:
        source = (_SCRIPTS / "common.lua").read_text() + source
    return source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


def _forget(*, setting: str = "FURROW", **kwargs: object) -> None:
    global _client, _idle, _mutex
    if setting == "FURROW":
        _client, _idle, _mutex = None, [], threading.Lock()


setting_changed.connect(_forget)
os.register_at_fork(after_in_child=_forget)
