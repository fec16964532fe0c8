"""What is known when a campaign is over, as plain data: rows, moves, the handlers' own records, the submitters' journals,
the faults.

Ids are 32 hex digits, times seconds since the epoch.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from furrow.prove import graphs, overheard, records, ticked
from furrow.prove.bridged import BRIDGE
from furrow.prove.faults.base import Happened
from furrow.prove.graphs import Graphs
from furrow.prove.overheard import Overheard
from furrow.prove.program import Exit
from furrow.prove.stack import Stack
from furrow.prove.ticked import Ticked
from furrow.tables import ATTEMPT, JOB, LOG_LINE, STEP, WORKER


class JobRow(NamedTuple):
    """The job's row."""

    kind: str
    state: str
    attempt: int
    error: str
    excused: int = 0
    result: Any = None


class AttemptRow(NamedTuple):
    """A row of ``furrow_attempt``."""

    number: int
    outcome: str
    worker: str | None
    pid: int
    started: float
    finished: float
    error_type: str = ""


class Move(NamedTuple):
    """What the audit's trigger noted: from and to which state and attempt."""

    at: float
    before: str | None
    after: str | None
    attempt_before: int | None
    attempt: int | None
    worker: str | None
    ahead: float = 0.0  #: seconds by which the database's clock was set then; ``at`` is the machine's time


@dataclass
class Run:
    """A handler's own record of one run."""

    attempt: int
    pid: int
    parent: int
    began: float
    ended: float | None = None
    how: str = ""  #: ``end``, ``raise``; empty: it was cut off
    kind: str = ""
    saw: dict[str, Any] = field(default_factory=dict)  #: the arguments that it was given
    result: Any = None  #: what it returned
    error: str = ""  #: the class of what it raised
    lines: list[str] = field(default_factory=list)  #: what it was about to log
    around: dict[str, Any] = field(default_factory=dict)  #: how it found its process, where it looked
    #: What it wrote down of its steps: ``step`` (a function was called) or ``got`` (what it gave), its name, the value, when.
    steps: list[tuple[str, str, Any, float]] = field(default_factory=list)


@dataclass
class Submit:
    """What a submitter was told. ``void`` are ids, ``mute`` events of a savepoint that was rolled back."""

    way: str
    ids: list[str]
    void: list[str]
    outcome: str = ""  #: ``committed``, ``rolled back``; empty: unknown
    at: float = 0.0  #: when the outcome was known
    events: list[str] = field(default_factory=list)  #: tokens of the events that it publishes
    mute: list[str] = field(default_factory=list)


@dataclass
class Wanted:
    """What a submitter wanted of a job."""

    arguments: list[dict[str, Any]]  #: more than one where later submits may have replaced them
    by: str  #: the submitter
    run_at: float | None = None  #: not before
    expires: tuple[float, float] | None = None  #: cancelled if it has not begun by then: at the earliest, and at the latest


@dataclass
class Cancel:
    """Somebody asked to cancel a job; ``done`` is when he was told that it was done, ``None`` if he was not."""

    asked: float
    done: float | None = None
    changed: int = 0


class Asked(NamedTuple):
    """A submit with a unique key, which was given this job; ``done``: when it was known to be committed."""

    got: str
    n: int
    done: float | None


@dataclass
class Published:
    """A message of the bridge's queue; ``confirmed``: when RabbitMQ said that it has it, ``None`` if it did not."""

    confirmed: float | None = None
    jobs: list[str] = field(default_factory=list)


@dataclass
class Evidence(Overheard):
    """See the module."""

    jobs: dict[str, JobRow] = field(default_factory=dict)
    attempts: dict[str, list[AttemptRow]] = field(default_factory=lambda: defaultdict(list))
    moves: dict[str, list[Move]] = field(default_factory=lambda: defaultdict(list))
    runs: dict[str, list[Run]] = field(default_factory=lambda: defaultdict(list))
    writes: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))  #: attempts whose handler committed a row
    workers: dict[str, tuple[str, int]] = field(default_factory=dict)  #: node and process number, by id
    lines: dict[str, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))  #: attempt and text
    submits: list[Submit] = field(default_factory=list)
    wanted: dict[str, Wanted] = field(default_factory=dict)
    cancels: dict[str, list[Cancel]] = field(default_factory=lambda: defaultdict(list))
    asked: dict[str, list[Asked]] = field(default_factory=lambda: defaultdict(list))  #: by ``kind:key``
    published: dict[str, Published] = field(default_factory=dict)  #: by the message's id
    graphs: Graphs = field(default_factory=Graphs)  #: workflows
    ticked: Ticked = field(default_factory=Ticked)  #: schedules
    calls: set[tuple[str, str]] = field(default_factory=set)  #: jobs, and the workflows that they called from steps
    waits: dict[str, str] = field(default_factory=dict)  #: the steps that jobs wait in
    faults: list[Happened] = field(default_factory=list)
    exits: list[Exit] = field(default_factory=list)
    #: What is held or kept by nobody, in words; see :func:`furrow.prove.drift.look`.
    drift: list[str] = field(default_factory=list)

    @property
    def called(self) -> set[str]:
        """Jobs that handlers called from steps."""
        flows = {workflow for _, workflow in self.calls}
        nodes = {id for id, node in self.graphs.nodes.items() if node.workflow in flows}
        return {job for job, node in self.graphs.of.items() if node in nodes}


