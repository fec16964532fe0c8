"""Where the commands' facts come from, and what acts: ``here`` with the project's database, ``there`` over the HTTP API.

Facts are JSON as of :mod:`furrow.diagnosis.as_json`, so that what is shown and printed is the same.
"""

import datetime as dt
import uuid
from collections import Counter
from typing import Any, Protocol

from django.core.management.base import CommandError

#: A JSON object.
Facts = dict[str, Any]


class Away(CommandError):
    """The database or the server does not answer; it may do so later. ``nothing_done``: it did not get what was asked."""

    def __init__(self, text: str, *, nothing_done: bool = False) -> None:
        super().__init__(text)
        self.nothing_done = nothing_done


class WrongTable(Exception):
    """Nothing was submitted: ``problems`` says for each what is wrong, and where."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems[:3]))
        self.problems = problems


class Source(Protocol):
    """What commands ask. Each refuses with a CommandError or a FurrowError, and raises ``Away``."""

    #: What does not answer, when it does not.
    name: str

    def now(self) -> dt.datetime:
        """The time there."""

    def must_view(self) -> None:
        """Refuses whoever may not see jobs."""

    # --- Looking ------------------------------------------------------------------------------------------------------

    def kinds(self) -> list[Facts]:
        """All kinds."""

    def kind(self, name: str) -> Facts:
        """One kind, with ``inputs``."""

    def must_be_kind(self, name: str) -> None:
        """Refuses a misspelt kind; one that is not registered any more may have jobs."""

    def jobs(self, criteria: dict[str, str], limit: int) -> list[Facts]:
        """The newest that meet the criteria of :mod:`furrow.actions.selection`."""

    def job(self, job_id: uuid.UUID) -> Facts:
        """One job, with ``result``, ``why`` and ``attempts``."""

    def stats(self) -> Facts:
        """``queues``, ``kinds`` and ``workers``."""

    def worker_command(self) -> str:
        """How a worker is started there."""

    # --- Following ----------------------------------------------------------------------------------------------------

    def brief(self, job_id: uuid.UUID) -> Facts:
        """One job, with ``result``."""

    def lines(self, job_id: uuid.UUID, after: int, level: int, wait: float) -> tuple[list[Facts], int]:
        """Log lines after a cursor, and the next cursor. If there are none it waits for a while, up to ``wait`` seconds."""

    def counts(self, batch: uuid.UUID) -> Counter[str]:
        """How many jobs of a batch are in each state."""

    # --- Submitting ---------------------------------------------------------------------------------------------------

    def submit(self, kind: str, words: list[str], given: Facts, options: Facts) -> Facts:
        """Submit one job, whose arguments are the ``given`` ones and those of the words ``name=value``."""

    def submit_table(self, kind: str, content: bytes, is_json: bool, options: Facts) -> tuple[uuid.UUID, int]:
        """Submit many, all or none; returns the batch, and how many they are.

        Raises:
            WrongTable: nothing was submitted.
        """

    # --- Acting -------------------------------------------------------------------------------------------------------

    def check(self, command: str, action: str, value: Facts) -> Facts:
        """What an action needs, checked. Refuses an action that is not possible there."""

    def act(self, command: str, action: str, value: Facts, ids: list[uuid.UUID]) -> tuple[int, list[uuid.UUID]]:
        """Act on these; returns how many were changed, and those that are locked."""

    def count(self, action: str, criteria: dict[str, str]) -> int:
        """How many jobs an action on all that match would be done to; it is done by :meth:`start`."""

    def start(self, action: str, value: Facts, criteria: dict[str, str]) -> uuid.UUID:
        """Act on all that match, by a job of its own; returns its id."""

    def forbids_kinds(self) -> bool:
        """There may be kinds on which the actor may not act."""

    def signal(self, job_id: uuid.UUID, name: str, payload: Any) -> bool:
        """Send a job, or the nodes of a workflow, a signal; whether one waited for it."""

    def retry_from(self, job_id: uuid.UUID, step: str) -> bool:
        """Run a job again from a step; ``False``: it is running."""

    # --- Workflows ----------------------------------------------------------------------------------------------------

    def workflows(self, state: str, search: str, limit: int) -> list[Facts]:
        """The newest of this state, with this in their name."""

    def workflow(self, workflow_id: uuid.UUID) -> Facts:
        """One workflow, with ``nodes`` and ``edges``."""

    def act_on_workflows(self, action: str, ids: list[uuid.UUID], reason: str) -> tuple[int, list[uuid.UUID], list[uuid.UUID]]:
        """Act on these; returns how many were changed, those with kinds on which the actor may not act, and those that are
        locked."""

    def fork_workflow(self, workflow_id: uuid.UUID, node: str, arguments: Facts) -> Facts:
        """Repeat a workflow from a node on; returns the new one."""

    # --- Approvals ----------------------------------------------------------------------------------------------------

    def approvals(self, show: str, limit: int) -> list[Facts]:
        """The newest of these, as :func:`furrow.approvals.deciding.select` has them."""

    def decide(self, approval_id: uuid.UUID, approved: bool, note: str, answers: Facts | None) -> Facts:
        """Approve or reject; returns the approval."""

    # --- Queues -------------------------------------------------------------------------------------------------------

    def pause(self, queue: str, *, reason: str, drain: bool) -> bool:
        """Pause a queue; ``False``: it was paused."""

    def resume(self, queue: str) -> bool:
        """Resume a queue; ``False``: it was not paused."""


class Schedules(Protocol):
    """What ``furrow schedules`` asks. A schedule that is not there is refused with a hint."""

    def schedules(self) -> list[Facts]:
        """All, by their names."""

    def schedule(self, name: str) -> Facts:
        """One, with ``next_times`` and ``last_times``."""

    def preview(self, timing: str, timezone: str | None) -> Facts:
        """What a text means: ``words``, ``timezone``, ``next_times``."""

    def write(self, verb: str, name: str, given: Facts) -> Facts:
        """``add`` one, or ``change`` it; returns it."""

    def act(self, verb: str, name: str, reason: str) -> bool:
        """``pause``, ``resume`` or ``delete``; whether that changed anything."""

    def run(self, name: str) -> Any:
        """Submit its job now; returns the job's id."""

    def missing(self, name: str, start: dt.datetime, end: dt.datetime | None) -> tuple[str, list[str]]:
        """The kind, and the times of a span that have no job; ``end``: now where it is left out."""

    def backfill(self, name: str, start: dt.datetime, end: dt.datetime | None) -> list[Any]:
        """Submit a job for each of them; returns the jobs' ids."""
