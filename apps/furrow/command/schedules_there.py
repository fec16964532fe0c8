"""Schedules of a project elsewhere, over its HTTP API."""

import datetime as dt
import uuid
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from django.core.management.base import CommandError

from furrow.command.http import Problem, Server
from furrow.command.source import Facts, Schedules
from furrow.errors import did_you_mean


class SchedulesThere(Schedules):
    """As the user of a token."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def schedules(self) -> list[Facts]:
        found: list[Facts] = []
        place: dict[str, str] = {}
        while True:
            page = self._server.get("schedules", place)
            found += page["schedules"]
            if not page["next"]:
                return found
            place = dict(parse_qsl(urlsplit(page["next"]).query))

    def schedule(self, name: str) -> Facts:
        found: Facts = self._server.get(f"schedules/{self._find(name)['id']}")
        return found

    def preview(self, timing: str, timezone: str | None) -> Facts:
        try:
            found: Facts = self._server.get("schedules/preview", {"timing": timing, "timezone": timezone})
        except Problem as problem:
            raise _plainly(problem, "timing") from None
        return found

    def write(self, verb: str, name: str, given: Facts) -> Facts:
        if verb == "add":
            added: Facts = self._server.post("schedules", {"name": name, **given}, key=str(uuid.uuid4()))
            return added
        changed: Facts = self._post(name, "change", given)
        return changed

    def act(self, verb: str, name: str, reason: str) -> bool:
        return bool(self._post(name, verb, {"reason": reason} if verb == "pause" else None)["changed"])

    def run(self, name: str) -> Any:
        return self._post(name, "run", None)["job"]

    def missing(self, name: str, start: dt.datetime, end: dt.datetime | None) -> tuple[str, list[str]]:
        return self._find(name)["kind"], self._post(name, "backfill", {**_span(start, end), "preview": True})["due"]

    def backfill(self, name: str, start: dt.datetime, end: dt.datetime | None) -> list[Any]:
        jobs: list[Any] = self._post(name, "backfill", _span(start, end))["jobs"]
        return jobs

    def _find(self, name: str) -> Facts:
        if found := self._server.get("schedules", {"name": name})["schedules"]:
            one: Facts = found[0]
            return one
        known = [one["name"] for one in self._server.get("schedules")["schedules"]]
        raise CommandError(f"There is no schedule {name!r}; {did_you_mean(name, known)}.")

    def _post(self, name: str, verb: str, body: Facts | None) -> Any:
        return self._server.post(f"schedules/{self._find(name)['id']}/{verb}", body)


def _span(start: dt.datetime, end: dt.datetime | None) -> Facts:
    return {"start": start.isoformat(), **({"end": end.isoformat()} if end else {})}


def _plainly(problem: Problem, field: str) -> CommandError:
    """The reason alone, where there is one field that could be at fault."""
    return CommandError(problem.fields[field]) if [*problem.fields] == [field] else problem
