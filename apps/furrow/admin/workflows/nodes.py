"""What pages say of a workflow's nodes: read once, for the graph, the timeline and the table alike."""

import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db.models import Count, Q, Sum
from django.db.models.functions import Left

from furrow.diagnosis.explain import situation, why
from furrow.diagnosis.reason import Reason
from furrow.diagnosis.wording import shorten
from furrow.models import Edge, Job, Node, Workflow
from furrow.models.database import connection
from furrow.plural import counted
from furrow.statements.bounded import TookTooLong, at_most
from furrow.states import ENDED, FINAL, Condition, NodeState

#: Nodes on a page, and edges that are read for them.
AT_ONCE, EDGES = 300, 3_000
#: Nodes that one sentence names, and jobs of a page that are explained.
NAMED, EXPLAINED = 3, 5
#: Seconds in which the nodes of many workflows are counted, or not.
COUNT_BUDGET = 0.3
_JOB = ("pk", "kind", "state", "queue", "run_at", "started_at", "finished_at", "progress", "progress_note", "attempt")
#: What an edge waits for, in words. Of the last two nobody waits: which node takes back what, which added which.
COMPENSATES, ADDED = "compensates", "added by"
FOR: dict[str, str] = {**{condition: condition.value for condition in Condition}, COMPENSATES: COMPENSATES, ADDED: ADDED}


class Progress(NamedTuple):
    """How much of something has ended."""

    nodes: int = 0
    nodes_done: int = 0
    jobs: int = 0
    jobs_done: int = 0

    @property
    def fraction(self) -> float:
        """By jobs; by nodes where there are none."""
        done, all = (self.jobs_done, self.jobs) if self.jobs else (self.nodes_done, self.nodes)
        return done / all if all else 1.0


class Wait(NamedTuple):
    """That a node waits for another."""

    parent: Node
    condition: str
    met: bool | None

    @property
    def short(self) -> str:
        """``charge ✓``; with the condition where it is not success."""
        if self.condition in (COMPENSATES, ADDED):
            return f"{'takes back' if self.condition == COMPENSATES else ADDED} {shorten(self.parent.name, 60)}"
        sign = "" if self.met is None else " ✓" if self.met else " ✕"
        condition = "" if self.condition == Condition.SUCCESS else f" ({FOR.get(self.condition, self.condition)})"
        return f"{shorten(self.parent.name, 60)}{condition}{sign}"

    @property
    def text(self) -> str:
        """``the success of 'charge' (running)``."""
        return f"the {FOR.get(self.condition, self.condition)} of {shorten(self.parent.name, 60)!r} ({self.parent.state})"


@dataclass
class Seen:
    """A node, and what is known of it besides its row."""

    node: Node
    now: dt.datetime
    waits: list[Wait] = field(default_factory=list)
    #: Of a node that is one job.
    job: Any = None
    #: Of a node that is a workflow.
    inner: Workflow | None = None
    reason: Reason | None = None
    #: The page of its job, its jobs or its workflow.
    link: str = ""

    @property
    def state(self) -> str:
        """The node's; while it runs that of its one job, which may wait in a queue."""
        return self.job.state if self.job is not None and self.node.state == NodeState.RUNNING else self.node.state

    @property
    def done(self) -> int:
        """Jobs that have ended."""
        return max(0, self.node.jobs - self.open)

    @property
    def open(self) -> int:
        """Jobs that have not ended; a batch that may get more counts as one itself."""
        return self.node.open - int(self.node.sort == Node.Sort.BATCH and self.node.closed_at is None)

    @property
    def facts(self) -> tuple[object, ...]:
        """What the page would show differently if it were otherwise, but for the time that passes."""
        job, node = self.job, self.node
        of_job = () if job is None else (job.state, job.attempt, job.progress, job.progress_note, job.started_at)
        waits = [wait.short for wait in self.waits]
        return (node.pk, node.state, node.open, node.jobs, node.failed, node.cancelled, of_job, waits, self.reason)

    @property
    def is_many(self) -> bool:
        """Many jobs in one node."""
        return self.node.sort in (Node.Sort.MAP, Node.Sort.BATCH)

    @property
    def jobs_node(self) -> uuid.UUID:
        """The node whose jobs are this one's: another workflow's, where that was not run again."""
        return self.node.result_of or self.node.pk

    @property
    def begun(self) -> dt.datetime | None:
        """When it was let go."""
        return self.node.let_go_at

    @property
    def ran(self) -> dt.datetime | None:
        """When its job last began; when it was let go where it has many."""
        return self.job.started_at if self.job is not None else self.begun

    @property
    def ended(self) -> dt.datetime | None:
        """When it ended; now while it runs; nothing while it waits."""
        return self.node.finished_at or (self.now if self.node.state == NodeState.RUNNING else None)

    @property
    def seconds(self) -> float | None:
        """How long it took, or has taken so far."""
        since = self.ran or self.begun
        if since is None or self.ended is None or (self.job is not None and self.job.started_at is None):
            return None
        return max(0.0, (self.ended - since).total_seconds())


