"""How a step is declared."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from furrow.errors import StepError
from furrow.sanitize import clean

#: Characters of a step's or a signal's name.
LONGEST_NAME = 200


@dataclass(frozen=True)
class Named:
    """A step's name, with what is declared beside it."""

    name: str
    #: The name that it had in earlier versions of the code.
    was: str = ""
    #: It was put before steps that jobs under way have behind them.
    new: bool = False
    #: What the function writes to the database and the record of the step are one transaction.
    transactional: bool = False

    def __post_init__(self) -> None:
        check_name("step", self.name)


def check_name(what: str, name: Any) -> str:
    """The name of a step or a signal.

    Raises:
        StepError: it is none.
    """
    if not isinstance(name, str) or not name or len(name) > LONGEST_NAME or clean(name) != name:
        raise StepError(f"A {what}'s name is {str(name)[:80]!r}: it must be a text of 1 to {LONGEST_NAME} characters.")
    return name


def name_of(function: Callable[..., Any]) -> str:
    """The name of a step that is given none.

    Raises:
        StepError: the function has none either.
    """
    name = getattr(function, "__name__", "")
    if not name.isidentifier():
        raise StepError(f"{function!r} has no name: give the step one, as current_job.step('charge', …).")
    return str(name)


def seconds_in(span: dt.timedelta | float, what: str) -> float:
    """A span of time in seconds.

    Raises:
        StepError: it is none, or longer than a century.
    """
    seconds = span.total_seconds() if isinstance(span, dt.timedelta) else span
    right = isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and 0 <= seconds <= _CENTURY
    if not right:
        raise StepError(f"{what} is {span!r}: it must be a timedelta, or seconds, from 0 to a hundred years.")
    return float(seconds)


_CENTURY = 100 * 366 * 86_400.0
