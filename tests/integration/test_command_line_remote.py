"""``furrow jobs --remote``, ``furrow schedules --remote``: what is printed and done is the same as where the project is."""

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils import timezone
from furrow import Job, State, submit, workflow
from furrow.actions import tokens
from furrow.command import schedules
from furrow.command.jobs import Command
from furrow.models import ApiAnswer, AuditEntry, Queue, Schedule, Signal, Step, Workflow

from tests.command_line import jobs, refused
from tests.stack import Stack, all_ended, wait_until

ROOT = Path(__file__).resolve().parents[2]
KIND = "hello.log_message"


class Remote:
    """The command with ``--remote``, and a token in a file."""

    def __init__(self, stack: Stack, folder: Path, *scopes: str) -> None:
        self.user = User.objects.get(username=stack.admin[0])
        self.token, self.secret = tokens.make("-".join(scopes), user=self.user, scopes=scopes)
        (folder / self.token.name).write_text(f"{self.secret}\n")
        self.words = ["--remote", f"{stack.web_url}/api", "--token-file", str(folder / self.token.name)]

    def jobs(self, *words: Any) -> str:
        """What it prints."""
        return jobs(*words, *self.words)

    def schedules(self, *words: Any) -> str:
        """What ``furrow schedules`` prints."""
        return _schedules(*words, *self.words)

    def as_json(self, *words: Any) -> Any:
        """What it prints with ``--json``."""
        out = io.StringIO()
        call_command(Command(), *map(str, words), *self.words, "--json", stdout=out, stderr=io.StringIO())
        return json.loads(out.getvalue())

    def ends(self, *words: Any) -> tuple[Any, str]:
        """How it ends when it does not end well, and what it prints."""
        out = io.StringIO()
        with pytest.raises(SystemExit) as ended:
            call_command(Command(), *map(str, words), *self.words, stdout=out, stderr=out)
        return ended.value.code, out.getvalue()

    def refused(self, *words: Any) -> str:
        """Why it does nothing."""
        return refused(*words, *self.words)


def _schedules(*words: Any) -> str:
    """What ``furrow schedules`` prints, or why it does nothing."""
    out = io.StringIO()
    try:
        call_command(schedules.Command(), *map(str, words), stdout=out, stderr=out)
    except (CommandError, SystemExit) as error:
        out.write(str(error))
    return out.getvalue()


@pytest.fixture
def remote(stack: Stack, tmp_path: Path) -> Iterator[Remote]:
    """With a token that may do everything."""
    before: dict[Any, Any] = {
        model: set(model.objects.values_list("pk", flat=True)) for model in (Queue, ApiAnswer, AuditEntry, Schedule)
    }
    remote = Remote(stack, tmp_path, "read", "submit", "act")
    wait_until(lambda: _answers(remote), what="the web server answers")
    yield remote
    for model, there in before.items():
        model.objects.exclude(pk__in=there).delete()
    remote.token.delete()


def _answers(remote: Remote) -> bool:
    try:
        return bool(remote.jobs("list"))
    except CommandError:
        return False


def alike(text: str) -> str:
    """Without what a moment changes: how long ago something was, and the width of its column."""
    text = re.sub(r"just now|(in )?\d+ (s|min|h|d)\b( ago)?", "AGO", text)
    return re.sub(r"[ ]+", " ", re.sub(r'"heartbeat_at": "[^"]*"', "BEAT", text))


