"""A Celery message under an adopted task's name, as a call: what processes that do not know of jobs yet, and clients elsewhere,
sent."""

from collections.abc import Mapping
from typing import Any

from furrow.adoption.arguments import Unchecked
from furrow.adoption.options import Call
from furrow.adoption.publishing import OWN

_FOLLOWERS = {"callbacks": "link", "errbacks": "link_error", "chain": "chain"}
_TOLD = ("root_id", "parent_id", "shadow", "argsrepr", "kwargsrepr", "group_index", "replaced_task_nesting", "retries")


def options_of(headers: Mapping[str, Any], properties: Mapping[str, Any], embedded: Mapping[str, Any]) -> dict[str, Any]:
    """What the message asks for, as options of Celery's."""
    given: dict[str, Any] = {name: headers[name] for name in _TOLD if headers.get(name)}
    given |= {option: embedded[name] for name, option in _FOLLOWERS.items() if embedded.get(name)}
    given |= {"task_id": headers.get("id"), "eta": headers.get("eta"), "expires": headers.get("expires")}
    given |= {"group_id": headers.get("group"), "ignore_result": headers.get("ignore_result")}
    given |= {"priority": properties.get("priority"), "reply_to": properties.get("reply_to")}
    given["time_limit"], given["soft_time_limit"] = headers.get("timelimit") or (None, None)
    given |= {**(stamps := headers.get("stamps") or {}), "stamped_headers": [*stamps]}
    own = {name: value for name, value in headers.items() if name not in OWN and not name.startswith("x-")}
    return {**given, "headers": {name: value for name, value in own.items() if name not in stamps and name not in _NO_HEADERS}}


#: In the headers of protocol 1, whose messages have them in the body.
_NO_HEADERS = frozenset(
    {"args", "kwargs", "callbacks", "errbacks", "chord", "taskset", "utc", "headers", "meth", "compression"}
)


def call_of(kind: Any, args: Any, kwargs: Any, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any], bool]:
    """As a submit: arguments, options, and whether its time is over."""
    bound = kind.arguments.bound(tuple(args), dict(kwargs))
    call = Call(kind, given)
    chosen = call.options(bound.positional)
    return Unchecked(bound.values), chosen, call.expired
