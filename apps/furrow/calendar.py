"""Times that a row may have: those that Python can represent in every time zone. Databases have others (``infinity``)."""

import datetime as dt

#: The first and the last of them: a day within the years 1 to 9999, so that no time zone leads out of these.
EARLIEST = dt.datetime(1, 1, 2, tzinfo=dt.UTC)
LATEST = dt.datetime(9999, 12, 30, 23, 59, 59, 999999, tzinfo=dt.UTC)


def in_calendar(moment: dt.datetime) -> bool:
    """Whether a row may have this (aware) time."""
    return EARLIEST <= moment <= LATEST


def nearest(moment: dt.datetime) -> dt.datetime:
    """This time, or the nearest one that a row may have."""
    low, high = (EARLIEST, LATEST) if moment.tzinfo else (EARLIEST.replace(tzinfo=None), LATEST.replace(tzinfo=None))
    return low if moment < low else high if moment > high else moment


def stand_in(text: str) -> dt.datetime:
    """What is read in place of a stored time that Python cannot hold, or that is none: the nearest that it can."""
    return EARLIEST if text.startswith("-") or text.endswith("BC") else LATEST