@dataclass(frozen=True)
class Window:
    """The nodes of a page, in the order in which they were added."""

    seen: list[Seen]
    total: int
    #: Where the pages before and after begin; ``None``: there is none.
    earlier: int | None
    later: int | None
    #: Of the edges not all were read.
    edges_cut: bool

    @property
    def first(self) -> int:
        """The position at which it begins."""
        return self.seen[0].node.position if self.seen else 0


def progress(workflows: Iterable[uuid.UUID]) -> dict[uuid.UUID, Progress]:
    """How far these are, without nested ones' jobs; those whose nodes are too many to be counted in time are left out."""
    own = ~Q(sort=Node.Sort.WORKFLOW) & ~Q(state=NodeState.DORMANT)
    counts = {
        "all": Count("pk", filter=~Q(state=NodeState.DORMANT)),
        "ended": Count("pk", filter=Q(state__in=ENDED)),
        "every": Sum("jobs", filter=own),
        "left": Sum("open", filter=own),
    }
    rows: Any = Node.objects.filter(workflow__in=list(workflows)).order_by().values("workflow").annotate(**counts)
    try:
        with at_most(connection, COUNT_BUDGET):
            return {
                row["workflow"]: Progress(
                    row["all"], row["ended"], row["every"] or 0, max(0, (row["every"] or 0) - (row["left"] or 0))
                )
                for row in rows
            }
    except TookTooLong:
        return {}


def window(workflow: Workflow, start: int | None, now: dt.datetime, *, sees_jobs: bool) -> Window:
    """The nodes from this position on; by default, of a workflow with many, around the first that failed or runs."""
    nodes = Node.objects.filter(workflow=workflow)
    total = nodes.count()
    if start is None:
        start = _where_it_is(nodes, total)
    rows = list(nodes.filter(position__gte=start).order_by("position", "pk")[: AT_ONCE + 1])
    later = rows[AT_ONCE].position if len(rows) > AT_ONCE else None
    before = nodes.filter(position__lt=start).order_by("-position").values_list("position", flat=True)
    earlier = list(before[:AT_ONCE])[-1:] if start else []
    seen = {node.pk: Seen(node, now) for node in rows[:AT_ONCE]}
    cut = _add_waits(seen)
    _add_jobs(seen)
    _add_reasons(workflow, list(seen.values()), now, sees_jobs=sees_jobs)
    return Window(list(seen.values()), total, earlier[0] if earlier else None, later, cut)


