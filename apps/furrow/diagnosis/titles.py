"""What a job is about, on one line: the title that its kind declares (``@job(title="invoice of order {order_id}")``), else its
arguments in short, but those that are null. Never a secret."""

import json
from collections.abc import Mapping
from typing import Any

from django.db.models import Func, QuerySet, TextField

from furrow.diagnosis.wording import plain
from furrow.kinds.kind import find_kind
from furrow.kinds.secret import masked
from furrow.models import Job
from furrow.models.json_field import UNREADABLE

#: Characters of a title, and of each argument in it.
LONGEST, LONGEST_ARGUMENT = 64, 40
#: Bytes of arguments as they are stored, up to which a list reads them.
READ = 2_000


class _Short(Func):
    """A JSON column as text where it is short, else null. PostgreSQL does not unpack large ones for that."""

    output_field = TextField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """By the size on disk."""
        whole = f"CASE WHEN pg_column_size(%(expressions)s) <= {READ} THEN %(expressions)s::text END"
        return self.as_sql(compiler, connection, template=whole, **context)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """By its characters."""
        whole = f"CASE WHEN length(%(expressions)s) <= {READ} THEN %(expressions)s END"
        return self.as_sql(compiler, connection, template=whole, **context)


def with_titles(jobs: QuerySet[Any]) -> QuerySet[Any]:
    """These jobs, each with what :func:`title` reads, also when ``arguments`` are deferred."""
    found: QuerySet[Any] = jobs.annotate(short_arguments=_Short("arguments"))
    return found


def title(job: Job) -> str:
    """Of a job that came by :func:`with_titles`, or with its arguments. Empty without arguments, and where they are large and
    were not read."""
    if "arguments" in job.__dict__:
        return title_of(job.kind, job.arguments)
    try:
        return title_of(job.kind, json.loads(getattr(job, "short_arguments", None) or "{}"))
    except (ValueError, RecursionError):  # what another program wrote
        return ""


def title_of(kind: str, arguments: Any) -> str:
    """Of a job of the kind of this name with these arguments, as in JSON."""
    if not isinstance(arguments, Mapping) or UNREADABLE in arguments:
        return ""
    shown, known = masked(dict(arguments)), find_kind(kind)
    if known is not None and known.title is not None:
        return _line(known.title.text(shown), LONGEST)
    first = known.arguments.names if known is not None else ()  # PostgreSQL keeps an order of its own
    names = [*(name for name in first if name in shown), *(name for name in shown if name not in first)]
    return _line(", ".join(f"{name}={_short(shown[name])}" for name in names if shown[name] is not None), LONGEST)


def _short(value: Any) -> str:
    return _line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), LONGEST_ARGUMENT)


def _line(text: str, length: int) -> str:
    """The text on one line, the middle left out of a long one: paths and addresses differ in their ends."""
    ends = text if len(text) <= READ else text[: READ // 2] + text[-READ // 2 :]
    line = " ".join(plain(ends).split())
    return line if len(line) <= length else f"{line[: length // 2]}…{line[-(length - length // 2 - 1) :]}"
