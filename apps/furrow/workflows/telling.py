"""Events of workflows: ``workflow.<name>.submitted``, ``paused``, …, ``succeeded``, while somebody wants them."""

from collections.abc import Iterable
from typing import Any

from furrow.events.telling import tell, word
from furrow.models import Workflow


def tell_of(workflows: Iterable[Workflow], event: str, **more: str) -> None:
    """This happened to these, in the current transaction. Of those that are inside of others nothing is told. ``more``: data
    that the rows do not have (yet)."""
    outermost = (one for one in workflows if one.parent is None)
    tell("workflow", ((f"{word(one.name)}.{event}", {**_known(one), **more}) for one in outermost))


def _known(one: Workflow) -> dict[str, Any]:
    return {"workflow": one.pk, "name": one.name, "state": str(one.state), "reason": one.reason, "fork_of": one.fork_of}
