"""``manage.py furrow jobs``, called from here."""

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from furrow import Job
from furrow.command.jobs import Command


def jobs(*words: Any) -> str:
    """What the command prints."""
    out = io.StringIO()
    call_command(Command(), *map(str, words), stdout=out, stderr=out)
    return out.getvalue()


def as_json(*words: Any) -> Any:
    """What the command prints with ``--json``."""
    out = io.StringIO()
    call_command(Command(), *map(str, words), "--json", stdout=out, stderr=io.StringIO())
    return json.loads(out.getvalue())


def refused(*words: Any) -> str:
    """Why the command does nothing."""
    before = Job.objects.count()
    with pytest.raises(CommandError) as error:
        jobs(*words)
    assert Job.objects.count() == before
    return str(error.value)


def exit_code(*words: Any) -> Any:
    """How the command ends when it does not end well."""
    with pytest.raises(SystemExit) as ended:
        jobs(*words)
    return ended.value.code
