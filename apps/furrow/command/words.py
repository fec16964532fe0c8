"""Parse the command line: ``name=value`` and JSON arguments, ids, times."""

import datetime as dt
import json
import sys
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.utils import timezone

from furrow.admin.forms.arguments import argument_fields
from furrow.admin.forms.fields import OMIT, TextField
from furrow.admin.forms.file_field import FileField
from furrow.errors import did_you_mean
from furrow.kinds.kind import Kind


def read_arguments(kind: Kind, words: Iterable[str], json_text: str | None) -> tuple[dict[str, Any], dict[str, Path]]:
    """The arguments: each ``name=value`` means what the same text means in the form, the JSON object is taken as it is. Files
    come apart: their arguments are the paths of files here.

    Raises:
        CommandError: names the word or argument, the reason and the remedy.
    """
    given: dict[str, Any] = _json_object(json_text) if json_text is not None else {}
    fields, files = argument_fields(kind), {}
    for word in words:
        name, sign, text = word.partition("=")
        if not sign:
            raise CommandError(f"{word!r} is no argument: write name=value, such as {next(iter(fields), 'name')}=… .")
        if name not in fields:
            raise CommandError(f"{kind.name} has no argument {name!r}: {did_you_mean(name, fields)}.")
        if name in given or name in files:
            raise CommandError(f"The argument {name!r} is given twice.")
        if isinstance(fields[name], FileField):
            files[name] = _file(name, text, fields[name])
            continue
        try:
            value = fields[name].clean(text) if isinstance(fields[name], TextField) else fields[name].read(text)
        except ValidationError as error:
            raise CommandError(f"{name}: {'; '.join(error.messages)}.") from None
        # Unlike an empty cell, an empty text that somebody wrote is meant.
        given[name] = "" if value is OMIT and isinstance(fields[name], TextField) else value
    return {name: value for name, value in given.items() if value is not OMIT}, files


def _json_object(text: str) -> dict[str, Any]:
    text = sys.stdin.read() if text == "-" else text
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CommandError(f"--json-args is not JSON: {error}.") from None
    if not isinstance(given, dict):
        raise CommandError("--json-args must be a JSON object of the arguments, such as '{\"order_id\": 7}'.")
    return given


def _file(name: str, text: str, field: Any) -> Path:
    path = Path(text)
    if not path.is_file():
        raise CommandError(f"{name}: there is no file {text!r} here.")
    if path.stat().st_size > field.max_bytes:
        raise CommandError(f"{name}: {text!r} has {path.stat().st_size:,} bytes, the limit is {field.max_bytes:,}.")
    return path


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
    """A time as ISO 8601; without a zone, in the current one.

    Raises:
        CommandError: it is none.
    """
    if text is None:
        return None
    try:
        moment = dt.datetime.fromisoformat(text)
        return moment if moment.tzinfo else timezone.make_aware(moment)
    except (ValueError, OverflowError):
        raise CommandError(f"{option} {text!r} is no time: write it as 2026-01-31T13:45 or with a zone, …+01:00.") from None
