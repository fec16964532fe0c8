"""The workflows of a campaign, as rows."""

from dataclasses import dataclass, field
from typing import NamedTuple

from furrow.prove.database import Database
from furrow.states import NodeState
from furrow.tables import EDGE, JOB, MOVE, NODE, WORKFLOW


class NodeRow(NamedTuple):
    """A row of ``furrow_node``."""

    workflow: str
    name: str
    sort: str
    state: str
    unmet: int
    jobs: int
    open: int
    failed: int
    cancelled: int
    added_by: str | None


class EdgeRow(NamedTuple):
    """A row of ``furrow_edge``."""

    parent: str
    child: str
    condition: str
    met: bool | None


@dataclass
class Graphs:
    """All workflows of a campaign."""

    workflows: dict[str, str] = field(default_factory=dict)  #: states, by id
    nodes: dict[str, NodeRow] = field(default_factory=dict)
    edges: list[EdgeRow] = field(default_factory=list)
    of: dict[str, str] = field(default_factory=dict)  #: nodes, by job
    left: int = 0  #: moves that nobody has counted

    def of_node(self, node: str, state: str) -> bool:
        """Whether it is in this state."""
        return node in self.nodes and self.nodes[node].state == state

    def skipped(self, job: str) -> bool:
        """Whether a job is of a node that was skipped."""
        return self.of_node(self.of.get(job, ""), NodeState.SKIPPED)

    @property
    def added(self) -> set[str]:
        """Jobs that running jobs have added."""
        return {job for job, node in self.of.items() if node in self.nodes and self.nodes[node].added_by}


def read(database: Database) -> Graphs:
    """From the private database."""
    found = Graphs(dict(database.rows(f"SELECT id, state FROM {WORKFLOW}")))
    columns = ", ".join(["workflow_id", *NodeRow._fields[1:]])
    for id, *node in database.rows(f"SELECT id, {columns} FROM {NODE}"):
        found.nodes[id] = NodeRow(*node)
    found.edges = [
        EdgeRow(parent, child, condition, None if met is None else bool(met))
        for parent, child, condition, met in database.rows(f"SELECT {', '.join(EdgeRow._fields)} FROM {EDGE}")
    ]
    found.of = dict(database.rows(f"SELECT id, node FROM {JOB} WHERE node IS NOT NULL"))
    [(found.left,)] = database.rows(f"SELECT count(*) FROM {MOVE}")
    return found
