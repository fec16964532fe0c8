"""Take a slot of a lock, at once or from its wait queue. No polling: whoever releases a slot hands it to the next waiter.

A thread that waits listens on a channel of its own, and is told all that a holder must know: it asks for nothing more. Those
whose connection is gone are passed over; a process that is frozen loses its turn when the lease that it was given is over, as
any frozen holder does; and each one looks by itself when the lease of the present holder should be over.
"""

import itertools
import logging
import os
import re
import secrets
import threading
import time

import redis

from furrow.locks import client, epoch, keeper, strange
from furrow.locks.client import AWAY
from furrow.locks.conf import times
from furrow.locks.errors import LockUnavailable, NotAcquired
from furrow.locks.keeper import Holding, Keeper
from furrow.locks.keys import key, of_lock

logger = logging.getLogger(__name__)

#: Seconds after which a waiting thread looks up, so that what is raised in it from outside is raised soon. Redis is not asked.
SLICE = 1.0

#: What a waiter is told (``serve`` in common.lua): the number in its name, token, slot, now. Anybody can publish there.
_GIVEN = re.compile(r"(\d{1,15}) (\d{1,19}) (\d{1,4}) (\d{1,15})", re.ASCII)

_numbers = itertools.count(1)
_mine = threading.local()


def take(label: str, limit: int, timeout: float | None) -> Holding:
    """Take a slot; ``timeout``: seconds to wait, 0 to try only, ``None`` for as long as it takes.

    Raises:
        NotAcquired: others held it all the time.
        LockUnavailable: Redis was not there all the time, or, without a timeout, for the length of a lease; at once where the
            settings name none.
        LockError: this thread holds it already.
    """
    keep = keeper.current()
    keep.refuse_again(label)
    client.client()  # where the settings name no Redis there is nothing to wait for
    waiter = _waiter()
    attempt = _Attempt(label, limit, waiter, keep)
    try:
        if timeout == 0 or not waiter.listens():
            holding = attempt.at_once(timeout)
            if holding is not None:
                return holding
        return attempt.in_line(timeout)
    except NotAcquired:
        if timeout != 0:
            attempt.leave()
        raise
    except BaseException:  # interrupted, perhaps in the middle of an answer
        waiter.close()
        attempt.leave()
        raise


def give_back(holding: Holding) -> None:
    """Give a slot back. When Redis is not there it falls free at the end of its lease."""
    try:
        release(holding.label, holding.holder, holding.token)
    except LockUnavailable as error:
        logger.warning("%s was not given back, and falls free when its lease ends: %s", holding.label, error)


def release(label: str, holder: str, token: int | str) -> bool:
    """Run the script; an empty holder or token means any. Whether something was held.

    Raises:
        LockUnavailable: Redis is not there.
    """
    return bool(strange.run("release", of_lock(label), [holder, token, label, int(times().lease * 1000)]))


