"""In the pool process: what becomes of a job whose handler raised, whatever the exception does when it is asked."""

import logging
import os
import traceback
from typing import Any

from apps.jobs.conf import conf
from apps.jobs.errors import Cancelled, Snooze, SoftTimeout, UnknownKind
from apps.jobs.kinds import get_kind
from apps.jobs.retry import next_delay
from apps.jobs.signature import sign
from apps.jobs.states import Outcome, State
from apps.jobs.storable import clean
from apps.jobs.worker.capture import cut
from apps.jobs.worker.current import Run
from apps.jobs.worker.masks import Masks

#: How long a job of an unknown kind waits before it is offered again, in seconds: so long, longer each time, at most so long.
UNKNOWN_KIND_DELAY, UNKNOWN_KIND_LONGEST = 15.0, 600.0
_ENGINE = os.path.dirname(__file__)


def verdict(current: Run, error: BaseException) -> tuple[Any, ...]:
    """What becomes of a job whose handler raised: state, outcome, delay, result, error, error's type, traceback,
    signature."""
    name = name_of(error)
    text = cut(clean(" ".join(f"{name.rpartition('.')[2]}: {_said(error, current.masks)}".split())), 2_000)
    if isinstance(error, Snooze):
        return (State.PENDING, Outcome.SNOOZED, error.seconds, None, clean(current.masks.text(str(error)))[:2_000], "", "", "")
    if isinstance(error, UnknownKind):
        later = min(UNKNOWN_KIND_DELAY * current.attempt, UNKNOWN_KIND_LONGEST)
        return (State.PENDING, Outcome.INTERRUPTED, later, None, text, "UnknownKind", "", "")
    if isinstance(error, Cancelled):
        return (State.CANCELLED, Outcome.CANCELLED, None, None, text, name, "", "")
    outcome = Outcome.TIMED_OUT if isinstance(error, SoftTimeout) else Outcome.FAILED
    story = cut(clean(current.masks.text(_story(error))), conf().max_traceback)
    try:
        policy = get_kind(current.kind).retry
        delay = next_delay(policy, current.failures, current.max_attempts, error)
        delay = None if delay is None else float(delay)  # a Decimal is no number that the channel carries
    except Exception:
        logging.getLogger(__name__).exception("the retry policy of %s failed", current.kind)
        delay = None
    state = State.FAILED if delay is None else State.PENDING
    return (state, outcome, delay, None, text, name, story, sign(name, text, story))


def name_of(error: BaseException) -> str:
    """The name of an exception's class as text that can be stored."""
    try:
        return clean(str(type(error).__qualname__)[:200])
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
        while trail is not None and os.path.dirname(trail.tb_frame.f_code.co_filename) == _ENGINE:
            trail = trail.tb_next
        return "".join(traceback.format_exception(type(error), error, trail))
    except Exception as second:  # an exception whose own __str__ raises
        return f"{name_of(error)} (its traceback could not be formatted: {name_of(second)})"
