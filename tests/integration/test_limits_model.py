"""Limits under random interleavings of submits, the dispatcher's rounds, claims, ends, crashes and changed declarations."""

import dataclasses
from collections import Counter
from datetime import timedelta
from itertools import permutations
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone
from furrow import Job, State, job, statements, submit
from furrow.actions.jobs import cancel
from furrow.dispatcher.admission import Admission
from furrow.dispatcher.changes import Changes
from furrow.dispatcher.limited import Limited
from furrow.dispatcher.slot_reaper import SlotReaper
from furrow.models import Hold
from furrow.statements import Group
from furrow.states import FINAL, Outcome
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.rows import WORKER, claim, lead, settle

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]


@job(name="model.both", lock="model:{key}", concurrency=3)
def both(key: str) -> None:
    """One at a time of its key, and three in all."""


@job(name="model.paced", rate="2/h", rate_key="{key}")
def paced(key: str) -> None:
    """Two starts of its key in an hour."""


@job(name="model.ordered", ordered="model:{key}")
def ordered(key: str) -> None:
    """Those of its key one after the other."""


@job(name="model.fair", fair="{key}")
def fair(key: str) -> None:
    """Tenants take turns."""


KINDS = {"both": both, "paced": paced, "ordered": ordered}
ENDS = ("succeed", "fail", "hand back", "crash")
TENANTS = "abcd"

STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["submit"]), st.tuples(st.sampled_from(list(KINDS)), st.sampled_from("abcd"))),
        st.tuples(st.sampled_from(["claim", "begin", *ENDS, "cancel", "delete"]), st.integers(0, 7)),
        st.tuples(st.sampled_from(["change"]), st.integers(1, 4)),
        st.tuples(st.sampled_from(["dispatch", "dispatch", "fill", "an hour passes"]), st.just(0)),
    ),
    min_size=5,
    max_size=40,
)
#: A limit is lowered while who has the highest of its slots runs, and the lower ones are free.
LOWERED: list[tuple[str, Any]] = [
    *(("submit", ("both", key)) for key in "abc"),
    ("dispatch", 0),
    *[("claim", 0)] * 3,
    *[("succeed", 0)] * 2,
    ("change", 1),
    ("submit", ("both", "d")),
    ("dispatch", 0),
]
MODEL = settings(
    max_examples=10,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Engine:
    """The dispatcher's part for limits, and a worker's."""

    def __init__(self) -> None:
        Hold.objects.all().delete()
        Job.objects.all().delete()
        self.leadership: Any = SimpleNamespace(term=lead())
        self.admission = Admission()
        self.starts: Counter[str] = Counter()  # of each key of a rate, within the hour
        self.begun: set[tuple[Any, int]] = set()
        self.begin()

    def begin(self) -> None:
        """A dispatcher starts."""
        self.holds, self.changes = SlotReaper(self.leadership), Changes(self.leadership)

    def dispatch(self, lane: Limited | None = None, limit: int = 100) -> list[Any]:
        """A round, with the duties; returns what was sent, and is marked so."""
        self.changes.run_once()
        self.holds.run_once()
        jobs = (lane or Limited("default", self.admission)).due(limit, None, self.leadership.term)
        attempts = {job.id: job.attempt for job in jobs}
        assert statements.on(connection).mark_queued(connection, attempts, self.leadership.term) == len(jobs)
        return list(attempts)

    def fill(self) -> None:
        """One of each kind and key; what may run runs."""
        for kind in KINDS.values():
            for key in "abcd":
                submit(kind, {"key": key})
        self.dispatch()
        claim(*Job.objects.filter(state=State.QUEUED))

    def hour(self) -> None:
        """An hour passes for the slots of rates."""
        Hold.objects.filter(free_at__isnull=False).update(free_at=F("free_at") - timedelta(hours=1))
        self.starts.clear()

    def begin_run(self, job: Job) -> None:
        """The handler of this running job begins."""
        if (job.pk, job.attempt) not in self.begun:
            self.begun.add((job.pk, job.attempt))
            begun = [(str(job.pk), job.attempt, timezone.now().timestamp())]
            statements.on(connection).write(connection, WORKER, Group(begun=begun))
            if job.kind == paced.name:
                self.starts[job.arguments["key"]] += 1

    def do(self, what: str, which: Any) -> None:
        """One step; on a job that can take it, if there is one."""
        wanted = [State.RUNNING] if what in ("begin", *ENDS) else [State.QUEUED]
        states = {"cancel": list(State), "delete": list(FINAL)}.get(what, wanted)
        some = list(Job.objects.filter(state__in=states).order_by("pk"))
        if not some:
            return
        one = some[which % len(some)]
        if what in ("begin", "succeed", "fail"):
            self.begin_run(one)
        match what:
            case "claim":
                claim(one)
            case "succeed":
                settle(one, attempt=one.attempt)
            case "fail":
                settle(one, State.PENDING, Outcome.FAILED, attempt=one.attempt, delay=0.0)
            case "hand back":
                settle(one, State.PENDING, Outcome.INTERRUPTED, attempt=one.attempt, delay=0.0)
            case "crash" if (one.pk, one.attempt) in self.begun:
                settle(one, State.PENDING, Outcome.LOST, attempt=one.attempt, delay=0.0)
            case "crash":
                statements.on(connection).release_jobs(connection, WORKER, [str(one.pk)])
            case "cancel":
                cancel(one.pk)
            case "delete":
                Job.objects.filter(pk=one.pk).delete()

    def check(self, most: int) -> None:
        """No more run than their limits allow, and none before its turn."""
        running = [one.arguments["key"] for one in Job.objects.filter(state=State.RUNNING, kind=both.name)]
        assert len(running) == len(set(running)), "two of one key run"
        assert len(running) <= most
        assert all(starts <= 2 for starts in self.starts.values()), "more starts than the rate allows"
        queue = Job.objects.filter(kind=ordered.name).exclude(state__in=FINAL).order_by("pk")
        first: dict[str, Job] = {}
        for one in queue:
            head = first.setdefault(one.arguments["key"], one)
            assert one.state != State.RUNNING or one == head, "one began before its turn"


@given(STEPS)
@example(LOWERED)
@MODEL
def test_no_limit_is_exceeded_no_slot_leaks_and_all_jobs_end(steps: list[tuple[str, Any]]) -> None:
    engine, rules = Engine(), both.rules
    most = 3  # that may run at once: a lowered limit takes nothing from those that run
    try:
        for what, which in steps:
            before = Hold.objects.filter(key="limit:model.both").count()
            match what:
                case "submit":
                    kind, key = which
                    submit(KINDS[kind], {"key": key})
                case "change":
                    both.rules = dataclasses.replace(rules, concurrency=which)
                    most = max(which, before)
                    engine.begin()
                case "dispatch":
                    engine.dispatch()
                case "fill":
                    engine.fill()
                case "an hour passes":
                    engine.hour()
                case _:
                    engine.do(what, which)
            after = Hold.objects.filter(key="limit:model.both").count()
            assert after <= max(before, both.rules.concurrency or 0), "a new start above the limit"
            engine.check(most)
        for _ in range(400):
            if not Job.objects.exclude(state__in=FINAL).exists():
                break
            engine.hour()
            engine.dispatch()
            claim(*Job.objects.filter(state=State.QUEUED))
            engine.check(most)
            for one in Job.objects.filter(state=State.RUNNING):
                engine.begin_run(one)
                settle(one, attempt=one.attempt)
        engine.hour()
        engine.dispatch()
        assert not Job.objects.exclude(state__in=FINAL).exists(), "a job waits for a slot that nobody has"
        assert not Hold.objects.exists(), "a slot leaked"
    finally:
        both.rules = rules


@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(TENANTS), st.integers(1, 6)),
            st.tuples(st.just("dispatch"), st.integers(1, 9)),
        ),
        min_size=5,
        max_size=25,
    )
)
@MODEL
def test_tenants_that_wait_are_served_alike(steps: list[tuple[str, int]]) -> None:
    engine = Engine()
    lane = Limited("default", engine.admission)
    waiting: Counter[str] = Counter()
    ahead: Counter[tuple[str, str]] = Counter()
    for what, many in [*steps, *[("dispatch", len(TENANTS))] * (2 * len(steps))]:
        if what != "dispatch":
            waiting[what] += many
            for _ in range(many):
                submit(fair, {"key": what})
            continue
        if not waiting.total():
            continue
        before, sent = waiting.copy(), engine.dispatch(lane, many)
        served = Counter(job.arguments["key"] for job in Job.objects.filter(pk__in=sent))
        waiting -= served
        assert len(sent) <= many
        assert sent, "jobs wait, and none is let in"
        for one, other in permutations(TENANTS, 2):
            both_wait = all(min(before[tenant], waiting[tenant]) for tenant in (one, other))
            ahead[one, other] = ahead[one, other] + served[one] - served[other] if both_wait else 0
            assert ahead[one, other] <= 1, f"{one} was served more often than {other}, which waited as long"
    assert not waiting.total()
