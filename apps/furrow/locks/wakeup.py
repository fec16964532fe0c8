"""Wake-ups: a submit tells the dispatcher that a job may be due. Best effort; the dispatcher polls as well.

A wake-up may be lost at any time (Redis is down, nobody listens): that costs at most one poll interval, never a job.
"""

import logging
import threading
import time

import redis

from furrow.locks.conf import redis_url
from furrow.locks.patient import patient

logger = logging.getLogger(__name__)

CHANNEL = "furrow:wake"
#: What is sent when jobs of workflows have ended and nothing else is new; everything else means that jobs may be due.
MOVES = b"moves"
#: After a failure nothing is sent for this long (seconds), so that a dead Redis does not slow every submit.
QUIET = 2.0
#: Wake-ups that are taken for one: who sends more, and goes on, must not keep the dispatcher.
MOST = 1_000

_lock = threading.Lock()
_client: redis.Redis | None = None
_quiet_until = 0.0


def client(timeout: float = 0.25) -> redis.Redis:
    """A client for ``FURROW['REDIS_URL']`` with short timeouts (seconds); connects when first used."""
    return patient(
        redis.Redis.from_url(
            redis_url(), socket_timeout=timeout, socket_connect_timeout=timeout, health_check_interval=30, retry=None
        )
    )


def wake(why: bytes = b"") -> bool:
    """Wake the dispatcher; ``False`` when that could not be done (the dispatcher's poll will do)."""
    global _client, _quiet_until
    if time.monotonic() < _quiet_until or not redis_url():
        return False
    try:
        with _lock:
            _client = _client or client()
        _client.publish(CHANNEL, why)
    except Exception as error:  # whatever answers there: the job is committed
        _quiet_until = time.monotonic() + QUIET
        logger.warning("No wake-up sent, Redis is unreachable (%s); the dispatcher's poll finds the job.", error)
        return False
    return True


class Waiter:
    """The dispatcher's end: waits for a wake-up, at most for a time, also when Redis is away."""

    def __init__(self) -> None:
        #: The last wait was ended by wake-ups for :data:`MOVES` alone.
        self.for_moves = False
        self._subscription: redis.client.PubSub | None = None
        self._retry_at = 0.0
        self._never = threading.Event()

    def wait(self, seconds: float) -> bool:
        """Wait for a wake-up, at most ``seconds``; ``True`` when one came. Wake-ups that came before count."""
        self.for_moves = False
        try:
            subscription = self._subscribed()
            if subscription is None:
                return self._never.wait(seconds)
            message = subscription.get_message(timeout=seconds)
            woken, others = message is not None, 0
            for _ in range(MOST):
                if message is None:
                    break
                others += message["data"] != MOVES
                message = subscription.get_message(timeout=0)
            self.for_moves = woken and not others
        except Exception as error:  # whatever answers there: nobody needs it
            logger.warning("Redis is unreachable (%s); polling instead of waiting for wake-ups.", error)
            self.close()
            self._retry_at = time.monotonic() + QUIET
            return self._never.wait(seconds)
        return woken

    def _subscribed(self) -> "redis.client.PubSub | None":
        if self._subscription is None and time.monotonic() >= self._retry_at and redis_url():
            subscription = client(timeout=1.0).pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
            subscription.subscribe(CHANNEL)
            subscription.get_message(timeout=1.0)
            self._subscription = subscription
        return self._subscription

    def close(self) -> None:
        """Let go of the connection."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.close()
