"""``manage.py furrow jobs``: what it shows, does and refuses, for people and (``--json``) for programs."""

import json
import uuid
from typing import Any

import pytest
from django.utils import timezone
from furrow import Job, LogLine, State, submit
from furrow.models import AuditEntry, Queue

from tests import kinds
from tests.command_line import as_json, exit_code, jobs, refused
from tests.people import somebody

pytestmark = [pytest.mark.engine, pytest.mark.django_db, pytest.mark.usefixtures("media")]


def ended(state: State = State.FAILED, **values: Any) -> Job:
    """A job that has ended."""
    made = submit(kinds.add, {"a": 1})
    Job.objects.filter(pk=made.pk).update(state=state, finished_at=timezone.now(), started_at=timezone.now(), **values)
    return made


# --- As a user ----------------------------------------------------------------------------------------------------------------


def test_as_a_user_without_permissions_nothing_goes() -> None:
    somebody()
    waiting = submit(kinds.add, {"a": 1}, countdown=60)
    for words in (["submit", "kinds.add", "a=1"], ["list"], ["show", waiting.pk], ["tail", waiting.pk], ["stats"]):
        assert refused(*words, "--user", "somebody").startswith("somebody may not ")
    for words in (["cancel", waiting.pk], ["delete", "--all", "--yes"], ["pause", "default"], ["resume", "default"]):
        assert "somebody may not act on jobs: that needs furrow.view_job and furrow.act_on_job" in refused(
            *words, "--user", "somebody"
        )
    assert Job.objects.get().state == State.PENDING
    assert not Queue.objects.exists()


def test_as_a_user_a_kind_may_need_more() -> None:
    user = somebody("view_job", "submit_job", "act_on_job")
    assert "needs furrow.submit_job and auth.change_group" in refused("submit", "kinds.guarded", "--user", "somebody")
    guarded, plain = submit(kinds.guarded, {}, countdown=60), submit(kinds.add, {"a": 1}, countdown=60)
    text = jobs("cancel", guarded.pk, plain.pk, "--user", "somebody")
    assert "1 changed, 1 left alone" in text
    assert "you may not act on their kind" in text
    assert {row.pk: row.state for row in Job.objects.all()} == {guarded.pk: State.PENDING, plain.pk: State.CANCELLED}
    entry = AuditEntry.objects.get()
    assert (entry.user, entry.origin, entry.action, entry.count) == (user, "command line", "cancel", 1)
    assert as_json("submit", "kinds.add", "a=1", "--user", "somebody")["submitted_by"] == "somebody"


def test_a_user_names_only_rows_that_it_may_see() -> None:
    user = somebody("submit_job")
    assert "you may not see any user" in refused("submit", "kinds.greets", f"user={user.pk}", "--user", "somebody")


# --- Looking ------------------------------------------------------------------------------------------------------------------


def test_list() -> None:
    assert jobs("list") == "There are no jobs yet.\n"
    failed, other = (
        ended(error="no <b>luck</b>\x1b[31m"),
        submit(kinds.typed, {"text": "x", "options": {"deep": 7}}, queue="other"),
    )
    lines = jobs("list").splitlines()
    assert lines[0].split() == ["id", "kind", "state", "queue", "created", "run", "time", "attempts", "about", "error"]
    assert [line.split()[:4] for line in lines[1:]] == [
        [str(other.pk), "kinds.typed", "pending", "other"],
        [str(failed.pk), "kinds.add", "failed", "default"],
    ]
    assert lines[2].endswith("no <b>luck</b>")
    assert "\x1b" not in "".join(lines)
    found = {
        ("--state", "failed"): failed,
        ("--kind", "kinds.typed"): other,
        ("--queue", "other"): other,
        ("--where", "options.deep=7"): other,
        ("--where", "text=x", "--since", "1h"): other,
        ("--search", "luck"): failed,
    }
    for words, expected in found.items():
        assert [row["id"] for row in as_json("list", *words)] == [str(expected.pk)], words
    assert as_json("list", "--until", "2020-01-01") == []
    assert "The newest 1; --limit shows more." in jobs("list", "--limit", "1")
    assert jobs("list", "--where", "text=nothing like it") == "No job meets these conditions.\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--state", "faild"], "did you mean 'failed'?"),
        (["--kind", "kinds.ad"], "Did you mean kinds.add"),
        (["--since", "yesterday"], "is no time"),
        (["--where", "a"], "--where 'a': write the path of an argument and its value, such as account_id=7"),
        (["--where", "a=1", "--search", "b"], "cannot be combined"),
        (["--by", "nobody"], "there is no user 'nobody'"),
        (["--batch", "7"], "is no id"),
        (["--limit", "0"], "--limit is 0"),
    ],
)
def test_a_condition_that_cannot_be_is_refused(words: list[str], said: str) -> None:
    assert said in refused("list", *words)


def test_show() -> None:
    waiting = submit(kinds.typed, {"text": "a\x1b[2J\u202eb"}, countdown=600)
    text = jobs("show", waiting.pk)
    assert "Scheduled: due in 9 min" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    told = as_json("show", waiting.pk)
    assert (told["state"], told["attempts"], told["result"], told["why"]["stuck"]) == ("pending", [], None, False)
    assert told["arguments"]["text"] == "a\x1b[2J\u202eb"
    assert "There is no job" in refused("show", uuid.uuid4())
    assert refused("show", "7") == "'7' is not the id of a job: it must be a UUID."


