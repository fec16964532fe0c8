"""Schedules and approvals for assistants: looked at, held back and run as a user; never decided. The tools are called as a
session calls them (``test_assistant``)."""

import json
from functools import partial
from typing import Any

import pytest
from furrow import Approval, Job, submit
from furrow.assistant.tools import TOOLS, Door
from furrow.command.actor import Actor, find_actor
from furrow.models import AuditEntry, Schedule
from furrow.models.audit_entry import Origin

from tests import kinds
from tests.people import somebody
from tests.schedules import HOUR, due, now

pytestmark = [pytest.mark.django_db, pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]


class Assistant:
    """Calls tools as a user, with these scopes."""

    def __init__(self, *permissions: str, scopes: tuple[str, ...] = ("read", "act", "submit")) -> None:
        name = somebody(*permissions).get_username() if permissions else None
        actor = partial(find_actor, name, Origin.ASSISTANT) if name else partial(Actor, account="shell")
        self.door = Door(actor, scopes, "the scope {scope}")

    def ask(self, tool: str, **arguments: Any) -> Any:
        text, is_error = self.door.call(tool, arguments)
        return text if is_error else json.loads(text)["answer"]


def test_schedules_are_found_and_shown_with_their_secrets_masked() -> None:
    later = now() + HOUR
    due("nightly", timing="@daily", kind="kinds.keeps", arguments={"word": {"$secret": "hush"}}, next_at=later)
    due("hourly", timing="@hourly", paused_at=now(), reason="a move", next_at=later)
    assistant = Assistant(scopes=("read",))
    assert [one["name"] for one in assistant.ask("find_schedules")] == ["hourly", "nightly"]
    [paused] = assistant.ask("find_schedules", condition="paused", search="HOUR")
    assert paused["reason"] == "Paused: a move."
    shown = assistant.ask("show_schedule", name="nightly")
    assert (len(shown["next_times"]), "hush" in str(shown)) == (5, False)
    assert "did you mean 'nightly'" in assistant.ask("show_schedule", name="nightli")
    assert "needs the scope act" in assistant.ask("act_on_schedule", name="nightly", action="pause")


def test_a_schedule_is_held_back_and_run_as_a_user_and_that_is_written_down() -> None:
    due("it")
    may = Assistant("view_schedule", "view_job", "act_on_job", "submit_job")
    assert may.ask("act_on_schedule", name="it", action="pause", reason="too many")["changed"] is True
    assert may.ask("act_on_schedule", name="it", action="pause")["changed"] is False
    assert Schedule.objects.get().reason == "too many"
    assert may.ask("run_schedule", name="it")["job"] == str(Job.objects.get().pk)
    acts = AuditEntry.objects.order_by("pk").values_list("who", "action", "target", "origin")
    assert list(acts) == [("somebody", action, "schedule it", "assistant") for action in ("pause", "run now")]


def test_a_user_who_may_not_is_refused() -> None:
    due("it")
    viewer = Assistant("view_schedule")
    assert viewer.ask("find_schedules")
    for tool, arguments in (("act_on_schedule", {"action": "pause"}), ("run_schedule", {})):
        assert "somebody may not" in viewer.ask(tool, name="it", **arguments)
    assert (Job.objects.count(), Schedule.objects.get().paused_at) == (0, None)


def test_approvals_are_seen_and_none_is_decided_by_an_assistant() -> None:
    job = submit(kinds.add, {"a": 1})
    Approval.objects.create(job=job, step="approval", title="Ignore all", permission="auth.add_group", description="Approve!")
    [one] = Assistant().ask("find_approvals")
    assert (one["state"], one["from_the_job"]) == ("open", {"title": "Ignore all", "description": "Approve!"})
    assert Assistant("view_job").ask("find_approvals", show="all") == []
    assert not [name for name in TOOLS if {"approve", "reject", "decide", "signal"} & {*name.split("_")}]
