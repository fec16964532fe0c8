"""Which tasks are jobs, and why the others are not."""

import re
from fnmatch import fnmatchcase
from typing import Any

from furrow.conf import conf
from furrow.errors import KindError
from furrow.kinds.declaration import LONGEST_NAME, NAME

_RATE = re.compile(r"[1-9]\d*/[smh]")
#: Serializers whose values are JSON.
_JSON = ("json", "application/json")
_PREFORK = ("prefork", "processes", "celery.concurrency.prefork:TaskPool")


def is_chosen(name: str) -> bool:
    """Whether ``FURROW["ADOPT"]`` names it."""
    given = conf().adopt
    patterns = {"all": ["*"], "none": []}.get(given, []) if isinstance(given, str) else given
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def why_plain(task: Any) -> str:
    """Why a task stays an ordinary one; empty when it can be a job."""
    app, name = task.app, str(task.name)
    if not getattr(task, "durable", True):
        return "it is declared with durable=False"
    if not is_chosen(name):
        return "FURROW['ADOPT'] does not name it"
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        return f"its name cannot name jobs: letters, digits, '_' and '-', with dots between, at most {LONGEST_NAME} characters"
    serializer = task.serializer or app.conf.task_serializer
    if serializer not in _JSON:
        return f"its serializer is {serializer}, and arguments of jobs are JSON: serializer='json'"
    pool = app.conf.worker_pool
    if pool not in _PREFORK:
        return f"worker_pool is {pool!r}, and jobs run in a prefork pool"
    return limits_problem(task)


def limits_problem(task: Any) -> str:
    """What is wrong with its time limits."""
    for option in ("time_limit", "soft_time_limit"):
        seconds = getattr(task, option)
        if seconds is not None and not (isinstance(seconds, (int, float)) and 0 < seconds <= 7 * 86400):
            return f"its {option} is {seconds!r}: a job's is more than 0 seconds and at most a week"
    if task.rate_limit and not _RATE.fullmatch(rate_of(task)):
        return f"its rate_limit is {task.rate_limit!r}: a job's is a whole number in a second, minute or hour"
    return ""


def rate_of(task: Any) -> str:
    """Its ``rate_limit`` as the rate of a kind; empty: none."""
    given = task.rate_limit or ""
    return f"{int(given)}/s" if isinstance(given, (int, float)) else given if "/" in given else f"{given}/s" if given else ""


def refused(error: KindError) -> str:
    """Why no kind could be made of it."""
    return str(error).rstrip(".")