def test_stats_and_kinds() -> None:
    submit(kinds.add, {"a": 1}, countdown=600)
    told = as_json("stats")
    assert [(queue["name"], queue["scheduled"], queue["condition"]) for queue in told["queues"]] == [
        ("default", 1, "open"),
        ("other", 0, "open"),
    ]
    assert told["workers"] == []
    assert "No worker is running" in jobs("stats")
    assert {"name", "queue", "priority", "permission", "doc", "arguments", "result", "external"} == set(as_json("kinds")[0])
    assert as_json("kinds", "kinds.add")["inputs"][0]["name"] == "a"
    assert "manage.py furrow jobs submit kinds.add a=…" in jobs("kinds", "kinds.add")


def test_tail_prints_what_is_there_and_ends_with_the_job() -> None:
    job = ended(State.FAILED, error="no luck", attempt=1)
    LogLine.objects.create(job_id=job.pk, attempt=1, at=timezone.now(), level=20, message="[bold]one[/]\x1b]0;title\x07")
    LogLine.objects.create(job_id=job.pk, attempt=1, at=timezone.now(), level=40, message="two")
    assert exit_code("tail", job.pk) == 3
    text = jobs("tail", job.pk, "--no-follow")
    assert "[bold]one[/]\n" in text
    assert "one" not in jobs("tail", job.pk, "--no-follow", "--level", "error")
    assert json.loads(jobs("tail", job.pk, "--no-follow", "--level", "error", "--json"))["message"] == "two"
    assert "--level 'eror' is unknown: did you mean 'error'?" in refused("tail", job.pk, "--level", "eror")
    waiting = submit(kinds.add, {"a": 1}, countdown=600)
    assert exit_code("tail", waiting.pk, "--timeout", "0") == 4


# --- Acting -------------------------------------------------------------------------------------------------------------------


def test_act_by_id() -> None:
    failed, waiting = ended(), submit(kinds.add, {"a": 1}, countdown=600)
    assert as_json("cancel", failed.pk, waiting.pk) == {"action": "cancel", "asked": 2, "changed": 1, "left_alone": 1}
    assert "(shell)" in Job.objects.get(pk=waiting.pk).error
    assert exit_code("cancel", failed.pk) == 1
    assert jobs("retry", failed.pk) == "retry: 1 changed.\n"
    assert jobs("snooze", failed.pk, "--until-time", "2036-01-01T00:00") == "snooze: 1 changed.\n"
    assert jobs("run-now", failed.pk) == "run-now: 1 changed.\n"
    assert jobs("set-priority", failed.pk, "--priority", "1") == "set-priority: 1 changed.\n"
    assert jobs("set-queue", failed.pk, "--to", "other") == "set-queue: 1 changed.\n"
    again = Job.objects.get(pk=failed.pk)
    assert (again.state, again.priority, again.queue) == (State.PENDING, 1, "other")
    assert jobs("delete", waiting.pk, failed.pk).startswith("delete: 1 changed, 1 left alone: they had not ended")
    assert list(Job.objects.values_list("pk", flat=True)) == [failed.pk]
    assert AuditEntry.objects.count() == 7


def test_act_on_all_that_meet_a_condition_is_a_job_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        ended()
    assert refused("retry", "--state", "failed") == "retry affects 3 jobs: confirm with --yes. Nothing was done."
    told = as_json("retry", "--state", "failed", "--yes", "--no-wait")
    assert told["matched"] == 3
    carrier = Job.objects.get(pk=told["job"])
    assert (carrier.kind, carrier.arguments["criteria"]) == ("furrow.bulk_action", {"state": "failed"})
    assert exit_code("run-now", "--kind", "kinds.typed", "--yes") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["cancel"], "Choose the jobs by ids, by conditions (such as --state failed), or with --all"),
        (["cancel", uuid.uuid4(), "--state", "failed"], "one of these"),
        (["cancel", "7"], "'7' is not the id of a job"),
        (["set-priority", uuid.uuid4(), "--priority", "high"], "priority: 'high' cannot be: give a whole number from 0 to 9"),
        (["set-queue", uuid.uuid4(), "--to", "othre"], "did you mean 'other'?"),
        (["snooze", uuid.uuid4(), "--until-time", "later"], "--until-time 'later' is no time"),
        (["pause", "defualt"], "did you mean 'default'?"),
    ],
)
def test_an_act_that_cannot_be_is_refused(words: list[Any], said: str) -> None:
    assert said in refused(*words)


def test_pause_and_resume() -> None:
    assert jobs("pause", "other", "--reason", "repairs") == "pause other: done.\n"
    assert exit_code("pause", "other") == 1
    assert as_json("stats")["queues"][1]["condition"] == "paused"
    assert as_json("resume", "other") == {"action": "resume", "queue": "other", "changed": True}
    assert exit_code("resume", "other") == 1
    assert list(AuditEntry.objects.order_by("id").values_list("action", "target")) == [
        ("pause", "queue other"),
        ("resume", "queue other"),
    ]