def _where_it_is(nodes: Any, total: int) -> int:
    if total <= AT_ONCE:
        return 0
    for state in (NodeState.FAILED, NodeState.RUNNING):
        at = nodes.filter(state=state).order_by("position").values_list("position", flat=True).first()
        if at is not None:
            return max(0, int(at) - AT_ONCE // 3)
    return 0


def _add_waits(seen: dict[uuid.UUID, Seen]) -> bool:
    edges = list(Edge.objects.filter(child__in=list(seen)).order_by("child", "pk")[: EDGES + 1])
    cut, edges = len(edges) > EDGES, edges[:EDGES]
    subjects = {id: (one.node.compensates, COMPENSATES) for id, one in seen.items() if one.node.compensates}
    subjects |= {id: (one.node.added_by, ADDED) for id, one in seen.items() if one.node.added_by}
    outside = {edge.parent for edge in edges} | {parent for parent, _what in subjects.values() if parent} - seen.keys()
    parents = {id: one.node for id, one in seen.items()} | Node.objects.only("name", "state").in_bulk(outside)
    for edge in edges:
        if edge.parent in parents:
            seen[edge.child].waits.append(Wait(parents[edge.parent], edge.condition, edge.met))
    for id, (parent, what) in subjects.items():
        if parent in parents and not (what == ADDED and seen[id].waits):
            seen[id].waits.append(Wait(parents[parent], what, True))
    return cut


def _add_jobs(seen: dict[uuid.UUID, Seen]) -> None:
    single: dict[Any, list[Seen]] = defaultdict(list)
    for one in seen.values():
        if one.node.sort == Node.Sort.JOB:
            single[one.jobs_node].append(one)
    for job in Job.objects.filter(node__in=list(single)).only(*_JOB, "node").annotate(error_start=Left("error", 300)):
        for one in single[job.node]:
            one.job = job
    nested = [one.node.pk for one in seen.values() if one.node.sort == Node.Sort.WORKFLOW]
    for inner in Workflow.objects.filter(parent__in=nested):
        if inner.parent is not None:
            seen[inner.parent].inner = inner


def _add_reasons(workflow: Workflow, seen: Sequence[Seen], now: dt.datetime, *, sees_jobs: bool) -> None:
    left = EXPLAINED if sees_jobs else 0
    for one in seen:
        state = one.node.state
        if state == NodeState.SKIPPED or (one.node.reason and state in ENDED):
            one.reason = Reason(one.node.reason)
        elif state == NodeState.DORMANT:
            one.reason = Reason("Runs only if the workflow fails")
        elif state == NodeState.WAITING:
            one.reason = _waits_for(one, workflow)
        elif one.job is not None and one.job.state not in FINAL and left:
            left -= 1
            one.reason = why(Job.objects.get(pk=one.job.pk), situation(one.job, now), now)
        elif one.job is not None and state in (NodeState.FAILED, NodeState.CANCELLED) and sees_jobs:
            one.reason = Reason(shorten(one.job.error_start, 200)) if one.job.error_start else None
        elif one.is_many and (one.node.jobs or one.node.open):
            one.reason = _many(one)
        elif one.node.result_of:
            one.reason = Reason("Not run again: its result is that of the workflow that this one repeats")


def _waits_for(one: Seen, workflow: Workflow) -> Reason:
    if workflow.cancel_requested_at is not None:
        return Reason("The workflow is being cancelled")
    unmet = [wait for wait in one.waits if wait.met is None]
    more = max(0, one.node.unmet - min(len(unmet), NAMED))
    named = [wait.text for wait in unmet[:NAMED]]
    if more and named:
        named.append(f"{counted(more, 'other node')}")
    if named:
        return Reason(f"Waits for {', '.join(named[:-1])}{' and ' if named[1:] else ''}{named[-1]}")
    if workflow.paused_at is not None:
        return Reason("The workflow was paused", workflow.paused_at, "Resume it.", stuck=True)
    if workflow.parent is not None and one.node.unmet:
        return Reason("Waits until the workflow that this one is part of comes to it")
    return Reason("The dispatcher lets it go next")


def _many(one: Seen) -> Reason | None:
    node = one.node
    parts = [f"{one.open:,} of {counted(node.jobs, 'job')} to go"] if one.open else []
    parts += ["more may be added"] if node.open > one.open else []
    parts += [f"{node.failed:,} failed"] if node.failed else []
    parts += [f"{node.cancelled:,} cancelled"] if node.cancelled else []
    return Reason(", ".join(parts)) if parts else None
