"""Canaries and pinned jobs: which version of the code runs a job, and that none waits for ever."""

import datetime as dt
import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from furrow import Attempt, Job, State, current_job, submit
from furrow.actions.steps import unpin
from furrow.command.canaries import Command
from furrow.diagnosis.explain import situation, why
from furrow.errors import InputError
from furrow.models import AuditEntry, Canary, Worker
from furrow.models.job import new_id
from furrow.releases.acting import put
from furrow.releases.comparing import compare
from furrow.statements import Claimed
from furrow.statements.protocol import Statements
from furrow.testing import drain
from furrow.worker.ledger import canaries as canary
from furrow.worker.ledger.canaries import Canaries, is_chosen
from pytest_django import Settings

from tests import kinds
from tests.steps import Deploys, again, deploy, done, run

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]
assert done, deploy  # fixtures


def worker(version: str) -> Worker:
    """One that lives."""
    until = timezone.now() + dt.timedelta(hours=1)
    columns: dict[str, Any] = {"pid": 1, "processes": 1, "lease_until": until, "queues": ["default"], "code_version": version}
    return Worker.objects.create(node=f"{version}@here", **columns)


def claimed(share: float, *, chosen: bool, excused: int = 0, kind: str = "kinds.noop") -> Claimed:
    """A job that is of this share, or is not."""
    id = next(id for _ in range(1_000) if is_chosen(id := str(new_id()), share) == chosen)
    return Claimed(id, kind, "{}", excused + 1, excused, 5, 0, "", 0.0, None)


def known() -> Canaries:
    """As a worker reads them."""
    found = Canaries()
    found.look(connection)
    return found


def test_without_a_canary_there_is_nothing_to_ask(sql: Statements) -> None:
    assert sql.canaries(connection) == ([], frozenset())
    assert not known()


def test_a_workers_claims_are_sorted_by_the_share_and_its_version(settings: Settings, sql: Statements) -> None:
    put("kinds.noop", "2", 0.3)
    worker("1"), worker("2")
    assert sql.canaries(connection) == ([("kinds.noop", "2", 0.3)], frozenset({"1", "2"}))
    for version, chosen, goes in (
        ("1", True, True),
        ("1", False, False),
        ("2", True, False),
        ("2", False, True),
        ("", True, True),
    ):
        settings.FURROW = {**settings.FURROW, "VERSION": version}
        assert bool(known().elsewhere(claimed(0.3, chosen=chosen))) == goes, (version, chosen)
    assert known().elsewhere(claimed(0.3, chosen=True, kind="kinds.add")) is None


def test_no_job_waits_for_workers_that_are_not_there(settings: Settings) -> None:
    settings.FURROW = {**settings.FURROW, "VERSION": "1"}
    put("kinds.noop", "2", 0.5)
    worker("1")
    assert known().elsewhere(claimed(0.5, chosen=True)) is None
    worker("2")
    assert known().elsewhere(claimed(0.5, chosen=True)) is not None
    assert known().elsewhere(claimed(0.5, chosen=True, excused=canary.RETURNS)) is None  # it lives, and takes none
    settings.FURROW = {**settings.FURROW, "VERSION": "2"}
    Worker.objects.filter(code_version="1").delete()
    assert known().elsewhere(claimed(0.5, chosen=False)) is None


def test_a_wider_share_has_the_jobs_of_the_narrower_one() -> None:
    ids = [str(new_id()) for _ in range(2_000)]
    narrow, wide = ({id for id in ids if is_chosen(id, share)} for share in (0.1, 0.3))
    assert narrow < wide
    assert 100 < len(narrow) < 320
    assert not any(is_chosen(id, 0.0) for id in ids)
    assert all(is_chosen(id, 1.0) for id in ids)


def test_versions_are_compared_since_the_canary_began() -> None:
    row = put("kinds.noop", "2", 0.5)
    job, now = submit(kinds.noop), timezone.now() + dt.timedelta(seconds=5)
    runs = [("1", "succeeded", "", 1), ("2", "failed", "KeyError", 2), ("2", "succeeded", "", 4), ("2", "interrupted", "", 0)]
    workers = {version: worker(version).pk for version in ("1", "2")}
    for number, (version, outcome, error, seconds) in enumerate(runs, 1):
        times = {"started_at": now, "finished_at": now + dt.timedelta(seconds=seconds), "pid": seconds}
        Attempt.objects.create(job=job, number=number, outcome=outcome, error_type=error, worker=workers[version], **times)
    new, old = compare(row)
    assert (new.version, new.runs, new.unwell, new.middle, dict(new.errors)) == ("2", 2, 0.5, 3.0, {"KeyError": 1})
    assert (old.version, old.runs, old.unwell) == ("1", 1, 0.0)


