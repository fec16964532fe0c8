"""Validate the options of a kind at import; an error names the option, the reason and the remedy."""

import datetime as dt
import inspect
import re
from typing import TYPE_CHECKING

from furrow.conf import conf
from furrow.errors import KindError, did_you_mean
from furrow.kinds.retry import RetryPolicy
from furrow.kinds.tags import tags_problem
from furrow.models.job import HIGHEST_PRIORITY, LOWEST_PRIORITY

if TYPE_CHECKING:
    from furrow.kinds.kind import Kind

#: What can name a kind, and at most how long it is.
NAME = re.compile(r"[\w-]+(\.[\w-]+)*")
LONGEST_NAME = 200
_PERMISSION = re.compile(r"\w+\.\w+")


def unknown_queue(queue: str, *, external: bool) -> str:
    """What is wrong with a queue that a kind cannot use, and the remedy."""
    known, setting = (conf().external_queues, "EXTERNAL_QUEUES") if external else (conf().queues, "QUEUES")
    if external and queue in conf().queues:
        return f"is for Celery workers, and this kind is run by workers in other languages: name one of FURROW['{setting}']"
    if not external and queue in conf().external_queues:
        return f"is for workers in other languages, and this kind has its handler here: name one of FURROW['{setting}']"
    if not known:
        return f"cannot be used: FURROW['{setting}'] names no queue; add one"
    return f"is unknown; {did_you_mean(queue, known)} (FURROW['{setting}'])"


def refuse_what_cannot_work(kind: "Kind") -> None:
    """Look at the options of a declaration.

    Raises:
        KindError: names the option, the reason and the remedy.
    """
    if not isinstance(kind.name, str) or not NAME.fullmatch(kind.name) or len(kind.name) > LONGEST_NAME:
        raise KindError(
            f"name={kind.name!r} cannot name a kind: use letters, digits, '_' and '-', with dots between "
            "(at most 200 characters)."
        )
    if kind.queue not in kind.queues:
        raise KindError(f"{kind.name}: queue {kind.queue!r} {unknown_queue(kind.queue, external=kind.external)}.")
    if type(kind.priority) is not int or not HIGHEST_PRIORITY <= kind.priority <= LOWEST_PRIORITY:
        raise KindError(
            f"{kind.name}: priority={kind.priority!r} must be a whole number; "
            f"{HIGHEST_PRIORITY} goes first, {LOWEST_PRIORITY} last."
        )
    if not isinstance(kind.retry, RetryPolicy):
        raise KindError(f"{kind.name}: retry={kind.retry!r} must be a RetryPolicy, such as RetryPolicy(max_attempts=3).")
    for option in ("soft_timeout", "timeout"):
        seconds = getattr(kind, option)
        if seconds is not None and (type(seconds) not in (int, float) or not 0 < seconds <= 7 * 86400):
            raise KindError(f"{kind.name}: {option}={seconds!r} must be seconds, more than 0 and at most a week.")
    if kind.soft_timeout and kind.timeout and kind.soft_timeout >= kind.timeout:
        raise KindError(
            f"{kind.name}: soft_timeout ({kind.soft_timeout:g}) would have no effect: "
            f"make it less than timeout ({kind.timeout:g})."
        )
    if kind.expires is not None and not (isinstance(kind.expires, dt.timedelta) and kind.expires > dt.timedelta(0)):
        raise KindError(f"{kind.name}: expires={kind.expires!r} must be a datetime.timedelta of more than zero.")

    if not isinstance(kind.transactional, bool):
        raise KindError(f"{kind.name}: transactional={kind.transactional!r} must be True or False.")
    if kind.transactional and (inspect.iscoroutinefunction(kind.handler) or inspect.isasyncgenfunction(kind.handler)):
        raise KindError(
            f"{kind.name}: an async handler's queries use other connections, outside of its transaction: make it a plain "
            "function, or remove transactional=True."
        )
    if not isinstance(kind.pinned, bool):
        raise KindError(f"{kind.name}: pinned={kind.pinned!r} must be True or False.")
    if kind.upgrade is not None and not callable(kind.upgrade):
        raise KindError(f"{kind.name}: upgrade={kind.upgrade!r} must be a function that makes new arguments of old ones.")
    if problem := tags_problem(kind.tags):
        raise KindError(f"{kind.name}: tags: {problem}.")
    if not isinstance(kind.permission, str) or (kind.permission and not _PERMISSION.fullmatch(kind.permission)):
        raise KindError(
            f"{kind.name}: permission={kind.permission!r} must be a permission's full name, app.codename, "
            "such as 'billing.refund_order'."
        )
