"""Celery's options of a call of a task, as options of a submit. Options of the transport (compression, serializer, exchange, …)
make no difference to a row."""

import datetime as dt
import json
import math
from collections.abc import Mapping
from typing import Any

from celery.utils.time import maybe_make_aware
from kombu import Queue
from kombu.utils.json import dumps as celerys

from furrow import statements
from furrow.adoption.told import KEPT
from furrow.conf import conf
from furrow.errors import OptionError
from furrow.kinds.celery_options import ERRBACK, META
from furrow.kinds.results import job_id
from furrow.models.database import connection
from furrow.models.job import DEFAULT_PRIORITY, HIGHEST_PRIORITY


class Call:
    """The options of one call. ``expired``: its time is over already, as ``expires`` says."""

    def __init__(self, kind: Any, given: Mapping[str, Any], *, later: bool = False) -> None:
        """``later``: it waits for others, so that nobody knows when it begins."""
        self.kind, self.given, self.later = kind, given, later
        self.app = kind.celery.app
        self.expired = False

    def options(self, positional: int | None) -> dict[str, Any]:
        """Of :func:`furrow.submit`.

        Raises:
            OptionError: one cannot be, or not of a job that waits for others.
        """
        given = self._routed()
        found: dict[str, Any] = {}
        told: dict[str, Any] = {} if positional is None else {"args": positional}
        if (id := given.get("task_id")) is not None:
            found["id"] = job_id(id)
            if str(found["id"]) != str(id):
                told["id"] = str(id)
        self._queue(given.get("queue"), found, told)
        if given.get("priority") is not None:
            found["priority"] = priority_of(given["priority"])
            told |= {} if given["priority"] == self.kind.celery.priority else {"priority": given["priority"]}
        self._times(given, found, told)
        told |= {name: value for name in KEPT if (value := given.get(name))}
        told |= {"retries": given["retries"]} if given.get("retries") else {}
        if (batch := given.get("group_id")) is not None:
            found["batch"] = job_id(batch)
        if given.get("ignore_result") not in (None, self.kind.celery.ignore_result):
            told["ignore_result"] = bool(given["ignore_result"])
        limits = [given.get(name) or None for name in ("time_limit", "soft_time_limit")]
        if any(limits) and limits != [self.kind.timeout, self.kind.soft_timeout]:
            told["timelimit"] = [
                one or usual for one, usual in zip(limits, (self.kind.timeout, self.kind.soft_timeout), strict=True)
            ]
        if stamped := given.get("stamped_headers"):
            told["stamps"] = {name: given[name] for name in stamped if name in given}
        if failed := given.get(ERRBACK):
            told["errback"] = str(failed)
        if headers := given.get("headers"):
            told["headers"] = dict(headers)
        if told:
            found["meta"] = {META: _plain(self.kind.name, told)}
        return found

    def _routed(self) -> dict[str, Any]:
        """With what ``task_routes`` says."""
        given = {name: value for name, value in self.given.items() if value is not None}
        router = self.app.amqp.router if self.app.conf.task_routes else None
        if router is None or "queue" in given:
            return given
        task = self.kind.celery
        route = router.lookup_route(task.name, given.get("args"), given.get("kwargs"), given, task)
        return {**(route or {}), **given}

    def _queue(self, queue: Any, found: dict[str, Any], told: dict[str, Any]) -> None:
        name = queue.name if isinstance(queue, Queue) else queue
        if name in conf().queues:
            found["queue"] = name
        elif name not in (None, self.app.conf.task_default_queue):
            told["queue"] = str(name)

    def _times(self, given: Mapping[str, Any], found: dict[str, Any], told: dict[str, Any]) -> None:
        eta, countdown, expires = given.get("eta"), given.get("countdown"), given.get("expires")
        if not (eta or countdown or expires is not None):
            return
        if self.later and (wrong := self._spans(countdown, expires)):
            raise OptionError(self.kind.name, wrong)
        now = statements.on(connection).clock(connection)
        due = self._moment(eta, now) if eta else now + dt.timedelta(seconds=countdown) if countdown else None
        if due is not None:
            told["eta"] = due.isoformat()
            if due > now:
                found["run_at"] = due
        if expires is not None:
            until = self._moment(expires, now)
            told["expires"] = until.isoformat()
            self.expired = until <= max(now, found.get("run_at", now))
            if not self.expired:
                found["expires"] = until

    @staticmethod
    def _spans(countdown: Any, expires: Any) -> dict[str, str]:
        text = "would count from the submit, and not from the end of what this part waits for: give"
        wrong = {"countdown": f"{text} eta=…, a time"} if countdown else {}
        return wrong | ({"expires": f"{text} a time"} if isinstance(expires, (int, float)) else {})

    def _moment(self, given: Any, now: dt.datetime) -> dt.datetime:
        if isinstance(given, (int, float)):
            return now + dt.timedelta(seconds=given)
        moment = dt.datetime.fromisoformat(given) if isinstance(given, str) else given
        aware: dt.datetime = maybe_make_aware(moment, self.app.timezone)
        return aware


def priority_of(priority: int | None) -> int:
    """A job's priority, of which 0 goes first, of Celery's, of which the highest does (as RabbitMQ counts). A task without one
    has the least of Celery's, and is where other jobs without one are."""
    steps = math.ceil(min(9, max(0, priority or 0)) / 2)
    return max(HIGHEST_PRIORITY, DEFAULT_PRIORITY - steps)


def _plain(kind: str, told: dict[str, Any]) -> Any:
    try:
        return json.loads(celerys(told))
    except (TypeError, ValueError) as error:
        raise OptionError(
            kind, {"headers": f"cannot be written as JSON ({error}): pass text, numbers, lists and dicts"}
        ) from error
