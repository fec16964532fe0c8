"""``manage.py furrow backfills``."""

import io
import json
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from furrow import Job, State
from furrow.command.backfills import Command
from furrow.models import AuditEntry, Backfill

from tests.integration.test_backfills import make, move
from tests.kinds import groups
from tests.people import somebody

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]


def backfills(*words: Any) -> str:
    """What the command prints."""
    out = io.StringIO()
    call_command(Command(), *map(str, words), stdout=out, stderr=out)
    return out.getvalue()


def test_a_backfill_is_previewed_started_shown_and_listed() -> None:
    made = make(25)
    assert "25 rows: 3 jobs of kinds.renames_many" in backfills("preview", "groups by tens")
    assert f'"groups": [{made[0].pk}, ' in backfills("preview", "groups by tens")
    assert not Backfill.objects.exists()
    assert json.loads(backfills("preview", groups.name, "--json-args", '{"begin": "group 1"}', "--json"))["rows"] == 11
    assert "of 25 rows started" in backfills("start", "groups by tens", "--rate", "10/s", "--max-failures", "0.5")
    row = Backfill.objects.get()
    assert (row.rate, row.max_failures) == ("10/s", 0.5)
    move(row)
    facts = json.loads(backfills("show", "groups by tens", "--json"))
    assert (facts["rows"], facts["jobs"], facts["unended"], facts["state"]) == (25, 3, 3, "running")
    assert "groups by tens" in backfills("show", row.pk)
    listed = json.loads(backfills("list", "--json"))
    assert "groups by tens" in listed["declared"]
    assert [one["id"] for one in listed["started"]] == [str(row.pk)]
    assert "running" in backfills("list")


def test_it_is_paused_resumed_retried_and_cancelled_and_that_is_written_down() -> None:
    make(3)
    backfills("start", "groups by tens")
    row = Backfill.objects.get()
    move(row)
    assert "done" in backfills("pause", "groups by tens", "--reason", "lunch")
    with pytest.raises(SystemExit):
        backfills("pause", row.pk)
    Job.objects.update(state=State.FAILED, finished_at=row.created_at)
    assert "1 job of groups by tens run again" in backfills("retry", row.pk)
    assert "done" in backfills("resume", row.pk)
    assert "done" in backfills("cancel", row.pk)
    entries = AuditEntry.objects.filter(target="backfill groups by tens").order_by("pk")
    assert list(entries.values_list("action", "detail")) == [
        ("start", "{}"),
        ("pause", "lunch"),
        ("retry", ""),
        ("resume", ""),
        ("cancel", ""),
    ]


def test_what_cannot_be_and_who_may_not_is_refused_in_a_line() -> None:
    make(1)
    with pytest.raises(CommandError, match="the code has no backfill 'x'"):
        backfills("start", "x")
    with pytest.raises(CommandError, match="is not an argument"):
        backfills("start", "groups by tens", "--json-args", '{"a": 1}')
    with pytest.raises(CommandError, match="No backfill 'y' was started"):
        backfills("pause", "y")
    user = somebody()
    with pytest.raises(CommandError, match=r"somebody may not see backfills: that needs furrow.view_backfill"):
        backfills("list", "--user", "somebody")
    permit(user, "view_backfill", "view_job", "act_on_job")
    with pytest.raises(CommandError, match=r"somebody may not start groups by tens"):
        backfills("start", "groups by tens", "--user", "somebody")
    permit(user, "view_backfill", "submit_job")
    backfills("start", "groups by tens", "--user", "somebody")
    with pytest.raises(CommandError, match=r"somebody may not pause groups by tens"):
        backfills("pause", "groups by tens", "--user", "somebody")
    permit(user, "view_backfill", "view_job", "act_on_job")
    assert "done" in backfills("pause", "groups by tens", "--user", "somebody")


def permit(user: User, *names: str) -> None:
    """This user may do just this."""
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
