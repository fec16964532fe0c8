"""In the pool process: what becomes of a job whose handler raised, whatever the exception does when it is asked."""

import logging
import os
import traceback
from typing import Any

import celery.app
from billiard.exceptions import SoftTimeLimitExceeded

from furrow.adoption import ended
from furrow.adoption.ended import Ended
from furrow.conf import conf
from furrow.errors import Cancelled, Elsewhere, Snooze, SoftTimeout, StepChanged, Suspended, UnknownKind
from furrow.fingerprint import fingerprint
from furrow.kinds.kind import get_kind
from furrow.kinds.masks import Masks
from furrow.kinds.retry import next_delay
from furrow.middleware import raised_by
from furrow.sanitize import clean, cut
from furrow.states import Outcome, State
from furrow.worker.child.current import Run

#: How long a job of an unknown kind waits before it is offered again, in seconds: so long, longer each time, at most so long.
UNKNOWN_KIND_DELAY, UNKNOWN_KIND_LONGEST = 15.0, 600.0
#: Folders whose frames lead to the handler.
_ENGINE = (
    os.path.dirname(os.path.dirname(__file__)) + os.sep,
    os.path.dirname(ended.__file__) + os.sep,
    os.path.dirname(celery.app.__file__) + os.sep,
)


def verdict(current: Run, error: BaseException) -> tuple[Any, ...]:
    """What becomes of a job whose handler raised: state, outcome, delay, result, error, error's type, traceback,
    fingerprint."""
    if isinstance(error, Ended):
        return _as_said(current, error)
    name = name_of(error)
    who = name.rpartition(".")[2] + (f" in middleware {path}" if (path := raised_by(error)) else "")
    text = cut(clean(" ".join(f"{who}: {_said(error, current.masks)}".split())), 2_000)
    if isinstance(error, StepChanged):
        return (State.PENDING, Outcome.SNOOZED, _held(current), None, text, name, "", "")
    if isinstance(error, (Snooze, Suspended)):
        return (State.PENDING, Outcome.SNOOZED, error.seconds, None, clean(current.masks.text(str(error)))[:2_000], "", "", "")
    if isinstance(error, Elsewhere):
        return (State.PENDING, Outcome.INTERRUPTED, error.seconds, None, clean(str(error))[:2_000], "", "", "")
    if isinstance(error, UnknownKind):
        return (State.PENDING, Outcome.INTERRUPTED, _held(current), None, text, "UnknownKind", "", "")
    if isinstance(error, Cancelled):
        return (State.CANCELLED, Outcome.CANCELLED, None, None, text, name, "", "")
    outcome = Outcome.TIMED_OUT if isinstance(error, (SoftTimeout, SoftTimeLimitExceeded)) else Outcome.FAILED
    story = cut(clean(current.masks.text(_story(error))), conf().max_traceback)
    delay = _next_delay(current, error)
    state = State.FAILED if delay is None else State.PENDING
    return (state, outcome, delay, _kept(current, error), text, name, story, fingerprint(name, text, story))


def _as_said(current: Run, end: Ended) -> tuple[Any, ...]:
    """The verdict that the run of a Celery task came to itself."""
    shown = end.error
    name = "" if shown is None else name_of(shown)
    said = end.said if shown is None else f"{name.rpartition('.')[2]}: {_said(shown, current.masks)}"
    text = cut(clean(" ".join(said.split())), 2_000)
    story = "" if shown is None else cut(clean(current.masks.text(_story(shown))), conf().max_traceback)
    mark = fingerprint(name, text, story) if end.outcome == Outcome.FAILED else ""
    return (end.state, end.outcome, end.delay, shown and _kept(current, shown), text, name, story, mark)


def _kept(current: Run, error: BaseException) -> str | None:
    """What the kind keeps of an error, as JSON."""
    try:
        return current.masks.json(get_kind(current.kind).failure_text(error))
    except Exception:  # of the exception's own code, or of a kind that is not there
        return None


def _held(current: Run) -> float:
    """Seconds until a job that this code does not know is tried again: a deployment may bring the code that does."""
    return min(UNKNOWN_KIND_DELAY * current.attempt, UNKNOWN_KIND_LONGEST)


def untellable(current: Run, error: BaseException, second: BaseException) -> tuple[Any, ...]:
    """The same without asking the exception anything; ``second`` is what came of that. Its traceback has the last frames."""
    name, delay = name_of(error), _next_delay(current, error)
    text = f"{name} (what becomes of it could not be told: {name_of(second)})"
    outcome = Outcome.TIMED_OUT if isinstance(error, SoftTimeout) else Outcome.FAILED
    state = State.PENDING if delay is not None else State.FAILED
    frames = "".join(traceback.format_tb(error.__traceback__, limit=-50))
    story = cut(clean(current.masks.text(frames)), conf().max_traceback)
    return (state, outcome, delay, None, text, name, story, fingerprint(name, text, story))


def _next_delay(current: Run, error: BaseException) -> float | None:
    """Seconds until the next attempt (a float: a Decimal is nothing that the channel carries); ``None``: there is none."""
    try:
        delay = next_delay(get_kind(current.kind).retry, current.failures, current.max_attempts, error)
        return None if delay is None else float(delay)
    except Exception as second:
        logging.getLogger(__name__).error("the retry policy of %s failed: %s", current.kind, name_of(second))
        return None


def name_of(error: BaseException) -> str:
    """The name of an exception's class as text that can be stored."""
    try:
        return clean(str(type.__dict__["__qualname__"].__get__(type(error)))[:200])  # not what a metaclass says
    except Exception:
        return "Exception"


def _said(error: BaseException, masks: Masks) -> str:
    """What an exception says of itself, the middle left out of much; also of one whose ``__str__`` fails."""
    try:
        return cut(masks.text(str(error)), 4_000)
    except Exception as second:
        return f"(its text cannot be told: __str__ raised {name_of(second)})"


def _story(error: BaseException) -> str:
    """The traceback from the handler on: the engine's own frames say nothing about the error."""
    try:
        trail = error.__traceback__
        while trail is not None and trail.tb_frame.f_code.co_filename.startswith(_ENGINE):
            trail = trail.tb_next
        return "".join(traceback.format_exception(type(error), error, trail))
    except Exception as second:  # an exception whose own __str__ raises
        return f"{name_of(error)} (its traceback could not be formatted: {name_of(second)})"
