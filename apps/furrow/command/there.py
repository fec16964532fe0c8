"""Facts from the HTTP API of a project elsewhere (docs/http_api.md), and actions by it, as the user of a token."""

import datetime as dt
import re
import uuid
from collections import Counter
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from django.core.management.base import CommandError

from furrow.command.http import Problem, Server
from furrow.command.source import Facts, Source, WrongTable
from furrow.errors import UnknownKind, unknown_kind

#: Jobs of one page; log lines of one answer; the longest that one request waits (seconds).
PAGE, LINES, LONGEST = 200, 1_000, 20.0
#: What the API does not do, and what does it.
IMPOSSIBLE = ("set-priority", "set-queue", "delete")


class There(Source):
    """The API of another project."""

    name = "The server"

    def __init__(self, server: Server) -> None:
        self._server = server

    def now(self) -> dt.datetime:
        return self._server.now()

    def must_view(self) -> None:
        self._server.get("jobs", {"limit": 1})

    # --- Looking ------------------------------------------------------------------------------------------------------

    def kinds(self) -> list[Facts]:
        found: list[Facts] = self._server.get("kinds")
        return found

    def kind(self, name: str) -> Facts:
        try:
            found: Facts = self._server.get(f"kinds/{quote(name, safe='')}")
        except Problem as problem:
            if problem.status != 404:
                raise
            raise unknown_kind(name, [kind["name"] for kind in self.kinds()]) from None
        return found

    def must_be_kind(self, name: str) -> None:
        try:
            self.kind(name)
        except UnknownKind:
            if not self._server.get("jobs", {"kind": name, "limit": 1})["jobs"]:
                raise

    def jobs(self, criteria: dict[str, str], limit: int) -> list[Facts]:
        found: list[Facts] = []
        place: dict[str, str] = {}
        while len(found) < limit:
            page = self._server.get("jobs", {**criteria, **place, "limit": min(PAGE, limit - len(found))})
            found += page["jobs"]
            if page["next"]:
                place = {"after": _place(page["next"])["after"]}
            elif page["further"]:
                place = _further(place, _place(page["further"]))
            else:
                break
        return found

    def job(self, job_id: uuid.UUID) -> Facts:
        found: Facts = self._server.get(f"jobs/{job_id}")
        return found

    def stats(self) -> Facts:
        found: Facts = self._server.get("stats")
        return found

    def worker_command(self) -> str:
        remedies = [one["remedy"] for one in self._server.get("health")["troubles"] if one["text"] == "No worker is running"]
        return remedies[0].removeprefix("Start one: ") if remedies else "celery -A PROJECT worker"

    # --- Following ----------------------------------------------------------------------------------------------------

    def brief(self, job_id: uuid.UUID) -> Facts:
        found: Facts = self._server.get(f"jobs/{job_id}/result")
        del found["ended"]
        return found

    def lines(self, job_id: uuid.UUID, after: int, level: int, wait: float) -> tuple[list[Facts], int]:
        query = {"after": after, "level": level, "limit": LINES}
        found = self._server.get(f"jobs/{job_id}/logs", query, wait=min(wait, LONGEST))
        return found["lines"], found["after"]

    def counts(self, batch: uuid.UUID) -> Counter[str]:
        return Counter(self._server.get(f"batches/{batch}")["states"])

    # --- Submitting ---------------------------------------------------------------------------------------------------

    def submit(self, kind: str, words: list[str], given: Facts, options: Facts) -> Facts:
        body = {"kind": kind, "arguments": given, "words": words, **_options(options)}
        job: Facts = self._server.post("jobs", body, key=str(uuid.uuid4()))
        del job["existed"]
        return job

    def submit_table(self, kind: str, content: bytes, is_json: bool, options: Facts) -> tuple[uuid.UUID, int]:
        body = {"table": _decoded(content), "table_format": "jsonl" if is_json else "csv", **_options(options)}
        try:
            made = self._server.post(f"kinds/{quote(kind, safe='')}/jobs", body, key=str(uuid.uuid4()))
        except Problem as problem:
            wrong = {name: text for name, text in problem.fields.items() if name.partition(".")[0] == "table"}
            if not wrong:
                raise
            raise WrongTable([_where(name) + text for name, text in wrong.items()]) from None
        return made["batch"], len(made["ids"])

    # --- Acting -------------------------------------------------------------------------------------------------------

    def check(self, command: str, action: str, value: Facts) -> Facts:
        if command in IMPOSSIBLE:
            raise CommandError(f"{command} is not possible with --remote: do it in the admin, or where the project is.")
        return {name: moment.isoformat() for name, moment in value.items()}

    def act(self, command: str, action: str, value: Facts, ids: list[uuid.UUID]) -> tuple[int, list[uuid.UUID]]:
        changed, locked, forbidden = 0, [], None
        for done, job_id in enumerate(wanted := list(dict.fromkeys(ids))):
            try:
                self._server.post(f"jobs/{job_id}/{command}", value)
                changed += 1
            except Problem as problem:
                if problem.status == 403:
                    forbidden = problem
                elif problem.status == 409 and problem.retry_after:
                    locked.append(job_id)
                elif problem.status not in (404, 409):
                    raise _after(problem, changed, done, len(wanted)) from None
            except CommandError as error:
                raise _after(error, changed, done, len(wanted)) from None
        if forbidden and not changed:
            raise forbidden
        return changed, locked

    def count(self, action: str, criteria: dict[str, str]) -> int:
        raise CommandError(
            "With --remote jobs are chosen by ids: jobs list --json with the same conditions gives them, and - reads them from "
            "standard input. Nothing was done."
        )

    def start(self, action: str, value: Facts, criteria: dict[str, str]) -> uuid.UUID:
        raise AssertionError("count refuses")

    def forbids_kinds(self) -> bool:
        return True

    def signal(self, job_id: uuid.UUID, name: str, payload: Any) -> bool:
        body = {"name": name, "payload": payload}
        try:
            return bool(self._server.post(f"jobs/{job_id}/signals", body, key=str(uuid.uuid4()))["delivered"])
        except Problem as problem:
            if problem.status != 404 or not self._is_workflow(job_id):
                raise
        return bool(self._server.post(f"workflows/{job_id}/signals", body, key=str(uuid.uuid4()))["delivered"])

    def _is_workflow(self, id: uuid.UUID) -> bool:
        try:
            return bool(self._server.get(f"workflows/{id}"))
        except Problem:
            return False

    def retry_from(self, job_id: uuid.UUID, step: str) -> bool:
        try:
            self._server.post(f"jobs/{job_id}/retry-from", {"step": step})
        except Problem as problem:
            if problem.status != 409:
                raise
            return False
        return True

    # --- Workflows ----------------------------------------------------------------------------------------------------

    def workflows(self, state: str, search: str, limit: int) -> list[Facts]:
        given = {name: value for name, value in (("state", state), ("q", search)) if value}
        found: list[Facts] = self._server.get("workflows", {**given, "limit": limit})["workflows"]
        return found

    def workflow(self, workflow_id: uuid.UUID) -> Facts:
        found: Facts = self._server.get(f"workflows/{workflow_id}")
        return found

    def act_on_workflows(self, action: str, ids: list[uuid.UUID], reason: str) -> tuple[int, list[uuid.UUID], list[uuid.UUID]]:
        changed, forbidden, locked = 0, list[uuid.UUID](), list[uuid.UUID]()
        for done, workflow_id in enumerate(wanted := list(dict.fromkeys(ids))):
            try:
                self._server.post(f"workflows/{workflow_id}/{action}", {"reason": reason} if action == "cancel" else None)
                changed += 1
            except Problem as problem:
                if problem.status == 403 and len(wanted) > 1:
                    forbidden.append(workflow_id)
                elif problem.status == 409 and problem.retry_after:
                    locked.append(workflow_id)
                elif problem.status not in (404, 409):
                    raise _after(problem, changed, done, len(wanted)) from None
        return changed, forbidden, locked

    def fork_workflow(self, workflow_id: uuid.UUID, node: str, arguments: Facts) -> Facts:
        body = {"node": node, "arguments": arguments}
        found: Facts = self._server.post(f"workflows/{workflow_id}/fork", body, key=str(uuid.uuid4()))
        return found

    # --- Approvals ----------------------------------------------------------------------------------------------------

    def approvals(self, show: str, limit: int) -> list[Facts]:
        found: list[Facts] = self._server.get("approvals", {"show": show, "limit": limit})["approvals"]
        return found

    def decide(self, approval_id: uuid.UUID, approved: bool, note: str, answers: Facts | None) -> Facts:
        body = {"note": note, **({"answers": answers} if approved else {})}
        found: Facts = self._server.post(f"approvals/{approval_id}/{'approve' if approved else 'reject'}", body)
        return found

    # --- Queues -------------------------------------------------------------------------------------------------------

    def pause(self, queue: str, *, reason: str, drain: bool) -> bool:
        body = {"reason": reason, "drain": drain}
        return bool(self._server.post(f"queues/{quote(queue, safe='')}/pause", body)["changed"])

    def resume(self, queue: str) -> bool:
        return bool(self._server.post(f"queues/{quote(queue, safe='')}/resume")["changed"])


