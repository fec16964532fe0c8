"""Limits under random interleavings of submits, the dispatcher's rounds, claims, ends, crashes and changed declarations."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.jobs import statements
from apps.jobs.actions import cancel
from apps.jobs.api import Job, State, job, submit
from apps.jobs.dispatcher.admission import Admission
from apps.jobs.dispatcher.changes import Changes
from apps.jobs.dispatcher.holds import Holds
from apps.jobs.dispatcher.limited import Limited
from apps.jobs.models import Hold
from apps.jobs.states import FINAL, Outcome
from tests.rows import WORKER, claim, lead, settle

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]


@job(name="model.both", lock="model:{key}", concurrency=3)
def both(key: str) -> None:
    """One at a time of its key, and three in all."""


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["submit"]), st.sampled_from("abcd")),
        st.tuples(st.sampled_from(["claim", "succeed", "fail", "hand back", "crash", "cancel", "delete"]), st.integers(0, 7)),
        st.tuples(st.sampled_from(["change"]), st.integers(1, 4)),
        st.tuples(st.sampled_from(["dispatch", "dispatch", "dispatch"]), st.just(0)),
    ),
    min_size=5,
    max_size=40,
)


class Engine:
    """The dispatcher's part for limits, and a worker's."""

    def __init__(self) -> None:
        Hold.objects.all().delete()
        Job.objects.all().delete()
        self.leadership: Any = SimpleNamespace(term=lead())
        self.admission = Admission()
        self.begin()

    def begin(self) -> None:
        """A dispatcher starts."""
        self.holds, self.changes = Holds(self.leadership), Changes(self.leadership)

    def dispatch(self) -> int:
        """A round, with the duties; what was sent is marked."""
        self.changes.run_once()
        self.holds.run_once()
        jobs = Limited("default", self.admission).due(100, None, self.leadership.term)
        marked: int = statements.on(connection).mark_queued(
            connection, {job.id: job.attempt for job in jobs}, self.leadership.term
        )
        return marked

    def do(self, what: str, which: Any) -> None:
        """One step; on a job that can take it, if there is one."""
        wanted = [State.RUNNING] if what in ("succeed", "fail", "hand back", "crash") else [State.QUEUED]
        states = {"cancel": list(State), "delete": list(FINAL)}.get(what, wanted)
        some = list(Job.objects.filter(state__in=states).order_by("pk"))
        if not some:
            return
        one = some[which % len(some)]
        match what:
            case "claim":
                claim(one)
            case "succeed":
                settle(one, attempt=one.attempt)
            case "fail":
                settle(one, State.PENDING, Outcome.FAILED, attempt=one.attempt, delay=0.0)
            case "hand back":
                settle(one, State.PENDING, Outcome.INTERRUPTED, attempt=one.attempt, delay=0.0)
            case "crash":
                statements.on(connection).disown(connection, WORKER, [str(one.pk)])
            case "cancel":
                cancel(one.pk)
            case "delete":
                Job.objects.filter(pk=one.pk).delete()


@given(STEPS)
@settings(
    max_examples=15,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_no_limit_is_exceeded_no_slot_leaks_and_all_jobs_end(steps: list[tuple[str, Any]]) -> None:
    engine, rules = Engine(), both.rules
    most = 3  # that may run at once: a lowered limit takes nothing from those that run
    try:
        for what, which in steps:
            if what == "submit":
                submit(both, {"key": which})
            elif what == "change":
                both.rules = dataclasses.replace(rules, concurrency=which)
                most = max(which, Hold.objects.filter(key="limit:model.both").count())
                engine.begin()
            elif what == "dispatch":
                before = Hold.objects.filter(key="limit:model.both").count()
                engine.dispatch()
                after = Hold.objects.filter(key="limit:model.both").count()
                assert after <= max(before, both.rules.concurrency or 0), "a new start above the limit"
            else:
                engine.do(what, which)
            running = list(Job.objects.filter(state=State.RUNNING).values_list("arguments__key", flat=True))
            assert len(running) == len(set(running)), "two of one key run"
            assert len(running) <= most
        for _ in range(400):
            if not Job.objects.exclude(state__in=FINAL).exists():
                break
            engine.dispatch()
            for job in Job.objects.filter(state=State.QUEUED):
                claim(job)
            for job in Job.objects.filter(state=State.RUNNING):
                settle(job, attempt=job.attempt)
        engine.dispatch()
        assert not Job.objects.exclude(state__in=FINAL).exists(), "a job waits for a slot that nobody has"
        assert not Hold.objects.exists(), "a slot leaked"
    finally:
        both.rules = rules
