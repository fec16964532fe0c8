"""Health of RabbitMQ, Redis and Flower, checked in the background, so that no page waits for them."""

import datetime as dt
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass

from furrow.conf import conf
from furrow.errors import BrokerError, Unserved
from furrow.locks.wakeup import wake
from furrow.rabbitmq.broker import Publisher

#: Seconds for which an answer is good enough, for which Flower may take its time, and for which the first page waits.
FRESH, FLOWER, FIRST = 5.0, 2.0, 0.2


@dataclass(frozen=True)
class Health:
    """How one of them is."""

    name: str
    #: What is wrong; empty when it answers, ``None`` while that is not known.
    trouble: str | None = None
    #: Since when this process has known that.
    since: dt.datetime | None = None
    #: How long it took to answer.
    seconds: float = 0.0


def rabbitmq() -> str:
    """What is wrong with RabbitMQ; empty when it answers."""
    publisher = Publisher()
    try:
        publisher.depth(conf().queues[0])
    except Unserved:  # it answers; the dispatcher names what is wrong with that queue
        return ""
    except BrokerError as error:
        return f"RabbitMQ does not answer: {str(error).rstrip('.')}."
    finally:
        publisher.close()
    return ""


def redis() -> str:
    """What is wrong with Redis; empty when it answers."""
    return "" if not conf().redis_url or wake() else "Redis does not answer; jobs are dispatched up to a second later."


def flower() -> str:
    """What is wrong with Flower; empty when it answers, whatever it says."""
    try:
        with urllib.request.urlopen(conf().flower_url.rstrip("/") + "/healthcheck", timeout=FLOWER):  # noqa: S310
            return ""
    except urllib.error.HTTPError as error:
        return "" if error.code < 500 else f"Flower answers with an error ({error.code})."
    except (OSError, ValueError) as error:
        return f"Flower does not answer: {getattr(error, 'reason', error)}."


class Watch:
    """Keeps the newest answers; asks again when somebody looks and they are not fresh."""

    def __init__(self, checks: dict[str, Callable[[], str]]) -> None:
        self._checks = checks
        self._found = {name: Health(name) for name in checks}
        self._asked = 0.0
        self._lock = threading.Lock()

    def look(self) -> list[Health]:
        """What is known. The first look waits a moment."""
        with self._lock:
            first = not self._asked
            stale = time.monotonic() - self._asked > FRESH or first
            if stale:
                self._asked = time.monotonic()
        if stale:
            threads = [threading.Thread(target=self._ask, args=[name], daemon=True) for name in self._checks]
            deadline = time.monotonic() + FIRST
            for thread in threads:
                thread.start()
            for thread in threads if first else []:
                thread.join(max(0.0, deadline - time.monotonic()))
        return list(self._found.values())

    def _ask(self, name: str) -> None:
        begin = time.monotonic()
        try:
            trouble = self._checks[name]()
        except Exception as error:
            trouble = f"{name} could not be asked: {type(error).__name__}: {error}"
        before = self._found[name]
        same = before.since is not None and bool(before.trouble) == bool(trouble)
        since = before.since if same else dt.datetime.now(dt.UTC)
        self._found[name] = Health(name, trouble, since, time.monotonic() - begin)


_watches: dict[tuple[bool, bool], Watch] = {}


def healths() -> list[Health]:
    """RabbitMQ; Redis and Flower if there are such."""
    there = bool(conf().redis_url), bool(conf().flower_url)
    checks = {"RabbitMQ": rabbitmq} | ({"Redis": redis} if there[0] else {}) | ({"Flower": flower} if there[1] else {})
    return _watches.setdefault(there, Watch(checks)).look()
