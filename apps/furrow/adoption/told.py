"""What a call tells its runs, in the job's metadata under ``celery``: only what differs from what the row and the task say."""

from collections.abc import Mapping
from typing import Any

from furrow.kinds.celery_options import META

#: Keys: ``id`` (the task's, where it is no UUID), ``args`` (how many were given by position), ``headers`` (the caller's own),
#: ``retries`` (of the message that it was), and options of Celery's of the same names.
KEPT = ("root_id", "parent_id", "shadow", "group_index", "reply_to", "replaced_task_nesting", "argsrepr", "kwargsrepr")


def told(meta: Mapping[str, Any] | None) -> dict[str, Any]:
    """From a job's metadata."""
    found = (meta or {}).get(META)
    return found if isinstance(found, dict) else {}