def collect(stack: Stack, faults: Iterable[Happened], drift: Iterable[str]) -> Evidence:
    """Read everything."""
    exits = [end for program in stack.programs.values() for end in program.exits]
    database, time = stack.database, stack.database.epoch
    events = overheard.read(database, stack.folder / "records")
    found = Evidence(**vars(events), faults=list(faults), drift=list(drift), exits=exits, graphs=graphs.read(database))
    found.ticked = ticked.read(database)
    columns = "id, kind, state, attempt, error, excused, CAST(result AS text)"
    for id, *job in database.rows(f"SELECT {columns} FROM {JOB}"):
        found.jobs[id] = JobRow(*job)
        if (result := found.jobs[id].result) is not None:
            found.jobs[id] = found.jobs[id]._replace(result=json.loads(result))
    for id, *attempt in database.rows(
        f"SELECT job_id, number, outcome, worker, pid, {time('started_at')}, {time('finished_at')}, error_type "
        f"FROM {ATTEMPT} ORDER BY number"
    ):
        found.attempts[id].append(AttemptRow(*attempt))
    for id, *move in database.rows(
        "SELECT job, at, before, after, attempt_before, attempt, worker, ahead FROM prove_move ORDER BY seq"
    ):
        found.moves[id].append(Move(*move))
    for id, rows in found.attempts.items():
        rows[:] = [_true(row, found.moves[id]) for row in rows]
    for id, number, text in database.rows(f"SELECT job_id, attempt, message FROM {LOG_LINE} ORDER BY id"):
        found.lines[id].append((number, text))
    for id, attempt in database.rows("SELECT job, attempt FROM prove_write ORDER BY seq"):
        found.writes[id].append(attempt)
    for id, name, sort, awaits, finished in database.rows(
        f"SELECT job_id, name, sort, awaits, finished_at IS NOT NULL FROM {STEP}"
    ):
        if sort == "call":
            found.calls.add((id, awaits))
        if not finished:
            found.waits[id] = name
    for id, node, pid in database.rows(f"SELECT id, node, pid FROM {WORKER}"):
        found.workers[id] = (node, pid)
    _read_runs(found, stack.folder / "records")
    _read_submits(found, stack.folder / "records")
    made = database.rows(f"SELECT id, CAST(arguments AS text) FROM {JOB} WHERE kind = '{BRIDGE.kind}'")
    _read_published(found, stack.folder / "records", {id: json.loads(text)["message"] for id, text in made})
    return found


def _true(row: AttemptRow, moves: list[Move]) -> AttemptRow:
    """An attempt whose times are of a clock that had been set has those of its moves, which are the machine's."""
    began = next((move for move in moves if move.after == "running" and move.attempt == row.number), None)
    over = next((move for move in moves if move.before == "running" and move.attempt_before == row.number), None)
    if not began or not over or not (began.ahead or over.ahead):
        return row
    return row._replace(started=began.at, finished=over.at)


def _read_runs(found: Evidence, folder: Path) -> None:
    under_way: dict[int, Run] = {}  # a process runs one job at a time
    for line in records.read(folder, "effects"):
        if line["did"] == "begin":
            run = under_way[line["pid"]] = Run(
                line["attempt"], line["pid"], line["parent"], line["at"], kind=line["kind"], saw=line["saw"]
            )
            found.runs[line["job"]].append(run)
            continue
        run = under_way[line["pid"]]
        if line["did"] == "log":
            run.lines.append(line["text"])
        elif line["did"] == "look":
            run.around = line["around"]
        elif line["did"] in ("step", "got"):
            run.steps.append((line["did"], line["step"], line["value"], line["at"]))
        else:
            run.how, run.ended = line["did"], line["at"]
            run.result, run.error = line.get("result"), line.get("error", "")
    for runs in found.runs.values():
        runs.sort(key=lambda run: run.began)


def _read_published(found: Evidence, folder: Path, messages: Mapping[str, str]) -> None:
    """``messages``: of each job that a bridge made."""
    for line in records.read(folder, "published"):
        if line["did"] == "intent":
            found.published |= {id: Published() for id in line["ids"]}
        else:
            found.published[line["id"]].confirmed = line["at"]
    for job, message in messages.items():
        if message in found.published:
            found.published[message].jobs.append(job)


def _read_submits(found: Evidence, folder: Path) -> None:
    open_: dict[str, tuple[Submit, list[Any]]] = {}
    for line in records.read(folder, "submits"):
        if line["did"] == "cancel":
            found.cancels[line["job"]].append(Cancel(line["at"]))
        elif line["did"] == "cancelled":
            cancel = found.cancels[line["job"]][-1]
            cancel.done, cancel.changed = line["at"], line["changed"]
        elif line["did"] == "intent":
            submit = Submit(line["way"], line["ids"], line["void"], events=line["events"], mute=line["mute"])
            open_[line["tx"]] = submit, line["asks"]
            found.submits.append(submit)
            for id, arguments, by, run_at, expires in line["jobs"]:
                found.wanted[id] = Wanted([arguments], by, run_at, expires and tuple(expires))
        elif line["tx"] in open_:  # a transaction that failed before its intent left no ids
            submit, _ = open_[line["tx"]]
            submit.outcome, submit.at = line["did"], line["at"]
    for submit, asks in open_.values():
        for key, got, n, arguments in asks if submit.outcome != "rolled back" else ():
            if submit.outcome == "committed":
                found.asked[key].append(Asked(got, n, submit.at))
            if got in found.wanted and arguments not in found.wanted[got].arguments:
                found.wanted[got].arguments.append(arguments)
