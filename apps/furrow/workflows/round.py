"""One round of the engine: nodes whose jobs ended, or that somebody asked to look at, and what follows from them.

Whatever it does to a node can be done again: a move that changes nothing asks for another look at it.
"""

import datetime as dt
import json
import uuid
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from django.db.models import Exists, OuterRef

from furrow import statements
from furrow.actions.jobs import end_unstarted
from furrow.models import Edge, Job, Node, Workflow
from furrow.models.database import connection
from furrow.statements import clock
from furrow.states import ENDED, Condition, NodeState, State, WorkflowState
from furrow.workflows import reading
from furrow.workflows.acts import restart_inside
from furrow.workflows.calls import rouse
from furrow.workflows.ends import end_workflows, wait_again
from furrow.workflows.fates import is_met, why
from furrow.workflows.moves import batched, look_at
from furrow.workflows.references import Unresolved, resolve
from furrow.workflows.stopping import SKIPPED, is_stopping, stop, stop_inner, was_skipped
from furrow.workflows.writing import counts, write_edges, write_nodes

#: Moves that one round takes; jobs that it lets go or cancels; how far it follows nodes that end at once.
MOVES, JOBS, DEPTH = 10_000, 10_000, 100


class Advanced(NamedTuple):
    """What came of a round."""

    changed: int  #: 0: there was nothing, or others' locks were in the way
    freed: Mapping[str, int] = MappingProxyType({})  #: jobs that may run now, by queue
    more: bool = False  #: there may be more moves, of what this round did


