"""What a Celery client's message for a kind asks of the job: the options of a submit, or why a job cannot do it.

docs/clients.md says for every field what becomes of it. Nothing is left out that would make a difference: a message that asks
for more is no job.
"""

import datetime as dt
import json
import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple

from celery.canvas import Signature
from celery.worker.strategy import proto1_to_proto2

from furrow.adoption import received
from furrow.canvas.makeup import makeup
from furrow.conf import CELERY_QUEUE, conf
from furrow.errors import WorkflowError
from furrow.kinds.celery_options import META
from furrow.kinds.kind import Kind
from furrow.kinds.results import job_id
from furrow.models.job import LOWEST_PRIORITY
from furrow.rabbitmq.answers import answer_queue
from furrow.sanitize import clean

#: What a message may carry that starts other tasks, as options of Celery's.
_EMBEDDED = {"callbacks": "link", "errbacks": "link_error", "chain": "chain"}
#: Headers of both protocols; others are the client's own.
_KNOWN = frozenset(
    {
        *(
            "lang",
            "task",
            "id",
            "shadow",
            "eta",
            "expires",
            "group",
            "group_index",
            "retries",
            "timelimit",
            "root_id",
            "parent_id",
        ),
        *("argsrepr", "kwargsrepr", "origin", "ignore_result", "replaced_task_nesting", "stamped_headers", "stamps", "meth"),
        *("compression", "args", "kwargs", "callbacks", "errbacks", "chord", "taskset", "utc", "headers"),
    }
)
#: Headers that are kept as they are, in the job's metadata.
_TOLD = ("shadow", "origin", "root_id", "parent_id", "stamps")
#: Characters of an id, and of the name of a queue.
LONGEST_ID = 255


class NotHonoured(Exception):
    """The message is no job; says why, and what to do instead."""


class Caller(NamedTuple):
    """Who waits for the task's end: the id by which it asks, and the queue of its ``rpc://`` result backend, if it has one."""

    task_id: str
    reply_to: str


class Sent(NamedTuple):
    """A message that can be a job."""

    id: uuid.UUID
    args: list[Any]
    kwargs: dict[str, Any]
    #: Of :func:`furrow.submit`, but for what has expired: ``expired`` says so.
    options: dict[str, Any]
    expired: bool
    #: What comes after it: ``link``, ``link_error``, ``chain``.
    followers: dict[str, Any] = {}
    #: Of an adopted task: its arguments by name.
    values: dict[str, Any] = {}


def caller(message: Any, headers: Mapping[str, Any]) -> Caller | None:
    """Who waits for its end; ``None``: nobody (``ignore_result``).

    Raises:
        NotHonoured: no answer can go there.
    """
    if headers.get("ignore_result"):
        return None
    task_id = str(message.properties.get("correlation_id") or headers.get("id") or "")
    reply_to = str(message.properties.get("reply_to") or (answer_queue(task_id) if headers.get("lang") == "js" else ""))
    found = Caller(task_id, reply_to)
    if any(clean(text) != text or "\0" in text or len(text) > LONGEST_ID for text in found):
        raise NotHonoured("its id or reply_to cannot be kept: it is too long, or has characters that no text may have")
    if found.reply_to in {CELERY_QUEUE, *conf().queues}:
        raise NotHonoured(
            f"its reply_to {found.reply_to!r} is a queue of jobs or tasks: an answer there would be taken for one"
        )
    return found


def headers_of(message: Any) -> dict[str, Any]:
    """The task's headers; of Celery's protocol 1 they are in the body."""
    payload = message.payload
    if not isinstance(payload, dict):
        return dict(message.headers or {})
    return {**proto1_to_proto2(message, dict(payload))[1], **(message.headers or {})}


def read(kind: Kind, message: Any, headers: Mapping[str, Any], now: dt.datetime, zone: dt.tzinfo) -> Sent:
    """What the message asks for. ``zone``: of times without one.

    Raises:
        NotHonoured: names all that a job cannot do.
    """
    wrong: list[str] = []
    args, kwargs, embedded = _body(message)
    if embedded.get("chord"):
        wrong.append(
            "it carries a chord, whose parts are counted by its sender's result backend, where no job is: call the chord "
            "where Furrow is, or submit the parts as a workflow"
        )
    followers = {option: embedded[name] for name, option in _EMBEDDED.items() if embedded.get(name)}
    if odd := [option for option, value in followers.items() if not _are_signatures(value)]:
        wrong.append(f"its {' and '.join(odd)} is no list of signatures")
    if limits := _limits(kind, headers.get("timelimit")):
        wrong.append(limits)
    if not isinstance(args, (list, tuple)) or not isinstance(kwargs, Mapping):
        wrong.append("its arguments are no list and no object")
    run_at, expires = (_moment(name, headers.get(name), zone, wrong) for name in ("eta", "expires"))
    if expires is None and message.properties.get("expiration"):
        expires = _expiration(message.properties["expiration"], now, run_at, wrong)
    id, batch = (_id(name, headers.get(name), wrong) for name in ("id", "group"))
    if id is None and not wrong:
        wrong.append("it has no id: a job's id comes of the task's")
    retries = headers.get("retries") or 0
    if not isinstance(retries, int) or retries < 0:
        wrong.append(f"its header retries is {retries!r:.40}, and no count")
    if wrong or id is None:
        raise NotHonoured("; ".join(wrong))
    expired = expires is not None and expires <= max(now, run_at or now)
    options = {
        "run_at": run_at,
        "expires": None if expired else expires,
        "priority": _priority(message.properties.get("priority")),
        "batch": batch,
        "max_attempts": max(1, kind.retry.max_attempts - retries) if retries else None,
        "meta": _meta(headers, id, batch),
    }
    return Sent(id, list(args), dict(kwargs), options, expired, followers)


