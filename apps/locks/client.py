"""The connection to Redis that the locks share in a process, and the scripts that run there."""

import logging
import os
import threading
from pathlib import Path
from typing import Any

import redis
from django.conf import settings
from django.core.signals import setting_changed

from apps.locks.conf import times
from apps.locks.errors import LockUnavailable

logger = logging.getLogger(__name__)

#: What redis-py raises when Redis is not there, is loading its data, or does not answer in time.
AWAY = (redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError, redis.ReadOnlyError, OSError)

_SCRIPTS = Path(__file__).parent / "scripts"
_mutex = threading.Lock()
_client: redis.Redis | None = None
_scripts: dict[str, Any] = {}


def client() -> redis.Redis:
    """This process's client: a pool of connections."""
    global _client
    if _client is not None:
        return _client
    with _mutex:
        if _client is None:
            patience = times().patience
            _scripts.clear()
            _client = redis.Redis.from_url(
                settings.REDIS_URL,
                socket_timeout=patience,
                socket_connect_timeout=patience,
                health_check_interval=30,
                retry=None,
                decode_responses=True,
            )
        return _client


def run(script: str, keys: list[str], args: list[Any]) -> Any:
    """Run a script (its contract is on top of its file). Tried again once when the connection was stale.

    Raises:
        LockUnavailable: Redis is not there or does not answer in time.
    """
    try:
        try:
            return _script(script)(keys=keys, args=args)
        except redis.ConnectionError:  # the server restarted: the next connection is a new one
            client().connection_pool.disconnect(inuse_connections=False)
            return _script(script)(keys=keys, args=args)
    except AWAY as error:
        raise LockUnavailable(f"Redis is not there ({error}): see REDIS_URL, or try again later.") from error


def _script(name: str) -> Any:
    connected = client()
    if name not in _scripts:
        source = (_SCRIPTS / f"{name}.lua").read_text()
        if "slots_of(" in source:
            source = (_SCRIPTS / "common.lua").read_text() + source
        _scripts[name] = connected.register_script(source)
    return _scripts[name]


def _forget(*, setting: str = "REDIS_URL", **kwargs: object) -> None:
    global _client, _mutex
    if setting in ("REDIS_URL", "FURROW"):
        _client, _mutex = None, threading.Lock()


setting_changed.connect(_forget)
os.register_at_fork(after_in_child=_forget)
