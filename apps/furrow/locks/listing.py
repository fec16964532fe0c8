"""Holders and waiters, for pages; and the actions of people and the platform on them."""

import datetime as dt
import logging
from collections.abc import Collection
from itertools import islice
from typing import Any, NamedTuple

from furrow.locks import client, line, strange
from furrow.locks.keys import LONGEST_NAME, key
from furrow.plural import counted

logger = logging.getLogger(__name__)

#: Locks that are looked at in one go; waiters of one lock that are listed.
CHUNK, WAITERS = 500, 1_000
#: Characters of an owner.
LONGEST_OWNER = 300
#: What has slots.
_SLOTTED = ("lock", "semaphore", "leader")


class Holder(NamedTuple):
    """Who holds a slot."""

    owner: str  #: see :mod:`furrow.locks.owner`
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
    with client.explained():
        connected = client.client()
        now: tuple[int, int] = connected.time()
        labels = iter(_labels(connected))
        found: list[InUse] = []
        while len(found) < most and (chunk := list(islice(labels, CHUNK))):
            found += _look(connected, chunk, now[0] + now[1] / 1e6)
    return found[:most]


def break_lock(label: str, token: int) -> bool:
    """Renew this holder's lease no more: it gets LockLost, and the next in line gets the lock when it has stopped, when its
    lease ends at the latest. ``False``: nobody holds it under this token.

    Raises:
        LockUnavailable: Redis is not there.
    """
    return bool(strange.run("break", [key("state", label)], [token]))


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


def _labels(connected: Any) -> list[str]:
    """Of the index. What is no label of ours is taken out of it; an index of the wrong type is made anew."""
    if strange.kind(key("index")) not in ("set", "none"):
        strange.mend([key("index")])
        states = [str(one).removeprefix(key("state") + ":") for one in connected.scan_iter(key("state") + ":*", count=1_000)]
        if states:
            connected.sadd(key("index"), *states)
    labels = [str(label) for label in connected.smembers(key("index"))]
    ours = [label for label in labels if _is_label(label)]
    if others := [label for label in labels if not _is_label(label)]:
        connected.srem(key("index"), *others)
        text = f"{counted(len(others), 'member')} of the Redis key {key('index')} named no lock"
        strange.tell("Redis key: index", text, "They were taken out. Find out who writes there.")
    return sorted(ours)


def _is_label(label: str) -> bool:
    kind, _, name = label.partition(":")
    return kind in _SLOTTED and name.isprintable() and 1 <= len(name.encode()) <= LONGEST_NAME


def _look(connected: Any, labels: list[str], now: float) -> list[InUse]:
    """What cannot be read is told of, and left out."""
    pipeline = connected.pipeline(transaction=False)
    for label in labels:
        pipeline.hgetall(key("state", label))
        pipeline.zrange(key("line", label), 0, WAITERS - 1)
    answers = pipeline.execute(raise_on_error=False)
    found, unused = [], []
    for label, state, waiters in zip(labels, answers[::2], answers[1::2], strict=True):
        if not isinstance(state, dict) or not isinstance(waiters, list):
            strange.mend([key("state", label), key("line", label)])
            continue
        lock = _lock(label, state, waiters, now)
        if lock.holders or lock.waiters:
            found.append(lock)
        elif not state:
            unused.append(label)
    if unused:
        connected.srem(key("index"), *unused)  # somebody who takes one just now adds it again
    return found


def _lock(label: str, state: dict[str, str], waiters: list[str], now: float) -> InUse:
    kind, _, name = label.partition(":")
    limit = state.pop("limit", "1")
    holders = []
    for slot, value in state.items():
        try:
            holders.append(_holder(slot, value, now))
        except (ValueError, OverflowError, OSError):
            strange.unreadable(key("state", label), slot)
    living = sorted((one for one in holders if one.left > 0), key=lambda one: one.slot)
    number = int(limit) if limit.isascii() and limit.isdecimal() and len(limit) < 5 else 1
    return InUse(kind, name, number, living, [_owner(waiter) for waiter in waiters])


def _holder(slot: str, value: str, now: float) -> Holder:
    if not strange.readable(slot, value):
        raise ValueError(slot)
    ends, token, since, flag, holder = value.split(" ", 4)
    began = dt.datetime.fromtimestamp(int(since) / 1000, dt.UTC)
    return Holder(_owner(holder), int(token), int(slot), began, int(ends) / 1000 - now, flag == "broken")


def _owner(holder: str) -> str:
    """Of text that anybody may have written: what of it can be shown."""
    return holder.rpartition("/")[0][:LONGEST_OWNER].encode(errors="replace").decode()
