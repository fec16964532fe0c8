"""Parse the command line: JSON arguments, ids, times."""

import datetime as dt
import json
import sys
import uuid
from collections.abc import Iterable
from typing import Any

from django.core.management.base import CommandError


def read_json(text: str | None, what: str = "--json-args") -> dict[str, Any]:
    """A JSON object, such as the arguments of ``--json-args``; ``-`` reads it from standard input.

    Raises:
        CommandError: they are no JSON object.
    """
    if text is None:
        return {}
    text = sys.stdin.read() if text == "-" else text
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{what} is not JSON: {error}.") from None
    if not isinstance(given, dict):
        raise CommandError(f"{what} must be a JSON object, such as '{{\"order_id\": 7}}'.")
    return given


def read_ids(words: Iterable[str]) -> list[uuid.UUID]:
    """Ids of jobs; ``-`` stands for those on standard input, one a line.

    Raises:
        CommandError: names the word that is none.
    """
    ids = []
    for word in words:
        for text in sys.stdin.read().split() if word == "-" else [word]:
            try:
                ids.append(uuid.UUID(text))
            except ValueError:
                raise CommandError(f"{text[:80]!r} is not the id of a job: it must be a UUID.") from None
    return ids


def read_moment(option: str, text: str | None) -> dt.datetime | None:
    """A time as ISO 8601; without a zone, in this machine's, which Django sets to the site's.

    Raises:
        CommandError: it is none.
    """
    if text is None:
        return None
    try:
        moment = dt.datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.astimezone()
    except (ValueError, OverflowError, OSError):
        raise CommandError(f"{option} {text!r} is no time: write it as 2026-01-31T13:45 or with a zone, …+01:00.") from None