def _place(address: str) -> dict[str, str]:
    """Where a page begins, from its address."""
    return {name: text for name, text in parse_qsl(urlsplit(address).query) if name in ("after", "patient")}


def _further(place: dict[str, str], further: dict[str, str]) -> dict[str, str]:
    """From where a search goes on that took too long."""
    if "after" not in further and "patient" in place:
        raise CommandError("The search takes too long there: narrow it, as with --since or --kind.")
    return place | further


def _options(options: Facts) -> Facts:
    """Those that were given, as JSON."""
    moment = options["run_at"]
    return {name: value for name, value in options.items() if value is not None} | (
        {"run_at": moment.isoformat()} if moment else {}
    )


def _decoded(content: bytes) -> str:
    wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line, byte = content.count(b"\n", 0, error.start) + 1, content[error.start]
        text = f"the byte {byte:#04x} is not UTF-{16 if wide else 8}: save the table as CSV UTF-8"
        raise WrongTable([f"line {line}: {text}"]) from None


def _where(field: str) -> str:
    """``line 3, fail: `` of ``table.3.fail``."""
    _table, line, column = [*field.split(".", 2), "", ""][:3]
    place = ", ".join(part for part in (f"line {line}" if re.fullmatch(r"[1-9]\d*", line) else "", column) if part)
    return f"{place}: " if place else ""


def _after(error: CommandError, changed: int, done: int, asked: int) -> CommandError:
    """An error in the middle of several: how far it got."""
    if not done:
        return error
    return CommandError(f"{error} Before that {done:,} of {asked:,} were done, of which {changed:,} changed.")