def test_a_pinned_job_goes_on_with_the_version_that_began_it_or_when_it_is_released(
    deploy: Deploys, done: list[str], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kinds.scripted, "pinned", True)

    def handler() -> str:
        done.append("called")
        current_job.step("one", int, "7")
        if current_job.attempt < 2:
            raise ValueError("once")
        return "done"

    deploy(handler)
    settings.FURROW = {**settings.FURROW, "VERSION": "1"}
    job = submit(kinds.scripted)
    run()
    settings.FURROW = {**settings.FURROW, "VERSION": "2"}
    Job.objects.filter(pk=job.pk).update(state=State.PENDING, finished_at=None, result=None, max_attempts=9)
    called = len(done)
    drain(raise_on_failure=False)  # what is due: it is offered again later, and again
    job = again(job)
    assert (job.state, len(done)) == (State.PENDING, called)
    said = why(job, situation(job, timezone.now()), timezone.now())
    assert said is not None
    assert said.text.startswith("It is pinned to workers of version 1, which began it")
    assert said.stuck
    assert unpin(job.pk, by="ann")
    run()
    assert again(job).state == State.SUCCEEDED
    assert not unpin(job.pk)


def canaries(*words: Any) -> str:
    """What the command prints."""
    out = io.StringIO()
    call_command(Command(), *map(str, words), stdout=out, stderr=out)
    return out.getvalue()


def test_a_canary_is_begun_widened_compared_and_taken_back_on_the_command_line() -> None:
    assert "10% of kinds.noop to version 2" in canaries("put", "kinds.noop", "2", "0.1")
    begun = Canary.objects.get().started_at
    canaries("put", "kinds.noop", "2", "0.5")
    assert (Canary.objects.get().share, Canary.objects.get().started_at) == (0.5, begun)
    assert "50%" in canaries("list")
    assert json.loads(canaries("show", "kinds.noop", "--json"))["fared"][0]["version"] == "2"
    assert "2" in canaries("show", "kinds.noop")
    assert "Taken back" in canaries("take-back", "kinds.noop")
    with pytest.raises(SystemExit):
        canaries("take-back", "kinds.noop")
    assert [*AuditEntry.objects.order_by("pk").values_list("action", flat=True)] == ["canary", "canary", "take back canary"]
    for words, text in (
        (("put", "kinds.noop", "2", "1.5"), "share: 1.5 must be from 0 to 1"),
        (("put", "kinds.nop", "2", "0.5"), "There is no kind 'kinds.nop'"),
        (("show", "kinds.noop"), "kinds.noop has no canary"),
        (("release", new_id()), "There is no job"),
    ):
        with pytest.raises(CommandError, match=text):
            canaries(*words)
    with pytest.raises(InputError, match="version: '' must be"):
        put("kinds.noop", "", 0.5)
    job = submit(kinds.noop)
    assert "Released" in canaries("release", job.pk)


def test_a_canary_is_compared_widened_and_taken_back_in_the_admin(site: Client) -> None:
    row = put("kinds.noop", "<2>", 0.1)
    listed = site.get("/admin/furrow/canary/").content.decode()
    assert "10% to version &lt;2&gt;" in listed
    assert "no run yet" in listed
    shown = site.get(reverse("admin:furrow_canary_change", args=[row.pk])).content.decode()
    assert "Set the share in percent" in shown
    address = reverse("admin:furrow_canary_put", args=[row.pk])
    assert "25% of kinds.noop to version" in site.post(address, {"percent": "25"}, follow=True).content.decode()
    assert "Nothing was changed" in site.post(address, {"percent": "x"}, follow=True).content.decode()
    assert "Nothing was changed" in site.post(address, {"percent": "nan"}, follow=True).content.decode()
    assert Canary.objects.get().share == 0.25
    site.post(address, {"step": "take back"})
    assert not Canary.objects.exists()
