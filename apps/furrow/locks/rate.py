"""``rate_limit``: at most so many permits in a stretch of time, over all processes."""

import re
import time
from typing import Self

from furrow.locks import client, epoch, strange
from furrow.locks.errors import LockError, LockUnavailable, RateLimited
from furrow.locks.guard import Guard
from furrow.locks.keys import key
from furrow.locks.line import SLICE

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_RATE = re.compile(r"([1-9]\d{0,6})/([1-9]\d{0,3})?([smhd])")
#: Tokens in a full bucket, at most.
MOST_BURST = 1_000_000


class rate_limit(Guard[float]):
    """A rate limit in Redis: ``with rate_limit("bank", "100/m"): …`` waits for a permit. Gives the seconds that it waited.

    Permits are evenly spaced; after a pause up to ``burst`` come at once, so no span of t seconds has more than
    ``burst + t * rate``. A rate is a number per ``s``, ``m``, ``h`` or ``d``, or per a multiple such as ``5/10s``.
    """

    kind = "rate"

    def __init__(self, name: str, rate: str, burst: int = 1, *, timeout: float | None = None) -> None:
        super().__init__(name, timeout)
        self._rate, self._burst = rate, burst
        self._interval = _interval(rate)
        #: When the last one was permitted: seconds since the epoch on Redis' clock.
        self.permitted_at = 0.0
        if isinstance(burst, bool) or not isinstance(burst, int) or not 1 <= burst <= MOST_BURST:
            raise LockError(f"burst: {burst!r} must be a whole number from 1 (evenly spaced) to {MOST_BURST:,}.")

    def __enter__(self) -> float:
        return self.take()

    def take(self) -> float:
        """Wait for a permit, first come, first served. The permit's time is reserved at once, so nobody polls.

        Returns:
            The seconds that it waited.

        Raises:
            RateLimited: the wait would exceed ``timeout``; no permit was used.
            LockUnavailable: Redis is unreachable.
        """
        began = time.monotonic()
        while True:
            number, wait = self._reserve(began)
            if wait <= 0:
                break
            _sleep(wait)
            if strange.run("same", [key("epoch")], [number]):  # else the reservation is forgotten: Redis began anew
                break
        return time.monotonic() - began

    def named(self, name: str) -> Self:
        """The same for another name."""
        return type(self)(name, self._rate, self._burst, timeout=self._timeout)

    def _reserve(self, began: float) -> tuple[str, float]:
        longest = -1 if self._timeout is None else max(0.0, began + self._timeout - time.monotonic()) * 1e6
        arguments = [self._interval * 1e6, self._interval * self._burst * 1e6, longest]
        keys = [key("rate", self._name), key("epoch")]
        with client.explained():
            answer = strange.run("rate", keys, arguments)
            if answer[0] == -1:
                epoch.begin(int(answer[1]))
                answer = strange.run("rate", keys, arguments)
            if answer[0] == -1:
                raise LockUnavailable("Redis restarted empty twice within a moment: try again later.")
            if answer[-1] == 1:
                strange.replaced_rate(keys[0])
            if answer[0] == 0:
                later = answer[1] / 1e6
                raise RateLimited(f"{self._label} allows no more than {self._rate} now: again in {later:.3g} s.", later)
            self.permitted_at = int(answer[2]) / 1e6
            return answer[3], answer[1] / 1e6


def _interval(rate: str) -> float:
    """Seconds between two, at the full rate."""
    match = _RATE.fullmatch(rate) if isinstance(rate, str) else None
    if match is None:
        raise LockError(f"rate: {rate!r} must be a number and a time, such as '100/m', '5/s' or '1/10s' (s, m, h, d).")
    number, times, unit = match.groups()
    return int(times or 1) * _UNITS[unit] / int(number)


def _sleep(seconds: float) -> None:
    """In slices, so that what is raised in this thread from outside is raised soon."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, SLICE))
