"""Selections of jobs: the criteria that the list's address, bulk actions and the command line share.

A criterion is a name and a text, as in an address: ``{"state": "failed", "q": "account_id=7"}``.
"""

import datetime as dt
import json
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connections, router
from django.db.models import BooleanField, Q, QuerySet, TextField
from django.db.models.expressions import RawSQL
from django.db.models.functions import Cast
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from furrow.errors import InputError, did_you_mean
from furrow.kinds.secret import KEY
from furrow.models import Job, Node, Worker
from furrow.sanitize import unstorable
from furrow.statements import clock
from furrow.states import FINAL, State
from furrow.tables import JOB

#: Since when a job was created: a name, and hours.
AGES = {"1h": ("Last hour", 1), "24h": ("Last 24 hours", 24), "7d": ("Last 7 days", 168), "30d": ("Last 30 days", 720)}
#: A search for the value of an argument: ``account_id=7``, ``customer.name="x y"``.
_PAIR = re.compile(r'([A-Za-z_][\w-]*(?:\.[\w-]+)*)=("(?:[^"\\]|\\.)*"|\S+)')
#: Years that a time may name: zones and spans can be added to them.
EARLIEST, LATEST = 1970, 9998
#: Clocks of the machines that make ids may disagree by this much.
_SLACK = dt.timedelta(hours=1)
#: No id of ours was made before this time, or will have been by this long from now.
_NONE_BEFORE, _NONE_AFTER = dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.timedelta(days=1)


def select(
    criteria: Mapping[str, str], rows: QuerySet[Job] | None = None, *, asked_at: dt.datetime | None = None
) -> QuerySet[Job]:
    """The jobs that meet all the criteria; empty texts are no criteria. Spans ("last hour") end at ``asked_at``: now.

    Raises:
        InputError: names each criterion that is unknown or whose text cannot be.
    """
    rows = Job.objects.all() if rows is None else rows
    wrong: dict[str, str] = {}
    for name, text in criteria.items():
        if name not in CRITERIA:
            wrong[name] = f"is no criterion; {did_you_mean(name, CRITERIA)}"
        elif text := str(text).strip():
            try:
                rows = CRITERIA[name](rows, text.replace("\x00", ""), asked_at or clock.now())
            except ValueError as error:
                wrong[name] = str(error)
    if wrong:
        raise InputError(wrong)
    return rows


def _state(rows: QuerySet[Job], text: str, _asked_at: dt.datetime) -> QuerySet[Job]:
    """Saying of ended jobs that they have ended is redundant, and lets the index of those be used."""
    if text not in list(State):
        raise ValueError(f"{text!r} is no state; {did_you_mean(text, State)}")
    found = rows.filter(state=text)
    return found.filter(finished_at__isnull=False) if text in FINAL else found


def _kind(rows: QuerySet[Job], text: str, _asked_at: dt.datetime) -> QuerySet[Job]:
    return rows.filter(kind=text)


def _queue(rows: QuerySet[Job], text: str, _asked_at: dt.datetime) -> QuerySet[Job]:
    return rows.filter(queue=text)


def _worker(rows: QuerySet[Job], text: str, _asked_at: dt.datetime) -> QuerySet[Job]:
    """By its id, or by its node's name: all its lives."""
    try:
        return rows.filter(worker=uuid.UUID(text))
    except ValueError:
        return rows.filter(worker__in=list(Worker.objects.filter(node=text).order_by("-pk").values_list("pk", flat=True)[:100]))


def _by(rows: QuerySet[Job], text: str, _asked_at: dt.datetime) -> QuerySet[Job]:
    """By a user's id, so that no join is needed."""
    users = get_user_model()
    user = users._default_manager.filter(**{users.USERNAME_FIELD: text}).only("pk").first()
    if user is None:
        raise ValueError(f"there is no user {text!r}")
    return rows.filter(submitted_by=user.pk)


def _batch(rows: QuerySet[Job], text: str, _asked_at: dt.datetime) -> QuerySet[Job]:
    return rows.filter(batch=_id(text))


def _workflow(rows: QuerySet[Job], text: str, _asked_at: dt.datetime) -> QuerySet[Job]:
    """The jobs of its nodes, but not those of workflows within it."""
    return rows.filter(node__in=Node.objects.filter(workflow=_id(text)).values("pk"))


def _node(rows: QuerySet[Job], text: str, _asked_at: dt.datetime) -> QuerySet[Job]:
    return rows.filter(node=_id(text))


def _again_of(rows: QuerySet[Job], text: str, _asked_at: dt.datetime) -> QuerySet[Job]:
    return rows.filter(again_of=_id(text))


def _created(rows: QuerySet[Job], text: str, asked_at: dt.datetime) -> QuerySet[Job]:
    if text not in AGES:
        raise ValueError(f"{text!r} is no span; {did_you_mean(text, AGES)}")
    return _after(rows, asked_at - dt.timedelta(hours=AGES[text][1]))


def _since(rows: QuerySet[Job], text: str, _asked_at: dt.datetime) -> QuerySet[Job]:
    return _after(rows, _moment(text))


def _until(rows: QuerySet[Job], text: str, _asked_at: dt.datetime) -> QuerySet[Job]:
    moment = _moment(text)
    return rows.filter(_bounded(rows, pk__lt=_first_id(moment + _SLACK)), created_at__lt=moment)


def _after(rows: QuerySet[Job], moment: dt.datetime) -> QuerySet[Job]:
    return rows.filter(_bounded(rows, pk__gte=_first_id(moment - _SLACK)), created_at__gte=moment)


