"""Breaks the engine on purpose, in the private processes of a campaign (`furrow prove --sabotage tests.sabotage`): settling
is not fenced, and neither a submit nor an event takes part in its caller's transaction. The campaign must find all three.
"""

import json
import re
from types import SimpleNamespace
from typing import Any

from django.db import connections
from furrow.events import publish
from furrow.statements.postgresql import runs
from furrow.submission import submit


def _replaced(pattern: str, by: str, text: str) -> str:
    """Raises AssertionError when there is nothing to break any more: then this file has to follow the engine."""
    changed, times = re.subn(pattern, by, text, flags=re.DOTALL)
    assert times == 1, f"{pattern} is no part of {text}"
    return changed


def _broken(settle: str) -> str:
    """Without its fence. The constraint on attempts would notice a second settlement; it is passed by."""
    unfenced = _replaced(r"(WHERE j\.id = given\.id) AND .*?(RETURNING)", r"\1 \2", settle)
    return _replaced(r"(error, traceback FROM moved)\n", r"\1 ON CONFLICT DO NOTHING\n", unfenced)


runs._SETTLE = {key: _broken(settle) for key, settle in runs._SETTLE.items()}

_aside = connections["default"].copy()
_aside.inc_thread_sharing()
submit._connection = lambda: _aside


class _Aside(SimpleNamespace):
    """In place of the model of events: its rows are inserted by another connection."""

    objects: Any


def _publish_aside(events: list[_Aside]) -> list[_Aside]:
    with _aside.cursor() as cursor:
        for event in events:
            sql = "INSERT INTO furrow_event (name, data, depth) VALUES (%s, %s, %s) RETURNING id"
            cursor.execute(sql, [event.name, json.dumps(event.data), event.depth])
            event.pk = cursor.fetchone()[0]
    return events


_Aside.objects = SimpleNamespace(bulk_create=_publish_aside)
setattr(publish, "Event", _Aside)  # noqa: B010 - another class