def test_here_and_there_print_the_same(remote: Remote, tmp_path: Path) -> None:
    ended = submit(KIND, {"text": "Hello"}, submitted_by=remote.user, tags=["one"])
    waiting = submit(KIND, {"text": "later"}, countdown=86_400, meta={"a": 1})
    wait_until(lambda: Job.objects.get(pk=ended.pk).state == State.SUCCEEDED, what="the job has ended")
    with workflow("order 7") as w:
        w.add(KIND, {"text": "last"}, name="b", after=[w.add(KIND, {"text": "later"}, name="a", countdown=86_400)])
    for words in (
        ["list"],
        ["list", "--tag", "one"],
        ["list", "--where", "text=later", "--since", "1h"],
        ["list", "--state", "failed"],
        ["list", "--limit", "1"],
        ["show", ended.pk],
        ["show", waiting.pk],
        ["tail", ended.pk],
        ["tail", ended.pk, "--level", "error", "--no-follow"],
        ["kinds", KIND],
        ["stats"],
        ["workflow", "list"],
        ["approvals"],
        ["workflow", "show", w.id],
    ):
        for form in ([], ["--json"]):
            assert alike(remote.jobs(*words, *form)) == alike(jobs(*words, *form)), words
    with workflow("order 8") as waits:
        waits.wait_for("paid")
    assert remote.jobs("signal", waits.id, "paid", "7").startswith("signal: ")
    assert "did you mean 'paid'" in remote.refused("signal", waits.id, "payed")
    wait_until(lambda: Workflow.objects.get(pk=waits.id).state == "succeeded", what="the signal has arrived")
    acts = [remote.jobs("workflow", act, w.id) for act in ("pause", "resume", "cancel")]
    assert acts == ["pause: 1 changed.\n", "resume: 1 changed.\n", "cancel: 1 changed.\n"]
    assert remote.ends("workflow", "pause", w.id)[0] == 1
    for words in (
        ["list", "--kind", "hello.log_mesage"],
        ["list", "--state", "faild"],
        ["list", "--since", "yesterday"],
        ["list", "--by", "nobody"],
        ["show", "01a205c0-f458-76a1-9ac2-f6a18457f66a"],
        ["tail", "01a205c0-f458-76a1-9ac2-f6a18457f66a"],
        ["submit", "hello.log_mesage"],
        ["submit", KIND],
        ["submit", KIND, "text=a", "--queue", "nowhere"],
        ["submit", KIND, "text=a", "--countdown", "-1"],
        ["submit", KIND, "text=a", "TEXT=b"],
        ["submit", KIND, "text=a", "text=b"],
        ["submit", KIND, "text"],
        ["submit", KIND, "--file", _file(tmp_path, "text,other\na,b\n")],
        ["submit", KIND, "--file", _file(tmp_path, '{"text": 1}\n\n{}\n{', "r.jsonl")],
        ["pause", "nowhere"],
        ["cancel"],
        ["workflow", "show", "01a205c0-f458-76a1-9ac2-f6a18457f66a"],
    ):
        known = r"(?i)(did you mean|known: )[^\n]*"  # the kinds of the tests are known here alone
        assert re.sub(known, "", remote.refused(*words)) == re.sub(known, "", refused(*words)), words


def _file(folder: Path, text: str, name: str = "r.csv") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_what_is_done_there_is_done_and_audited(remote: Remote, tmp_path: Path) -> None:
    text = remote.jobs("submit", KIND, "text=Hello", "--wait", "--tag", "remote")
    made = Job.objects.get(kind=KIND)
    assert text.startswith(f"Submitted {KIND} {made.pk}.\n")
    assert "INFO     Received a message: Hello\n" in text
    assert "\nsucceeded after " in text
    assert (made.tags, made.submitted_by_id, made.arguments) == (["remote"], remote.user.pk, {"text": "Hello"})
    told = remote.as_json("submit", KIND, "--file", _file(tmp_path, "text\na\nb\n"), "--wait")
    assert (told["kind"], told["jobs"], told["states"]) == (KIND, 2, {"succeeded": 2})
    later = remote.as_json("submit", KIND, "--json-args", '{"text": "x"}', "--countdown", "3600")["id"]
    assert remote.jobs("snooze", later, "--until-time", "2036-01-01T00:00") == "snooze: 1 changed.\n"
    assert remote.ends("tail", later, "--timeout", "0")[0] == 4
    told = remote.as_json("cancel", later, made.pk)
    assert told == {"action": "cancel", "asked": 2, "changed": 1, "left_alone": 1}
    assert remote.ends("cancel", later)[0] == 1
    assert "you may not act on their kind" in remote.ends("run-now", later)[1]
    assert remote.ends("tail", later)[0] == 3
    assert remote.jobs("retry", later) == "retry: 1 changed.\n"
    all_ended()
    assert Job.objects.get(pk=later).state == State.SUCCEEDED
    assert set(AuditEntry.objects.filter(job=later).values_list("action", "token")) >= {("cancel", str(remote.token))}
    assert remote.jobs("pause", "default", "--reason", "repairs") == "pause default: done.\n"
    try:
        assert Queue.objects.get(name="default").reason == "repairs"
        assert remote.ends("pause", "default") == (1, "pause default: nothing changed, it is paused already.\n")
    finally:
        assert remote.as_json("resume", "default") == {"action": "resume", "queue": "default", "changed": True}


