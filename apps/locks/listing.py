"""What is held and who waits, for people; and what they, and the platform, may do about it."""

import datetime as dt
import logging
from collections.abc import Collection
from itertools import islice
from typing import Any, NamedTuple

from apps.locks import client, line
from apps.locks.client import AWAY
from apps.locks.errors import LockUnavailable
from apps.locks.keys import key

logger = logging.getLogger(__name__)

#: Locks that are looked at in one go.
CHUNK = 500


class Holder(NamedTuple):
    """Who holds a slot."""

    owner: str  #: see :mod:`apps.locks.owner`
    token: int
    slot: int
    since: dt.datetime
    left: float  #: seconds of its lease
    broken: bool  #: not renewed any more


class InUse(NamedTuple):
    """A lock that somebody holds or waits for."""

    kind: str  #: lock, semaphore, leader
    name: str
    limit: int
    holders: list[Holder]
    waiters: list[str]  #: owners, in order; also of processes that died while they waited

    @property
    def label(self) -> str:
        """As in Redis and in errors."""
        return f"{self.kind}:{self.name}"


def in_use(most: int = 1_000) -> list[InUse]:
    """Locks that are held or waited for, by label; at most so many.

    Raises:
        LockUnavailable: Redis is not there.
    """
    try:
        connected = client.client()
        now: tuple[int, int] = connected.time()
        labels = iter(sorted(str(label) for label in connected.smembers(key("index"))))
        found: list[InUse] = []
        while len(found) < most and (chunk := list(islice(labels, CHUNK))):
            found += _look(connected, chunk, now[0] + now[1] / 1e6)
    except AWAY as error:
        raise LockUnavailable(f"Redis is not there ({error}): see REDIS_URL.") from error
    return found[:most]


def break_lock(label: str, token: int) -> bool:
    """Renew this holder's lease no more: it gets LockLost, and the next in line gets the lock when it has stopped, when its
    lease ends at the latest. ``False``: nobody holds it under this token.

    Raises:
        LockUnavailable: Redis is not there.
    """
    return bool(client.run("break", [key("state", label)], [token]))


def free(owners: Collection[str]) -> int:
    """Give back what these owners hold, which are known to be dead; how many.

    Raises:
        LockUnavailable: Redis is not there.
    """
    dead = [(lock, holder) for lock in in_use(most=1_000_000) for holder in lock.holders if holder.owner in owners]
    for lock, holder in dead:
        line.release(lock.label, "", holder.token)
        logger.warning("%s is free: its holder %s is dead.", lock.label, holder.owner)
    return len(dead)


def _look(connected: Any, labels: list[str], now: float) -> list[InUse]:
    pipeline = connected.pipeline(transaction=False)
    for label in labels:
        pipeline.hgetall(key("state", label))
        pipeline.zrange(key("line", label), 0, -1)
    answers = pipeline.execute()
    states, lines = answers[::2], answers[1::2]
    found = [_lock(label, state, waiters, now) for label, state, waiters in zip(labels, states, lines, strict=True)]
    unused = [lock.label for lock in found if not lock.holders and not lock.waiters]
    if unused:
        connected.srem(key("index"), *unused)  # somebody who takes one just now adds it again
    return [lock for lock in found if lock.holders or lock.waiters]


def _lock(label: str, state: dict[str, str], waiters: list[str], now: float) -> InUse:
    kind, _, name = label.partition(":")
    limit = int(state.pop("limit", 1))
    holders = [_holder(int(slot), value, now) for slot, value in state.items()]
    living = sorted((one for one in holders if one.left > 0), key=lambda one: one.slot)
    return InUse(kind, name, limit, living, [_owner(waiter) for waiter in waiters])


def _holder(slot: int, value: str, now: float) -> Holder:
    ends, token, since, flag, holder = value.split(" ", 4)
    began = dt.datetime.fromtimestamp(int(since) / 1000, dt.UTC)
    return Holder(_owner(holder), int(token), slot, began, int(ends) / 1000 - now, flag == "broken")


def _owner(holder: str) -> str:
    return holder.rpartition("/")[0]
