"""Who listens to a kind's jobs: a card on the kind's page and on those of its jobs."""

from typing import Any

from django.http import HttpRequest

from furrow.actions.permissions import may_see
from furrow.events.subscribers import all_subscribers
from furrow.statements.moves import WORDS
from furrow.webhooks.listeners import of_jobs


def listening(request: HttpRequest, kind: str) -> dict[str, Any]:
    """What ``event/listeners.html`` shows: who listens to jobs of the kind of this name, and to what it listens itself. Empty
    for who may not see events."""
    if not may_see(request.user, "event"):
        return {}
    own = next((one.patterns for one in all_subscribers() if one.kind.name == kind), ())
    found = {"listeners": of_jobs(kind), "own_patterns": own, "all_words": len(WORDS)}
    return {"listening": True, "listening_to": kind, **found}
