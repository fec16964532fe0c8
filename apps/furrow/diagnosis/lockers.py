"""Database sessions that lock jobs' rows, in words: the session, and its statement without values."""

import datetime as dt
import re
import uuid

from django.db import connections, router

from furrow import statements
from furrow.models import Job
from furrow.statements import Locker

#: Seconds for which a transaction may be open before anybody is told: nearly all are over in less.
SOON = 2.0
#: Characters of a statement that are shown.
SHOWN = 90
#: Texts and numbers; a statement may be cut in the middle of one.
_VALUES = re.compile(r"""'(?:[^'\\]|''|\\.)*(?:'|\\?\Z)|\$(\w*)\$.*?(?:\$\1\$|\Z)|(?<!\$)\b\d[\w.]*""", re.DOTALL)


def of_row(id: uuid.UUID, now: dt.datetime) -> Locker | None:
    """The session that has this job's row locked, if it has for some time."""
    link = connections[router.db_for_read(Job)]
    found = statements.on(link).locker(link, id)
    return found if found and (now - found.since).total_seconds() > SOON else None


def of_any() -> list[Locker]:
    """Sessions that may have rows of jobs locked for some time, the longest first."""
    link = connections[router.db_for_read(Job)]
    return statements.on(link).lockers(link, SOON)


def describe(locker: Locker) -> str:
    """The session "web" (pid 123, user shop): "UPDATE …". Of another role's session a role without ``pg_read_all_stats`` is not
    told the statement."""
    name = f"“{locker.name}”" if locker.name else "without a name"
    said = short(locker.query)
    return f"the session {name} (pid {locker.pid}, user {locker.user}){f', by “{said}”' if said else ''}"


def short(query: str) -> str:
    """The beginning of a statement, each value in it as …: it may be secret."""
    if query.startswith("<"):  # insufficient privilege, and the like
        return ""
    text = " ".join(_VALUES.sub("…", query).split())
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
