"""Events of workflows: ``workflow.<name>.succeeded``, ``failed``, ``cancelled``, while somebody wants them."""

import re

from furrow.conf import conf
from furrow.events.subscribers import all_subscribers
from furrow.models import Event, Webhook, Workflow
from furrow.states import WorkflowState
from furrow.topics import matches

#: Characters of a workflow's name that an event's name has.
LONGEST = 100
_NO_WORD = re.compile(r"[^A-Za-z0-9_-]+")


def tell_end(workflow: Workflow, state: WorkflowState) -> None:
    """A workflow that is inside of none has ended: an event, in the current transaction, if a subscriber, a webhook or
    ``FURROW["EVENTS"]`` wants it."""
    name = f"workflow.{word(workflow.name)}.{state}"
    if workflow.parent is not None or not _is_wanted(name):
        return
    fork_of = str(workflow.fork_of) if workflow.fork_of else None
    known = {"workflow": str(workflow.pk), "name": workflow.name, "state": str(state), "reason": workflow.reason}
    Event.objects.create(name=name, data={**known, "fork_of": fork_of})


def word(name: str) -> str:
    """A workflow's name as one word of an event's: ``order_7`` of ``order 7``."""
    return _NO_WORD.sub("_", name).strip("_")[:LONGEST] or "_"


def _is_wanted(name: str) -> bool:
    patterns = [*conf().events, *(pattern for subscriber in all_subscribers() for pattern in subscriber.patterns)]
    if any(matches(pattern, name) for pattern in patterns):
        return True
    hooks = Webhook.objects.filter(active=True).values_list("patterns", flat=True)
    return any(matches(pattern, name) for given in hooks for pattern in given if isinstance(pattern, str))
