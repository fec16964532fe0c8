"""What is known when a campaign is over, as plain data: rows, moves, the handlers' own records, the submitters' journals,
the faults.

Ids are 32 hex digits, times seconds since the epoch.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from apps.prove import records
from apps.prove.faults.base import Happened
from apps.prove.program import Exit
from apps.prove.stack import Stack


class JobRow(NamedTuple):
    """The job's row."""

    kind: str
    state: str
    attempt: int
    error: str


class AttemptRow(NamedTuple):
    """A row of ``jobs_attempt``."""

    number: int
    outcome: str
    worker: str | None
    pid: int
    started: float
    finished: float


class Move(NamedTuple):
    """What the audit's trigger noted: from and to which state and attempt."""

    at: float
    before: str | None
    after: str | None
    attempt_before: int | None
    attempt: int | None
    worker: str | None


@dataclass
class Run:
    """A handler's own record of one run."""

    attempt: int
    pid: int
    parent: int
    began: float
    ended: float | None = None
    how: str = ""  #: ``end``, ``raise``; empty: it was cut off
    lock: str = ""  #: the key that it had to itself


@dataclass
class Submit:
    """What a submitter was told. ``void`` are ids of a savepoint that was rolled back."""

    way: str
    ids: list[str]
    void: list[str]
    outcome: str = ""  #: ``committed``, ``rolled back``; empty: unknown


@dataclass
class Evidence:
    """See the module."""

    jobs: dict[str, JobRow] = field(default_factory=dict)
    attempts: dict[str, list[AttemptRow]] = field(default_factory=lambda: defaultdict(list))
    moves: dict[str, list[Move]] = field(default_factory=lambda: defaultdict(list))
    runs: dict[str, list[Run]] = field(default_factory=lambda: defaultdict(list))
    writes: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))  #: attempts whose handler committed a row
    workers: dict[str, tuple[str, int]] = field(default_factory=dict)  #: node and process number, by id
    submits: list[Submit] = field(default_factory=list)
    faults: list[Happened] = field(default_factory=list)
    exits: list[Exit] = field(default_factory=list)
    #: What is held or kept by nobody, in words; see :func:`apps.prove.drift.look`.
    drift: list[str] = field(default_factory=list)


def collect(stack: Stack, faults: Iterable[Happened], drift: Iterable[str]) -> Evidence:
    """Read everything."""
    exits = [end for program in stack.programs.values() for end in program.exits]
    found = Evidence(faults=list(faults), drift=list(drift), exits=exits)
    database, time = stack.database, stack.database.epoch
    for id, *job in database.rows("SELECT id, kind, state, attempt, error FROM jobs_job"):
        found.jobs[id] = JobRow(*job)
    for id, *attempt in database.rows(
        f"SELECT job_id, number, outcome, worker, pid, {time('started_at')}, {time('finished_at')} "
        "FROM jobs_attempt ORDER BY number"
    ):
        found.attempts[id].append(AttemptRow(*attempt))
    for id, *move in database.rows(
        "SELECT job, at, before, after, attempt_before, attempt, worker FROM prove_move ORDER BY seq"
    ):
        found.moves[id].append(Move(*move))
    for id, attempt in database.rows("SELECT job, attempt FROM prove_write ORDER BY seq"):
        found.writes[id].append(attempt)
    for id, node, pid in database.rows("SELECT id, node, pid FROM jobs_worker"):
        found.workers[id] = (node, pid)
    _read_runs(found, stack.folder / "records")
    _read_submits(found, stack.folder / "records")
    return found


def _read_runs(found: Evidence, folder: Path) -> None:
    under_way: dict[int, Run] = {}  # a process runs one job at a time
    for line in records.read(folder, "effects"):
        if line["did"] == "begin":
            run = under_way[line["pid"]] = Run(line["attempt"], line["pid"], line["parent"], line["at"], lock=line["lock"])
            found.runs[line["job"]].append(run)
        else:
            run = under_way[line["pid"]]
            run.how, run.ended = line["did"], line["at"]
    for runs in found.runs.values():
        runs.sort(key=lambda run: run.began)


def _read_submits(found: Evidence, folder: Path) -> None:
    open_: dict[str, Submit] = {}
    for line in records.read(folder, "submits"):
        if line["did"] == "intent":
            submit = open_[line["tx"]] = Submit(line["way"], line["ids"], line["void"])
            found.submits.append(submit)
        elif line["tx"] in open_:  # a transaction that failed before its intent left no ids
            open_[line["tx"]].outcome = line["did"]
