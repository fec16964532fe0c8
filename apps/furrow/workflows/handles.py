"""Nodes as who writes a workflow down has them in hand, and what another may wait for of them."""

import uuid
from dataclasses import dataclass
from typing import NamedTuple

from furrow.states import Condition
from furrow.workflows.references import Reference


class After(NamedTuple):
    """That a node waits for another, and for what of it."""

    node: uuid.UUID
    name: str
    condition: Condition


@dataclass(frozen=True)
class Handle:
    """A node that was added to a workflow."""

    id: uuid.UUID
    name: str
    many: bool = False

    @property
    def result(self) -> Reference:
        """What its job returns, as an argument of a later node: ``a.result``, ``a.result["id"]``. Of many jobs: all results."""
        return Reference(self.id, self.name, many=self.many)

    @property
    def results(self) -> Reference:
        """What its jobs return, as an argument of a later node, in the order in which they were given."""
        return Reference(self.id, self.name, many=True)

    @property
    def ended(self) -> After:
        """In ``after=[…]``: wait for its end, however it ends."""
        return After(self.id, self.name, Condition.END)

    @property
    def failed(self) -> After:
        """In ``after=[…]``: wait for its failure; where it does not fail, the node that waits is skipped."""
        return After(self.id, self.name, Condition.FAILURE)

    @property
    def first_failed(self) -> After:
        """In ``after=[…]``: wait for the failure of one of its jobs, whatever becomes of the others."""
        return After(self.id, self.name, Condition.FIRST_FAILURE)
