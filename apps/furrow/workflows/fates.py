"""What comes of an edge when its parent has ended, in truth and in words."""

from furrow.models import Edge, Node
from furrow.states import Condition, NodeState


def is_met(edge: Edge, parent: Node) -> bool:
    """Whether what the child waits for has come."""
    if edge.condition == Condition.END:
        return True
    if edge.condition == Condition.SUCCESS:
        return parent.state == NodeState.SUCCEEDED
    return parent.state == NodeState.FAILED


def why(edge: Edge, parent: Node) -> str:
    """Why it cannot come any more."""
    what = {Condition.SUCCESS: "its success", Condition.END: "its end"}.get(Condition(edge.condition), "its failure")
    return f"{parent.name!r} {_became(parent)}, and this waited for {what}"


def _became(node: Node) -> str:
    return {NodeState.CANCELLED: "was cancelled", NodeState.SKIPPED: "was skipped"}.get(NodeState(node.state), node.state)
