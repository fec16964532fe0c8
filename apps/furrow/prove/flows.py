"""What workflows must have become: each node by its parents, each counter by its jobs, each join once. Pure."""

import json
from collections import Counter, defaultdict

from furrow.plural import counted
from furrow.prove.blame import BLUR, Found
from furrow.prove.evidence import Evidence
from furrow.prove.graphs import EdgeRow, NodeRow
from furrow.states import ENDED, FINAL, Condition, NodeState, State, WorkflowState


def judged(e: Evidence) -> Found:
    """Each node ended as those that it waited for say, none began before they had ended, and no workflow waits for nobody."""
    graphs = e.graphs
    jobs: defaultdict[str, list[str]] = defaultdict(list)
    for job, of in graphs.of.items():
        jobs[of].append(job)
    if graphs.left:
        yield None, f"what became of jobs of workflows was not counted: {counted(graphs.left, 'move')} left"
    for id, state in graphs.workflows.items():
        if state == WorkflowState.RUNNING:
            waiting = [node.name for node in graphs.nodes.values() if node.workflow == id and node.state not in ENDED]
            yield None, f"workflow {id} has not ended; not ended: {', '.join(sorted(waiting)[:5]) or 'no node'}"
    for id, node in graphs.nodes.items():
        yield from _counters(e, id, node, jobs[id])
    for edge in graphs.edges:
        yield from _edge(e, edge, jobs)
    for job, row in e.jobs.items():
        if row.kind == "prove.joins" and row.state == State.SUCCEEDED:
            yield from _join(e, job, jobs)


def _counters(e: Evidence, id: str, node: NodeRow, jobs: list[str]) -> Found:
    states = Counter(e.jobs[job].state for job in jobs if job in e.jobs)
    unended = sum(number for state, number in states.items() if state not in FINAL)
    counts = len(jobs), unended, states["failed"], states["cancelled"]
    # Of a workflow in a workflow the jobs are of nodes of their own.
    if node.sort != "workflow" and (node.jobs, node.open, node.failed, node.cancelled) != counts:
        have = f"{node.jobs} jobs, {node.open} open, {node.failed} failed, {node.cancelled} cancelled"
        yield None, f"node {node.name} of workflow {node.workflow} counts {have}; its jobs are {dict(states)}"
    if node.state == NodeState.SKIPPED:
        for job in jobs:
            if e.runs.get(job):
                yield job, f"it ran, and its node {node.name} was skipped"
    if node.state in ENDED and node.state != NodeState.SKIPPED and node.unmet:
        yield None, f"node {node.name} of workflow {node.workflow} ran, and waited for {counted(node.unmet, 'more node')}"


def _edge(e: Evidence, edge: EdgeRow, jobs: dict[str, list[str]]) -> Found:
    parent, child = e.graphs.nodes[edge.parent], e.graphs.nodes[edge.child]
    met = {
        Condition.SUCCESS: parent.state == NodeState.SUCCEEDED,
        Condition.END: parent.state in ENDED,
        Condition.FAILURE: parent.state == NodeState.FAILED,
        Condition.FIRST_FAILURE: parent.state == NodeState.FAILED,
    }[Condition(edge.condition)]
    if parent.state in ENDED and edge.met is not met:
        yield (
            None,
            f"node {child.name} of workflow {child.workflow}: {parent.name} {parent.state}, and that it was told {edge.met}",
        )
    if edge.condition == Condition.FIRST_FAILURE:
        return
    over = max((move.at for job in jobs[edge.parent] for move in e.moves[job] if move.after in FINAL), default=0.0)
    for job in jobs[edge.child]:
        began = next((move.at for move in e.moves[job] if move.after == "running"), None)
        if began is not None and began < over - BLUR:
            yield job, f"it began {over - began:.3f} s before {parent.name} of its workflow was over"


def _join(e: Evidence, job: str, jobs: dict[str, list[str]]) -> Found:
    """The join of a campaign's workflows says how many results it got, and what they come to."""
    before = [edge.parent for edge in e.graphs.edges if edge.child == e.graphs.of.get(job)]
    numbers = [e.jobs[one].result["n"] for parent in before for one in jobs[parent] if e.jobs[one].result]
    want = {"jobs": len(numbers), "sum": sum(numbers)}
    if e.jobs[job].result != want:
        yield job, f"it joined {json.dumps(e.jobs[job].result)}, and before it is {json.dumps(want)}"