def test_schedules_here_and_there_are_the_same(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    yearly = f'{{"kind": "{KIND}", "timing": "0 3 1 1 *", "arguments": {{"text": "Hello"}}}}'
    assert "At 03:00" in remote.schedules("add", "there", yearly)
    assert "At 03:00" in _schedules("add", "here", yearly)
    span = ("--from", "2024-01-01T00:00Z", "--to", "2025-06-01T00:00Z")
    for words in (
        ["list"],
        ["show", "there"],
        ["preview", "*/15 2 * * *", "--timezone", "Europe/Berlin"],
        ["preview", "61 * * * *"],
        ["show", "their"],
        ["backfill", "there", *span],
        ["backfill", "there", "--from", "2050-01-01T00:00Z"],
        ["add", "there", yearly],
        ["add", "other", '{"kind": "hello.log_mesage", "timing": "@daily"}'],
        ["change", "there", '{"timing": "61 * * * *"}'],
        ["change", "there", '{"arguments": {}, "overlap": "often"}'],
    ):
        for form in ([], ["--json"]):
            known = r"(?i)(did you mean|known: )[^\n]*"  # the kinds of the tests are known here alone
            told, expected = remote.schedules(*words, *form), _schedules(*words, *form)
            assert re.sub(known, "", told) == re.sub(known, "", expected), words
    assert remote.schedules("pause", "there", "--reason", "a move") == "pause there: done.\n"
    assert remote.schedules("pause", "there") == "pause there: nothing changed.\n1"
    assert remote.schedules("resume", "there") == "resume there: done.\n"
    assert remote.schedules("change", "there", '{"timing": "@every 2h", "starts_at": "2036-01-01T00:00Z"}')
    job = json.loads(remote.schedules("run", "there", "--json"))["job"]
    assert Job.objects.get(pk=job).kind == KIND
    assert remote.schedules("backfill", "here", *span, "--yes") == "2 jobs submitted.\n"
    assert remote.schedules("delete", "there") == "delete there: done.\n"
    entries = AuditEntry.objects.filter(token=str(remote.token)).order_by("pk")
    acts = ["add", "pause", "resume", "change", "run now", "backfill", "delete"]
    assert list(entries.values_list("action", flat=True)) == acts
    assert "needs the project's code" in remote.schedules("sync")
    all_ended()


def test_a_list_longer_than_a_page_of_the_api(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("furrow.command.there.PAGE", 2)
    made = [submit(KIND, {"text": "x"}, countdown=3600) for _ in range(5)]
    newest = [str(job.pk) for job in reversed(made)]
    assert [job["id"] for job in remote.as_json("list")] == newest
    assert [job["id"] for job in remote.as_json("list", "--limit", "3")] == newest[:3]
    assert "The newest 4; --limit shows more." in remote.jobs("list", "--limit", "4")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["set-priority", "01a205c0-f458-76a1-9ac2-f6a18457f66a", "--priority", "1"], "set-priority is not possible with"),
        (["delete", "01a205c0-f458-76a1-9ac2-f6a18457f66a"], "delete is not possible with --remote"),
        (["cancel", "--state", "pending", "--yes"], "With --remote jobs are chosen by ids"),
        (["list", "--user", "ada"], "--user cannot be combined with --remote"),
        (["list", "--token", "fw_x"], "--token and --token-file cannot be combined"),
    ],
)
def test_what_the_api_cannot_do_is_refused_by_name(remote: Remote, words: list[str], said: str) -> None:
    assert said in remote.refused(*words)


def test_a_token_does_no_more_than_its_scopes(remote: Remote, stack: Stack, tmp_path: Path) -> None:
    reader, submitter = Remote(stack, tmp_path, "read"), Remote(stack, tmp_path, "submit")
    assert "This token lacks the scope submit" in reader.refused("submit", KIND, "text=a")
    job = submit(KIND, {"text": "x"}, countdown=3600)
    assert "This token lacks the scope act" in reader.refused("cancel", job.pk)
    assert "This token lacks the scope read" in submitter.refused("submit", KIND, "text=a", "--wait")
    assert submitter.as_json("submit", KIND, "text=a", "--countdown", "3600")["kind"] == KIND
    assert reader.secret not in reader.refused("pause", "default")
    submitter.token.delete()
    assert "token" in submitter.refused("list")
    reader.token.delete()


def test_no_project_is_needed(remote: Remote, tmp_path: Path) -> None:
    """In an empty folder, by the console script: neither settings nor models are loaded."""
    submit(KIND, {"text": "x"}, countdown=3600)
    script = (
        "import sys; from furrow.__main__ import main; sys.argv = ['furrow', *sys.argv[1:]]; main(); "
        "from django.conf import settings; assert not settings.configured; assert 'furrow.models' not in sys.modules"
    )
    env = {name: text for name, text in os.environ.items() if not name.startswith(("DJANGO", "DATABASE"))}
    env |= {"PYTHONPATH": str(ROOT / "apps"), "FURROW_TOKEN": remote.secret}
    words = ["jobs", *remote.words[:2], "list", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", script, *words], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == json.loads(jobs("list", "--json"))


def test_signals_and_restarts_from_a_step(remote: Remote) -> None:
    job, now = submit(KIND, {"text": "m"}, countdown=3600), timezone.now()
    Step.objects.create(job=job, name="paid", sort="signal", awaits="paid", position=1, attempt=1, started_at=now)
    assert "waits for paid" in remote.jobs("show", job.pk)
    assert remote.as_json("signal", job.pk, "shipped", "[1]")["delivered"] is False
    assert "did you mean 'paid'" in remote.refused("retry-from", job.pk, "Paid")
    assert "will run again from paid" in remote.jobs("retry-from", job.pk, "paid")
    all_ended()
    assert list(Signal.objects.values_list("name", "payload", "target")) == [("shipped", "[1]", job.pk)]
