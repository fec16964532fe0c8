"""Celery's options of a call, as options of a submit."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from furrow.errors import OptionError

#: Options that have other parts of a canvas follow.
FOLLOWERS = ("link", "link_error", "chain", "chord")
#: What Celery adds to a part's options on its way, which makes no difference to a job.
_OF_CELERYS_OWN = frozenset(
    {
        *("root_id", "parent_id", "group_id", "group_index", "reply_to", "replaced_task_nesting", "route_name"),
        *("producer", "publisher", "connection", "router", "result_cls", "add_to_parent", *FOLLOWERS),
    }
)
_NAMES = {"countdown": "countdown", "eta": "run_at", "expires": "expires", "priority": "priority", "queue": "queue"}
#: The option of an errback that takes a request, an exception and a traceback: the id of the job that failed.
ERRBACK = "furrow_errback"
#: Where stamps are in a job's metadata.
META = "celery"


def that_matter(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options that say something."""
    return {
        name: value for name, value in given.items() if value is not None and (name in FOLLOWERS or name not in _OF_CELERYS_OWN)
    }


def submit_options(kind: str, given: Mapping[str, Any], *, later: bool = False) -> dict[str, Any]:
    """The options of :func:`furrow.submit`. ``later``: of a job that waits for others, and so begins nobody knows when.

    Raises:
        OptionError: jobs have no such option, or one that waits cannot have it.
    """
    given = {name: value for name, value in given.items() if value is not None and name not in _OF_CELERYS_OWN}
    stamped = given.pop("stamped_headers", ())
    stamps = {name: given.pop(name) for name in stamped if name in given}
    options = {to: given.pop(name) for name, to in _NAMES.items() if name in given}
    if "task_id" in given:
        options["id"] = given.pop("task_id")
    wrong = dict.fromkeys(given, "is an option of Celery's that jobs do not have")
    if later and options.get("countdown"):
        wrong["countdown"] = "would count from the submit, and not from the end of what this part waits for: give eta=…, a time"
    if later and isinstance(options.get("expires"), (int, float, dt.timedelta)):
        wrong["expires"] = "would count from the submit, and not from the end of what this part waits for: give a time"
    if wrong:
        raise OptionError(kind, wrong)
    return options | ({"meta": {META: {"stamps": stamps}}} if stamps else {})
