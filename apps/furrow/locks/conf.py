"""Length of a lease and the times derived from it, in seconds."""

from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

#: What ``settings.FURROW["LOCK_LEASE"]`` may be, and what it is when not given.
SHORTEST, LONGEST, DEFAULT = 2.0, 30.0, 15.0


@dataclass(frozen=True)
class Times:
    """The lease of a lock, the same in every process that uses the same Redis."""

    lease: float

    @property
    def renewal(self) -> float:
        """A lease is renewed after this long, and tried again every ``step`` when that fails."""
        return self.lease / 3

    @property
    def step(self) -> float:
        """How often whoever keeps leases looks at them."""
        return self.lease / 15

    @property
    def margin(self) -> float:
        """The holder is told that its lock is lost this long before the lease ends, so that it has stopped by then."""
        return self.lease / 5

    @property
    def patience(self) -> float:
        """Redis gets this long to answer: short enough that two tries fit into the margin."""
        return min(1.0, self.lease / 15)


@lru_cache
def times() -> Times:
    """The times in force.

    Raises:
        ImproperlyConfigured: ``FURROW["LOCK_LEASE"]`` is no possible lease.
    """
    given = getattr(settings, "FURROW", {}).get("LOCK_LEASE", DEFAULT)
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not SHORTEST <= given <= LONGEST:
        raise ImproperlyConfigured(
            f"FURROW['LOCK_LEASE'] is {given!r}: it must be a number of seconds from {SHORTEST:g} to {LONGEST:g}."
        )
    return Times(float(given))


def redis_url() -> str:
    """Where Redis is; empty when there is none."""
    return str(getattr(settings, "FURROW", {}).get("REDIS_URL", ""))


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting == "FURROW":
        times.cache_clear()


setting_changed.connect(_forget)
