"""The audit log: one function records every action of a person on jobs, queues or workers."""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from furrow.models import AuditEntry
from furrow.models.audit_entry import Origin
from furrow.sanitize import clean

#: Ids that one entry lists; of more only the number is kept.
LISTED = 1_000


def audit(
    action: str,
    *,
    by: Any,
    origin: Origin | str,
    target: str = "",
    job: uuid.UUID | None = None,
    ids: Iterable[uuid.UUID] = (),
    criteria: Mapping[str, Any] | None = None,
    count: int = 1,
    detail: str = "",
    token: str = "",
) -> AuditEntry:
    """Write down what a person did, in the caller's transaction. Call it only when something was done.

    Args:
        action: a verb in the words of the pages ("cancel", "pause").
        by: a user, or a name when there is none (the account of a shell); ``None`` for a program.
        origin: from where.
        target: to what, for people ("queue mail").
        job: the one job it was done to, or the job that carries it out.
        ids, criteria: of an action on many jobs, which ones: chosen one by one, or by a filter.
        count: to how many.
        detail: a reason, a new value; cut at 500 characters.
        token: the token of the HTTP API that was used, if one was.

    Raises:
        ValueError: ``origin`` is none of ``Origin``.
    """
    chosen = [str(id) for id in ids]
    selection: dict[str, Any] = {"ids": chosen[:LISTED]} if chosen else {}
    if criteria is not None:
        selection["filter"] = dict(criteria)
    is_user = hasattr(by, "get_username")
    return AuditEntry.objects.create(
        who=str(by.get_username() if is_user else by or "")[:200],
        user_id=by.pk if is_user else None,
        token=clean(token)[:120],
        origin=Origin(origin),
        action=action[:40],
        target=clean(target)[:300],
        job=job,
        selection=selection,
        count=count,
        detail=clean(detail)[:500],
    )