def read_call(kind: Kind, message: Any, headers: Mapping[str, Any]) -> Sent:
    """The same of an adopted task, of which all can be honoured that Celery can.

    Raises:
        NotHonoured: its body cannot be read.
        TypeError, OptionError: its arguments or its options cannot be.
    """
    args, kwargs, embedded = _body(message)
    if not isinstance(args, (list, tuple)) or not isinstance(kwargs, Mapping):
        raise NotHonoured("its arguments are no list and no object")
    if not headers.get("id"):
        raise NotHonoured("it has no id, by which its job could be known when the message comes again")
    given = received.options_of(headers, message.properties, embedded)
    followers: dict[str, Any] = {name: given.pop(name) for name in ("link", "link_error", "chain") if name in given}
    if odd := [name for name, value in followers.items() if not _are_signatures(value)]:
        raise NotHonoured(f"its {' and '.join(odd)} is no list of signatures")
    values, options, expired = received.call_of(kind, args, kwargs, given)
    return Sent(options.pop("id"), [], {}, options, expired, followers, values)


def is_celerys(kind: Kind, message: Any) -> bool:
    """A message of an adopted task that Celery runs as it would: a part of an ordinary chord, which its sender's result backend
    counts; or ordinary tasks follow it."""
    try:
        embedded = _body(message)[2]
        followers = {option: embedded[name] for name, option in _EMBEDDED.items() if embedded.get(name)}
        if followers:
            makeup(Signature(kind.name), followers)
        return bool(embedded.get("chord"))
    except WorkflowError:
        return True
    except Exception:  # of a body that nobody can read
        return False


def _body(message: Any) -> tuple[Any, Any, dict[str, Any]]:
    """Arguments, and what is embedded."""
    payload = message.payload
    if isinstance(payload, dict):
        payload = proto1_to_proto2(message, dict(payload))[0]
    try:
        args, kwargs, embedded = payload
    except (TypeError, ValueError):
        raise NotHonoured("its body is no list of arguments, named arguments and an object") from None
    return args, kwargs, embedded if isinstance(embedded, dict) else {}


def _are_signatures(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) and isinstance(one.get("task"), str) for one in value)


def _limits(kind: Kind, given: Any) -> str:
    hard, soft = given or (None, None)  # two numbers or nothing: the consumer has looked
    names = [("time_limit", hard, kind.timeout), ("soft_time_limit", soft, kind.soft_timeout)]
    differ = [f"{name} is {value} s (the kind's: {own or 'none'})" for name, value, own in names if value not in (None, own)]
    return f"its {' and '.join(differ)}: a job has the limits that its kind declares" if differ else ""


def _moment(name: str, value: Any, zone: dt.tzinfo, wrong: list[str]) -> dt.datetime | None:
    if value in (None, ""):
        return None
    try:
        moment = dt.datetime.fromisoformat(value)
        return moment if moment.tzinfo else moment.replace(tzinfo=zone)
    except (TypeError, ValueError):
        wrong.append(f"its header {name} is {value!r:.60}, and no time in ISO 8601")
        return None


def _expiration(value: Any, now: dt.datetime, run_at: dt.datetime | None, wrong: list[str]) -> dt.datetime | None:
    """AMQP's, in milliseconds; Celery sends it beside ``expires``, other clients alone."""
    try:
        return max(now, run_at or now) + dt.timedelta(milliseconds=int(value))
    except (TypeError, ValueError, OverflowError):
        wrong.append(f"its expiration is {value!r:.40}, and no number of milliseconds")
        return None


def _id(name: str, value: Any, wrong: list[str]) -> uuid.UUID | None:
    if value in (None, ""):
        return None
    if not isinstance(value, str) or len(value) > LONGEST_ID or clean(value) != value:
        wrong.append(f"its {name} is {value!r:.60}: it must be a text of at most {LONGEST_ID} characters")
        return None
    return job_id(value)


def _priority(value: Any) -> int | None:
    """AMQP counts upwards; 0 is what a client sends that says nothing."""
    return LOWEST_PRIORITY - min(value, LOWEST_PRIORITY) if isinstance(value, int) and value > 0 else None


def _meta(headers: Mapping[str, Any], id: uuid.UUID, batch: uuid.UUID | None) -> dict[str, Any] | None:
    """Who sent it, its ids where the job has others, and the client's own headers."""
    told = {name: headers[name] for name in _TOLD if headers.get(name)}
    if told.get("root_id") == headers["id"]:
        del told["root_id"]
    told |= {name: headers[name] for name, ours in (("id", id), ("group", batch)) if ours and headers[name] != str(ours)}
    own = {name: value for name, value in headers.items() if name not in _KNOWN and not name.startswith("x-")}
    found = told | ({"headers": own} if own else {})
    return {META: json.loads(json.dumps(found, default=str))} if found else None
