"""Random workflows with random failures, against an oracle that decides each node from its parents."""

import pytest
from furrow import Job, workflow
from furrow.models import Edge, Move, Node, Workflow
from furrow.states import Condition, NodeState, WorkflowState
from furrow.testing import drain
from furrow.workflows.handles import After, Handle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import kinds

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]

#: A node: how many jobs it has (one, or some as a map), the numbers of those that fail, its parents with conditions.
Drawn = tuple[int | None, frozenset[int], dict[int, Condition]]


@st.composite
def graphs(draw: st.DrawFn) -> list[Drawn]:
    """Nodes in an order in which each waits for earlier ones only."""
    nodes: list[Drawn] = []
    for number in range(draw(st.integers(1, 9))):
        jobs = draw(st.none() | st.integers(0, 4))
        failing = draw(st.frozensets(st.integers(0, max(0, (1 if jobs is None else jobs) - 1)), max_size=2))
        parents = draw(st.frozensets(st.integers(0, number - 1), max_size=3)) if number else frozenset()
        nodes.append(
            (jobs, failing if jobs != 0 else frozenset(), {parent: draw(st.sampled_from(Condition)) for parent in parents})
        )
    return nodes


def expected(nodes: list[Drawn]) -> list[NodeState]:
    """What becomes of each."""
    states: list[NodeState] = []
    for _, failing, parents in nodes:
        met = all(
            {
                Condition.SUCCESS: states[parent] == NodeState.SUCCEEDED,
                Condition.END: True,
                Condition.FAILURE: states[parent] == NodeState.FAILED,
                Condition.FIRST_FAILURE: states[parent] == NodeState.FAILED,
            }[condition]
            for parent, condition in parents.items()
        )
        states.append(NodeState.SKIPPED if not met else NodeState.FAILED if failing else NodeState.SUCCEEDED)
    return states


def waited(handle: Handle, condition: Condition) -> Handle | After:
    """What is waited for."""
    offered: dict[Condition, Handle | After] = {
        Condition.SUCCESS: handle,
        Condition.END: handle.ended,
        Condition.FAILURE: handle.failed,
        Condition.FIRST_FAILURE: handle.first_failed,
    }
    return offered[condition]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(graphs())
def test_each_node_ends_as_its_parents_say(nodes: list[Drawn]) -> None:
    for model in (Workflow, Node, Edge, Job):
        model._default_manager.all().delete()
    with workflow("random") as w:
        handles: list[Handle] = []
        for jobs, failing, parents in nodes:
            after = [waited(handles[parent], condition) for parent, condition in parents.items()]
            rows = [{"attempt": 9 if number in failing else 1} for number in range(1 if jobs is None else jobs)]
            if jobs is None:
                handles.append(w.add(kinds.succeeds_on, rows[0], after=after, max_attempts=1))
            else:
                handles.append(w.map(kinds.succeeds_on, rows, after=after, max_attempts=1))
    drain(raise_on_failure=False)
    found = dict(Node.objects.filter(workflow=w.id).values_list("pk", "state"))
    assert [found[handle.id] for handle in handles] == expected(nodes)
    assert Workflow.objects.get(pk=w.id).state != WorkflowState.RUNNING
    assert not Move.objects.exists()
    assert not Node.objects.exclude(open=0).exists()
