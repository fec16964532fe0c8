"""A limit that was changed reaches the jobs that wait, on both databases."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from furrow import Job, State, job, statements, submit
from furrow.dispatcher.admission import Admission
from furrow.dispatcher.changes import Changes
from furrow.dispatcher.limited import Limited
from furrow.dispatcher.slot_reaper import SlotReaper
from furrow.kinds.kind import Kind
from furrow.models import Hold
from pytest_django import Settings

from tests.rows import claim, lead, settle

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]


@job(name="changes.counted", concurrency=2, concurrency_key="{tenant}")
def counted(tenant: str) -> None:
    """So many of a tenant."""


@job(name="changes.rated", rate="2/h")
def rated() -> None:
    """So many an hour."""


@job(name="changes.plain")
def plain() -> None:
    """Without limits of its own."""


KINDS: Any = {"counted": counted, "rated": rated, "plain": plain}


def declare(monkeypatch: pytest.MonkeyPatch, kind: Kind, **rules: Any) -> None:
    monkeypatch.setattr(kind, "rules", dataclasses.replace(kind.rules, **rules))


def sent(*, after_a_restart: bool = False) -> int:
    """How many jobs get their slots now; of a dispatcher that has just begun to lead, or of one that goes on."""
    term = lead()
    assert term is not None
    leadership: Any = SimpleNamespace(term=term)
    if after_a_restart:
        changes = Changes(leadership)
        changes.run_once()
        assert changes.run_once() == 0, "once in a term"
    SlotReaper(leadership).run_once()
    jobs = Limited("default", Admission()).due(100, None, term)
    statements.on(connection).mark_queued(connection, {job.id: job.attempt for job in jobs}, term)
    return len(jobs)


def end_one() -> None:
    job = Job.objects.filter(state=State.QUEUED).order_by("pk")[0]
    claim(job)
    settle(job)


def test_a_raised_limit_lets_those_that_wait_go(monkeypatch: pytest.MonkeyPatch) -> None:
    for tenant in "aaaaaaab":
        submit(counted, {"tenant": tenant})
    assert (sent(), sent()) == (3, 0)
    declare(monkeypatch, counted, concurrency=5)
    assert sent(after_a_restart=True) == 3
    end_one()
    assert sent() == 1
    assert Hold.objects.filter(key="limit:a").count() == 5


def test_a_lowered_limit_holds_for_those_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(6):
        submit(counted, {"tenant": "a"})
    assert sent() == 2
    declare(monkeypatch, counted, concurrency=1)
    assert sent(after_a_restart=True) == 0
    end_one()
    assert sent() == 0
    end_one()
    assert sent() == 1


def test_a_limit_that_is_no_longer_declared_holds_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(6):
        submit(counted, {"tenant": "a"})
    assert sent() == 2
    declare(monkeypatch, counted, concurrency=None, concurrency_key=None)
    assert sent(after_a_restart=True) == 4


def test_a_rate_that_was_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(6):
        submit(rated)
    assert sent() == 2
    declare(monkeypatch, rated, rate="5/m")
    assert sent(after_a_restart=True) == 3


def test_a_queues_limit_that_was_raised_and_removed(settings: Settings) -> None:
    def limit(**limits: int) -> None:
        settings.FURROW = {**settings.FURROW, "QUEUE_LIMITS": limits}

    limit(default=1)
    for _ in range(5):
        submit(plain)
    assert sent() == 1
    limit(default=3)
    assert sent(after_a_restart=True) == 2
    limit()
    assert sent(after_a_restart=True) == 2


def test_what_the_submit_said_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(4):
        submit(counted, {"tenant": "a"}, concurrency=1)
    for _ in range(2):
        submit(plain, lock="mine")
    assert sent() == 2
    declare(monkeypatch, counted, concurrency=9)
    assert sent(after_a_restart=True) == 0


def test_nobody_is_let_go_whose_limit_is_as_it_was() -> None:
    for _ in range(4):
        submit(counted, {"tenant": "a"})
    assert sent() == 2
    assert Changes(SimpleNamespace(term=lead())).run_once() == 0  # type: ignore[arg-type]


def test_keys_are_looked_at_in_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("furrow.dispatcher.changes.KEYS", 2)
    monkeypatch.setattr("furrow.dispatcher.changes.JOBS", 2)
    for tenant in "abcde" * 5:
        submit(counted, {"tenant": tenant})
    assert sent() == 10
    declare(monkeypatch, counted, concurrency=None, concurrency_key=None)
    changes = Changes(SimpleNamespace(term=lead()))  # type: ignore[arg-type]
    for _ in range(30):
        changes.run_once()
    assert not Job.objects.exclude(held="").exists()