class Round:
    """Of the caller's transaction, which took the moves and has their workflows locked."""

    def __init__(self) -> None:
        self._now: dt.datetime = clock.now()
        self._nodes: dict[uuid.UUID, Node] = {}
        self._before: dict[uuid.UUID, tuple[object, ...]] = {}
        self._ended: list[Node] = []
        self._reopened: list[Node] = []
        self._going: list[Node] = []
        self._again: set[uuid.UUID] = set()
        #: Workflows that are to be taken up, and the nodes that they are.
        self._inside: dict[uuid.UUID, uuid.UUID] = {}
        self._room, self._freed = JOBS, dict[str, int]()
        #: Things that were done; of them nodes of which some jobs' ends were counted.
        self._done = self._counted = 0

    def run(self, moved: Collection[statements.Moved]) -> Advanced:
        """Count these moves, and do what follows."""
        self._read([move.node for move in moved])
        for move in moved:
            if node := self._nodes.get(move.node):
                self._count(node, move)
        self._done = self._counted
        for move in moved:
            if node := self._nodes.get(move.node):
                self._look(node, move)
        for _ in range(DEPTH):
            if not (self._ended or self._reopened):
                break
            ended, self._ended, reopened, self._reopened = self._ended, [], self._reopened, []
            self._follow(ended, reopened)
        self._again |= {node.pk for node in [*self._ended, *self._reopened]}
        self._free()
        write_nodes(node for id, node in self._nodes.items() if counts(node) != self._before[id])
        self._take_up_inside()
        self._done += end_workflows(self._nodes.values(), self._now)
        self._again.update(rouse(self._nodes.values()))
        if self._again:
            look_at(self._again)
        counted = self._done == self._counted and sum(-move.open for move in moved) < MOVES  # and did nothing besides
        return Advanced(self._done, self._freed, more=bool(self._again) or not counted)

    def _read(self, ids: Iterable[uuid.UUID]) -> None:
        for part in batched(set(ids) - self._nodes.keys()):
            for node in reading.nodes(part):
                self._know(node)

    def _know(self, node: Node) -> None:
        if node.pk not in self._nodes:
            self._nodes[node.pk], self._before[node.pk] = node, counts(node)

    def _count(self, node: Node, move: statements.Moved) -> None:
        node.open += move.open
        node.failed += move.failed
        node.cancelled += move.cancelled
        self._counted += bool(move.open or move.failed or move.cancelled)

    def _look(self, node: Node, move: statements.Moved) -> None:
        """What this node is by now."""
        if is_stopping(node) and (node.open or node.state not in ENDED):
            self._stop(node)
        elif node.state in ENDED and move.open > 0 and not (node.state == NodeState.SKIPPED and node.kind):
            self._take_up(node)
        elif node.state == NodeState.RUNNING:
            self._go_on(node, asked=move.asked)
        elif node.state == NodeState.WAITING and node.sort == Node.Sort.WORKFLOW and was_skipped(node):
            self._wait_inside(node)
        elif node.state == NodeState.WAITING and not node.unmet:
            self._let_go(node)
        elif node.state in (NodeState.WAITING, NodeState.DORMANT) and not node.open and node.jobs:
            if not Job.objects.filter(node=node.pk, state=State.WAITING).exists():  # else moves are on the way
                self._end(node)  # somebody cancelled its jobs
        elif node.state == NodeState.WAITING and (kept := Edge.objects.filter(child=node.pk, met=False).first()):
            self._read([kept.parent])  # it waits again, and for what cannot come any more
            self._skip(node, why(kept, self._nodes[kept.parent]))
        elif node.state in ENDED:
            if node.state == NodeState.SKIPPED and node.open:
                self._skip_jobs(node)
            self._ended.append(node)

    def _take_up(self, node: Node) -> None:
        if node.let_go_at is None and node.kind and not node.role:  # it was cancelled before its time: it waits again
            node.state = NodeState.WAITING
        else:
            node.state, node.let_go_at = NodeState.RUNNING, node.let_go_at or self._now
        node.finished_at, node.reason = None, ""
        self._again.add(node.pk)
        self._reopened.append(node)

    def _wait_inside(self, node: Node) -> None:
        """It waits again, and the workflow that it is was stopped when it was skipped: that is taken up, once it has ended."""
        if (inner := Workflow.objects.filter(parent=node.pk).exclude(state=WorkflowState.RUNNING).first()) is not None:
            self._inside[inner.pk] = node.pk

    def _take_up_inside(self) -> None:
        """After all else is written: it changes nodes that this round may know as they were."""
        for inner, node in self._inside.items():
            if restart_inside(inner):
                self._done += 1
            else:
                self._again.add(node)  # another has locked it

    def _let_go(self, node: Node) -> None:
        if is_stopping(node):
            self._stop(node)
            return
        if node.workflow.paused_at is not None or (node.sort == Node.Sort.WORKFLOW and was_skipped(node)):
            return
        problem = ""
        try:
            if node.deferred and not self._fill_in(node):
                self._again.add(node.pk)
                return
        except Unresolved as error:
            problem = str(error)
        node.state, node.let_go_at = NodeState.RUNNING, self._now
        self._done += 1
        if problem:
            self._end_jobs(node, problem, State.FAILED)
        else:
            self._go_on(node)

    def _fill_in(self, node: Node) -> bool:
        """The arguments that are known now; also a second time, which changes nothing. ``False``: somebody has locked a job,
        which must not run without."""
        known = json.dumps(resolve(node, self._nodes))
        filled = statements.on(connection).fill_in(connection, node.pk, known)
        return filled >= Job.objects.filter(node=node.pk, state=State.WAITING).count()

    def _open_the_gate(self, node: Node) -> None:
        """The first nodes of a workflow wait for the node that it is."""
        inner = Workflow.objects.filter(parent=node.pk).first()
        if inner is None:
            node.open = 0
            return
        if not Workflow.objects.select_for_update(skip_locked=True).filter(pk=inner.pk).exists():
            self._again.add(node.pk)
            return
        parents = Edge.objects.filter(child=OuterRef("pk"))
        first = Node.objects.filter(~Exists(parents), workflow=inner, unmet=1, state=NodeState.WAITING)
        ids = list(first.values_list("pk", flat=True))
        self._read(ids)
        for id in ids:
            self._nodes[id].unmet = 0
        self._again.update(ids)

    def _go_on(self, node: Node, *, asked: bool = True) -> None:
        """It is running: whatever of it waits may run. Jobs that wait are looked for when it is let go, and when somebody
        asked; not at the end of one, since of many jobs that would be a look at all of them for each."""
        if node.open and node.sort == Node.Sort.WORKFLOW:
            self._open_the_gate(node)
        elif node.open and asked:
            self._going.append(node)
        if not node.open:
            self._end(node)
        elif node.failed:
            self._first_failed(node)

    def _free(self) -> None:
        """Jobs of nodes that run wait no more."""
        nodes = [node.pk for node in self._going]
        if not nodes:
            return
        self._freed = statements.on(connection).free_nodes(connection, nodes, max(0, self._room))
        freed = sum(self._freed.values())
        self._room -= freed
        self._done += freed
        if freed < sum(node.open for node in self._going):  # perhaps too many at once, or somebody has locked one
            waiting = Job.objects.filter(node__in=nodes, node__isnull=False, state=State.WAITING)
            self._again.update(id for id in waiting.order_by().values_list("node", flat=True).distinct() if id)

    def _first_failed(self, node: Node) -> None:
        first = list(Edge.objects.filter(parent=node.pk, condition=Condition.FIRST_FAILURE, met=None))
        self._meet(first, {edge.pk: True for edge in first})

    def _end(self, node: Node) -> None:
        node.state = NodeState.FAILED if node.failed else NodeState.CANCELLED if node.cancelled else NodeState.SUCCEEDED
        node.finished_at = self._now
        self._ended.append(node)
        self._done += 1

    def _skip(self, node: Node, reason: str) -> None:
        node.state, node.finished_at, node.reason = NodeState.SKIPPED, self._now, reason
        self._skip_jobs(node)
        self._ended.append(node)
        self._done += 1

    def _skip_jobs(self, node: Node) -> None:
        reason = f"{SKIPPED}{node.reason}"
        if node.sort != Node.Sort.WORKFLOW:
            self._end_jobs(node, reason, State.CANCELLED)
        elif not stop_inner(node, reason):
            self._again.add(node.pk)

    def _stop(self, node: Node) -> None:
        """Its workflow was cancelled: what of it has not begun ends, what runs is asked to stop."""
        used, done = stop(node, self._room)
        self._room -= used
        self._done += used + (node.sort == Node.Sort.WORKFLOW)
        if not done:
            self._again.add(node.pk)
        if node.state == NodeState.WAITING:
            node.state, node.finished_at, node.reason = NodeState.CANCELLED, self._now, node.workflow.reason
            self._ended.append(node)
            self._done += 1
        elif node.state == NodeState.RUNNING and not node.open:
            self._end(node)

    def _end_jobs(self, node: Node, reason: str, state: State) -> None:
        """Its jobs will not run; their ends are moves of their own."""
        waiting = Job.objects.filter(node=node.pk, state=State.WAITING)
        ids = list(waiting.values_list("pk", flat=True)[: max(0, self._room)])
        self._room -= len(ids)
        self._done += end_unstarted(Job.objects.filter(pk__in=ids, state=State.WAITING), reason, state) if ids else 0
        if waiting.exists():
            self._again.add(node.pk)

    def _follow(self, ended: list[Node], reopened: list[Node]) -> None:
        """What their children learn from this."""
        fates, open_again = {node.pk: node for node in ended}, {node.pk for node in reopened}
        for part in batched({*fates, *open_again}):
            edges, children = reading.after(part)
            for child in children:
                self._know(child)
            self._forget([edge for edge in edges if edge.parent in open_again and edge.met is not None])
            open_edges = [edge for edge in edges if edge.parent in fates and edge.met is None]
            self._meet(open_edges, {edge.pk: is_met(edge, fates[edge.parent]) for edge in open_edges})

    def _meet(self, edges: list[Edge], fates: dict[int, bool]) -> None:
        self._read({edge.child for edge in edges})
        write_edges(edges, fates)
        for edge in edges:
            child = self._nodes[edge.child]
            child.unmet -= fates[edge.pk]
            if child.state != NodeState.WAITING:
                continue
            if not fates[edge.pk]:
                self._skip(child, why(edge, self._nodes[edge.parent]))
            elif not child.unmet:
                self._let_go(child)

    def _forget(self, edges: list[Edge]) -> None:
        """Their parents run again: who has not begun waits again."""
        edges = [edge for edge in edges if not _has_begun(self._nodes[edge.child])]
        if not edges:
            return
        Edge.objects.filter(pk__in=[edge.pk for edge in edges]).update(met=None)
        for edge in edges:
            self._nodes[edge.child].unmet += edge.met is True
        skipped = {edge.child for edge in edges if self._nodes[edge.child].state == NodeState.SKIPPED}
        kept = set(Edge.objects.filter(child__in=skipped, met=False).values_list("child", flat=True))
        for id in skipped - kept:
            node = self._nodes[id]
            node.state, node.finished_at, node.reason = NodeState.WAITING, None, ""
            self._reopened.append(node)
        if waiting := skipped - kept:
            wait_again(waiting)
            self._again.update(id for id in waiting if self._nodes[id].sort == Node.Sort.WORKFLOW)


def _has_begun(node: Node) -> bool:
    return node.state not in (NodeState.WAITING, NodeState.SKIPPED) and node.let_go_at is not None