def _bounded(rows: QuerySet[Job], **bound: uuid.UUID) -> Q:
    """An id begins with the time of its making, so that the primary key bounds the search. Not so the ids that another program
    made (random ones, of version 4): where there are such, they are looked through as well."""
    among = Job.objects.using(rows.db)
    otherwise = Q(pk__lt=_first_id(_NONE_BEFORE)), Q(pk__gte=_first_id(dt.datetime.now(dt.UTC) + _NONE_AFTER))
    return _any([Q(**bound), *otherwise]) if any(among.filter(ids).exists() for ids in otherwise) else Q(**bound)


def _first_id(moment: dt.datetime) -> uuid.UUID:
    return uuid.UUID(int=max(0, int(moment.timestamp() * 1000)) << 80)


def _tag(rows: QuerySet[Job], text: str, _asked_at: dt.datetime) -> QuerySet[Job]:
    """Each of the tags, which commas separate."""
    for tag in filter(None, (part.strip() for part in text.split(","))):
        if connections[rows.db].vendor == "postgresql":
            rows = rows.filter(tags__isnull=False, tags__contains=[tag])
        else:
            rows = rows.filter(_is_true(f"EXISTS (SELECT 1 FROM json_each({JOB}.tags) WHERE value = %s)", [tag]))
    return rows


def _fingerprint(rows: QuerySet[Job], text: str, _asked_at: dt.datetime) -> QuerySet[Job]:
    """Jobs whose last run failed like this (:mod:`furrow.fingerprint`)."""
    return rows.filter(fingerprint=text)


def _search(rows: QuerySet[Job], text: str, _asked_at: dt.datetime) -> QuerySet[Job]:
    """An id (a job's, a batch's), values of arguments, or a text in the error, the kind or the arguments."""
    try:
        wanted = uuid.UUID(text)
    except ValueError:
        pass
    else:
        return rows.filter(Q(pk=wanted) | Q(batch=wanted))
    pairs = _PAIR.findall(text)
    if pairs and not _PAIR.sub("", text).strip(" ,"):
        for path, value in pairs:
            rows = rows.filter(_argument(path.split("."), value))
        return rows
    # Arguments with secrets are not searched, or a search would tell what is in them.
    rows = rows.annotate(arguments_text=Cast("arguments", TextField()))
    open_text = Q(arguments_text__icontains=text) & ~Q(arguments_text__contains=f'"{KEY}"')
    return rows.filter(Q(error__icontains=text) | Q(kind__icontains=text) | open_text)


def _argument(path: list[str], text: str) -> Q:
    """The argument at this path has this value: JSON, or a text without its quotes."""
    try:
        values = [json.loads(text)]
    except (ValueError, RecursionError):
        values = [text]
    if problem := _unsearchable(values[0]):
        raise ValueError(f"{'.'.join(path)[:60]}: {problem}")
    if not isinstance(values[0], (str, list, dict)):
        values.append(text)  # 7 may be "7"
    if connections[router.db_for_read(Job)].vendor == "postgresql":
        return _any(Q(arguments__contains=_nested(path, value)) for value in values)
    return _any(Q(_extracted(path, value)) for value in values)


def _unsearchable(value: Any) -> str:
    """Why arguments are not compared with this value; empty when they are. The mark of a secret is in no value that may be
    looked for, or a search would tell what is in one, whole or by parts."""
    if KEY in json.dumps(value, ensure_ascii=False):
        return "a secret argument is not searched: leave it out"
    return unstorable(value)


def _extracted(path: list[str], value: Any) -> RawSQL:
    """For SQLite, which has no containment."""
    place = "$" + "".join(f'."{key}"' for key in path)
    if value is None or isinstance(value, bool):
        return _is_true(f"json_type({JOB}.arguments, %s) = %s", [place, json.dumps(value)])
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        value = str(value)
    if isinstance(value, str):  # the text of an object is no text
        return _is_true(
            f"json_type({JOB}.arguments, %s) = 'text' AND json_extract({JOB}.arguments, %s) = %s", [place, place, value]
        )
    given = "json(%s)" if isinstance(value, (list, dict)) else "%s"
    text = json.dumps(value) if isinstance(value, (list, dict)) else value
    return _is_true(f"json_extract({JOB}.arguments, %s) = {given}", [place, text])


def _is_true(condition: str, parameters: list[Any]) -> RawSQL:
    return RawSQL(condition, parameters, output_field=BooleanField())  # noqa: S611 - the conditions are those above


def _nested(path: list[str], value: Any) -> Any:
    for key in reversed(path):
        value = {key: value}
    return value


def _any(conditions: Any) -> Q:
    found = Q(pk__in=[])
    for condition in conditions:
        found |= condition
    return found


def _id(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise ValueError(f"{text[:60]!r} is no id: it must be a UUID") from None


def _moment(text: str) -> dt.datetime:
    """A time as ISO 8601; without a zone, in the current one."""
    moment = parse_datetime(text) or parse_datetime(f"{text} 00:00")
    if moment is None:
        raise ValueError(f"{text[:60]!r} is no time: write it as 2026-01-31 13:45")
    if not EARLIEST <= moment.year <= LATEST:
        raise ValueError(f"{text[:60]!r} is too far away: give a year from {EARLIEST} to {LATEST}")
    return moment if moment.tzinfo else timezone.make_aware(moment)


CRITERIA: dict[str, Callable[[QuerySet[Job], str, dt.datetime], QuerySet[Job]]] = {
    "state": _state,
    "kind": _kind,
    "queue": _queue,
    "worker": _worker,
    "by": _by,
    "created": _created,
    "since": _since,
    "until": _until,
    "tag": _tag,
    "batch": _batch,
    "workflow": _workflow,
    "node": _node,
    "again_of": _again_of,
    "fingerprint": _fingerprint,
    "q": _search,
}
