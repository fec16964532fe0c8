"""How SQLite has times and ids here: texts that Django reads as well."""

import datetime as dt
import time


def text(moment: float) -> str:
    """Seconds since the epoch as Django stores a time."""
    return dt.datetime.fromtimestamp(moment, dt.UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def seconds(moment: str) -> float:
    """A stored time as seconds since the epoch."""
    return dt.datetime.fromisoformat(moment).replace(tzinfo=dt.UTC).timestamp()


def now() -> str:
    """Now, as it is stored."""
    return text(time.time())


def bare(id: str) -> str:
    """An id as it is stored."""
    return id.replace("-", "")