class _Attempt:
    """One wish to hold a lock."""

    def __init__(self, label: str, limit: int, waiter: "_Waiter", keep: Keeper) -> None:
        self.label, self.limit, self._waiter, self._keeper = label, limit, waiter, keep
        self._number = str(next(_numbers))
        self.holder = f"{keep.owner}/{waiter.name}.{self._number}"
        self._began = time.monotonic()
        self._ticket = ""
        #: When we last looked: by our clock, before we asked; by Redis', in milliseconds.
        self._looked, self._looked_at = 0.0, float("inf")
        self._away_since: float | None = None
        self._look_in = 0.0  # seconds
        self._holding: Holding | None = None

    def at_once(self, timeout: float | None) -> Holding | None:
        """Without standing in line; ``None``: it is held."""
        try:
            holding = self._ask()
        except LockUnavailable:
            if timeout == 0:
                raise
            return None
        if holding is None and timeout == 0:
            raise NotAcquired(f"{self.label} is held by others.")
        return holding

    def in_line(self, timeout: float | None) -> Holding:
        """Wait for it."""
        self._ticket = "0"
        while True:
            left = self._left(timeout)
            holding = self._ask_patiently(timeout)
            if holding is not None:
                return holding
            if left <= 0:
                raise NotAcquired(f"{self.label} was held by others for {timeout:g} s.")
            told = self._waiter.wait(min(left, self._look_in))
            if told is not None and (said := _GIVEN.fullmatch(told)) and (holding := self._given(*said.groups())) is not None:
                return holding

    def _left(self, timeout: float | None) -> float:
        return float("inf") if timeout is None else self._began + timeout - time.monotonic()

    def _ask(self) -> Holding | None:
        lease = int(times().lease * 1000)
        keys, arguments = of_lock(self.label), [self.holder, lease, self.limit, self._ticket, self.label]
        asked = time.monotonic()
        with client.explained():
            answer = strange.run("acquire", keys, arguments)
            if answer[0] == -1:
                epoch.begin(int(answer[1]))
                asked = time.monotonic()
                answer = strange.run("acquire", keys, arguments)
            if answer[0] == 1:
                return self._hold(answer[1], answer[2], asked + times().lease)
            if answer[0] == -1:
                raise LockUnavailable("Redis restarted empty twice within a moment: try again later.")
            self._look_in = answer[1] / 1000 + 0.01
            self._ticket = answer[2]
            self._looked, self._looked_at = asked, answer[3]
        return None

    def _given(self, number: str, token: str, slot: str, at: str) -> Holding | None:
        """What we were told is ours (see ``serve`` in common.lua); ``None``: it was meant for an earlier wait, or is stale.

        Its lease began when it was given, not when we heard of it: as long after our last look as Redis' clock says, and not
        later than now.
        """
        if number != self._number or int(at) < self._looked_at:
            return None
        after = (int(at) - self._looked_at - 1) / 1000
        until = min(self._looked + after, time.monotonic()) + times().lease
        return None if time.monotonic() >= until - times().margin else self._hold(token, slot, until)

    def _hold(self, token: str, slot: str, until: float) -> Holding:
        self._holding = Holding(self.label, self.holder, int(token), int(slot), until, ticket=int(self._ticket or 0))
        self._keeper.keep(self._holding)
        return self._holding

    def _ask_patiently(self, timeout: float | None) -> Holding | None:
        """Ask, while listening. When Redis is away, and will be given more time, ask again in a moment."""
        try:
            self._waiter.listen()
            holding = self._ask()
            self._away_since = None
            return holding
        except (LockUnavailable, *AWAY) as error:
            now = time.monotonic()
            self._away_since = self._away_since or now
            if self._left(timeout) <= 0 or (timeout is None and now - self._away_since > times().lease):
                if isinstance(error, LockUnavailable):
                    raise
                raise LockUnavailable(
                    f"Redis is unreachable ({error}): check FURROW['REDIS_URL'], or try again later."
                ) from error
            self._look_in = 0.2
            return None

    def leave(self) -> None:
        """Take it back: out of the line, and out of what the line may have given meanwhile."""
        if self._holding is not None:
            self._keeper.let_go(self._holding)
        try:
            release(self.label, self.holder, "")
        except LockUnavailable as error:
            logger.debug("not left the line of %s: %s", self.label, error)


class _Waiter:
    """A thread's ear: a subscription of its own, kept from one wait to the next."""

    def __init__(self) -> None:
        self.name = secrets.token_hex(6)
        self._subscription: redis.client.PubSub | None = None
        self._never = threading.Event()

    def listens(self) -> bool:
        """It has a connection already."""
        return self._subscription is not None

    def listen(self) -> None:
        """Be told from now on."""
        if self._subscription is None:
            subscription = client.client().pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
            subscription.subscribe(key("wake", self.name))
            subscription.get_message(timeout=times().patience)
            self._subscription = subscription

    def wait(self, seconds: float) -> str | None:
        """Wait until told that it is our turn, at most so long; what we were told."""
        end = time.monotonic() + max(0.0, seconds)
        try:
            while (left := end - time.monotonic()) > 0 and self._subscription is not None:
                message = self._subscription.get_message(timeout=min(left, SLICE))
                if message is not None:
                    return str(message["data"])
        except AWAY:
            self.close()
            return None
        if self._subscription is None:
            self._never.wait(max(0.0, end - time.monotonic()))
        return None

    def close(self) -> None:
        """Let go of the connection."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.close()


def _waiter() -> _Waiter:
    waiter: _Waiter | None = getattr(_mine, "waiter", None)
    if waiter is None:
        waiter = _mine.waiter = _Waiter()
    return waiter


def _forget() -> None:
    global _mine
    _mine = threading.local()


os.register_at_fork(after_in_child=_forget)
