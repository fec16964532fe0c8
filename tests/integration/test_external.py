"""Jobs of external kinds: who may take them, and what becomes of their runs. By the engine's functions, on both databases."""

import datetime as dt
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.test import Client
from django.utils import timezone
from furrow import Abort, Attempt, Job, State, statements, submit
from furrow.actions import jobs as actions
from furrow.actions.queues import pause, resume
from furrow.conf import conf
from furrow.diagnosis.as_json import kind_json
from furrow.diagnosis.explain import situation, why
from furrow.dispatcher.admission import Admission
from furrow.dispatcher.locked_rows import LockedRows
from furrow.dispatcher.offer import Offer
from furrow.dispatcher.overdue import Overdue
from furrow.dispatcher.rescue import Rescue
from furrow.errors import ArgumentError, InputError, KindError, OptionError
from furrow.external import claims, presence
from furrow.external.claims import Assignment, claim
from furrow.external.ends import End, finish
from furrow.external.fence import Run
from furrow.external.heartbeats import beat
from furrow.external.presence import Introduction, come
from furrow.external.reports import Line, Step, log, progress
from furrow.models import Queue, Worker, WorkerRequest
from furrow.statements import clock
from furrow.states import Outcome

from tests import external_kinds
from tests.external_kinds import alone, plain, resize, short
from tests.rows import lead, make

external_kinds.forget()
KINDS = [kind.name for kind in external_kinds.ALL]
pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs", "kinds")]


@pytest.fixture
def kinds() -> Iterator[None]:
    with external_kinds.known():
        yield


@pytest.fixture
def worker(kinds: None, nobody_runs: None) -> uuid.UUID:
    """A worker that has introduced itself."""
    return come(None, Introduction("resizer", KINDS, conf().external_queues, pid=77))


def handler() -> None:
    """One of ours."""


def take(worker: uuid.UUID, limit: int = 10) -> list[Assignment]:
    return claim(worker, KINDS, limit)


def run_of(job: Assignment) -> Run:
    return Run(job.id, job.attempt)


def end(worker: uuid.UUID, **told: Any) -> Job:
    """Claim the one job there is, end it so; the job afterwards."""
    (taken,) = take(worker)
    settled, stale = finish([End(run=run_of(taken), **told)], KINDS)
    assert (len(settled), stale) == (1, [])
    job = Job.objects.get(pk=taken.id)
    assert settled[0].state == job.state
    return job


# --- Declared and submitted --------------------------------------------------------------------------------------------------


def test_what_is_declared_elsewhere() -> None:
    assert claims.external_kinds() == sorted(KINDS)


def test_a_model_stands_in_the_place_of_the_signature() -> None:
    assert resize.arguments.names == ("path", "width", "key")
    assert resize.arguments.schema["properties"]["width"]["description"] == "In pixels"
    told = kind_json(resize)
    assert (told["external"], told["result"]["required"]) == (True, ["path", "bytes"])
    assert kind_json(plain)["result"] is None
    assert (resize.queue, resize.doc) == ("external", "Make an image smaller.")
    job = submit(resize, {"path": " a.png "})
    assert (job.arguments["path"], job.arguments["width"], job.queue) == ("a.png", 100, "external")


@pytest.mark.parametrize(
    ("arguments", "field", "reason"),
    [
        ({}, "path", "is missing"),
        ({"path": "a", "width": 0}, "width", "greater than 0"),
        ({"path": "../a"}, "path", "leads out of the folder"),
        ({"path": "a", "colour": 1}, "colour", "is not an argument of this kind"),
    ],
)
def test_bad_arguments_are_refused_at_submit(arguments: dict[str, Any], field: str, reason: str) -> None:
    with pytest.raises(ArgumentError) as refused:
        submit(resize, arguments)
    assert reason in refused.value.fields[field]
    assert not Job.objects.exists()


def test_queues_are_of_one_sort_each() -> None:
    from furrow import external_kind, job

    with pytest.raises(KindError, match="is for Celery workers"):
        external_kind("a.b", queue="default")
    with pytest.raises(KindError, match="is for workers in other languages"):
        job(queue="external")(handler)
    with pytest.raises(OptionError, match="is for Celery workers"):
        submit(plain, queue="default")
    with pytest.raises(KindError, match="rate"):
        external_kind("a.b", rate="1/s")
    with pytest.raises(OptionError, match="rate"):
        submit(plain, rate="1/s")
    with pytest.raises(KindError, match="max_attempts is given beside retry"):
        external_kind("a.b", max_attempts=2, retry=external_kinds.QUICK)
    with pytest.raises(KindError, match="must be a pydantic model"):
        external_kind("a.b", arguments=dict)  # type: ignore[arg-type]


def test_jobs_move_only_to_queues_of_their_sort() -> None:
    ours, theirs = make(), submit(plain)
    assert actions.change_queue([ours.pk, theirs.pk], "external") == 0
    assert actions.change_queue([theirs.pk], "default") == 0
    strayed = make(kind="words.plain", queue="default")
    with pytest.raises(Abort, match="move this one there"):  # what a Celery worker that takes it runs
        plain()
    assert actions.change_queue([strayed.pk], "external") == 1
    with pytest.raises(InputError, match="is unknown"):
        actions.change_queue([theirs.pk], "nowhere")


# --- Claimed -----------------------------------------------------------------------------------------------------------------


def test_what_a_worker_gets(worker: uuid.UUID) -> None:
    job = submit(resize, {"path": "a.png", "key": "hunter2"}, meta={"tenant": "acme"})
    (taken,) = take(worker)
    assert taken == Assignment(
        job.pk, "images.resize", 1, 3, {"path": "a.png", "width": 100, "key": "hunter2"}, {"tenant": "acme"}, 60
    )
    job.refresh_from_db()
    assert (job.state, job.worker) == (State.RUNNING, worker)
    assert take(worker) == []


def test_the_best_priority_goes_first_and_other_kinds_are_left(worker: uuid.UUID) -> None:
    last, first, other = submit(plain), submit(plain, priority=0), submit(resize, {"path": "a"})
    later = submit(plain, countdown=3600)
    assert [one.id for one in claim(worker, ["words.plain"], 1)] == [first.pk]
    assert [one.id for one in claim(worker, ["words.plain"], 5)] == [last.pk]
    assert claim(worker, ["words.plain"], 5) == []
    assert set(Job.objects.filter(state=State.PENDING).values_list("pk", flat=True)) == {other.pk, later.pk}


def test_a_paused_queue_and_expired_and_cancelled_jobs_are_left(worker: uuid.UUID) -> None:
    submit(plain)
    pause("external", drain=True)
    assert take(worker) == []
    resume("external")
    pause("external")
    assert take(worker) == []
    resume("external")
    Job.objects.update(expires_at=timezone.now() - dt.timedelta(seconds=1))
    assert take(worker) == []
    Queue.objects.all().delete()


def test_what_was_let_in_of_a_paused_queue_is_not_offered(worker: uuid.UUID) -> None:
    """It would stand before the jobs of other queues, and is refused."""
    let_in = make(kind="words.plain", queue="external", state=State.QUEUED, priority=0)
    sql, wanted = statements.on(connection), (["external"], KINDS, 10)
    assert sql.offered(connection, *wanted) == [str(let_in.pk)]
    pause("external", drain=True)
    assert sql.offered(connection, *wanted) == [str(let_in.pk)]  # it still runs
    Queue.objects.update(draining=False)
    assert sql.offered(connection, *wanted) == []
    Queue.objects.all().delete()


def test_a_row_of_another_program_that_does_not_fit_fails_and_goes_to_nobody(worker: uuid.UUID) -> None:
    bad = make(kind="images.resize", queue="external", arguments={"path": 7})
    good = make(kind="images.resize", queue="external", arguments={"path": "a"})
    assert [(one.id, one.arguments["width"]) for one in take(worker)] == [(good.pk, 100)]
    bad.refresh_from_db()
    assert (bad.state, bad.attempt) == (State.FAILED, 1)
    assert bad.error.startswith("ArgumentError: images.resize cannot run: path:")


def test_a_limit_lets_in_one_at_a_time(worker: uuid.UUID) -> None:
    submit(alone)
    submit(alone)
    offer, term = Offer("external", Admission(), LockedRows()), lead() or 0
    assert take(worker) == []  # nobody let them in
    assert offer.run_once(term) == 1
    (first,) = take(worker)
    assert (offer.run_once(term), take(worker)) == (0, [])
    finish([End(run=run_of(first))], KINDS)
    assert offer.run_once(term) == 1
    assert len(take(worker)) == 1


# --- Ended -------------------------------------------------------------------------------------------------------------------


def test_success_with_a_result_that_fits(worker: uuid.UUID) -> None:
    submit(resize, {"path": "a.png", "key": "hunter2"})
    job = end(worker, result={"path": "hunter2.png", "bytes": "12"})
    assert (job.state, job.error) == (State.SUCCEEDED, "")
    assert job.result == {"path": "••••••.png", "bytes": 12}
    attempt = Attempt.objects.get()
    assert (attempt.outcome, attempt.worker, attempt.pid) == (Outcome.SUCCEEDED, worker, 77)
    assert Worker.objects.get().ended == 1


def test_a_result_that_does_not_fit_fails_the_job_for_good(worker: uuid.UUID) -> None:
    submit(resize, {"path": "a.png"})
    job = end(worker, result={"path": "a"})
    assert job.state == State.FAILED
    assert job.error == "ResultError: images.resize returned what its result does not allow: bytes: is missing: give it a value"
    assert Worker.objects.get().failed == 1


def test_a_failure_is_retried_as_the_policy_says(worker: uuid.UUID) -> None:
    submit(plain)
    job = end(worker, outcome=Outcome.FAILED, error_type="TypeError", error="x is\n undefined", traceback="at main.js:3")
    assert (job.state, job.error) == (State.PENDING, "TypeError: x is undefined")
    assert job.run_at > timezone.now()
    actions.run_now(job.pk)
    job = end(worker, outcome=Outcome.FAILED, error="again")
    assert (job.state, job.attempt) == (State.FAILED, 2)
    assert [one.traceback for one in Attempt.objects.order_by("number")] == ["at main.js:3", ""]


def test_a_worker_may_say_when_or_that_nothing_mends_it(worker: uuid.UUID) -> None:
    submit(plain)
    job = end(worker, outcome=Outcome.FAILED, error="busy", retry_in=3600)
    assert job.state == State.PENDING
    assert job.run_at > timezone.now() + dt.timedelta(minutes=50)
    actions.run_now(job.pk)
    Job.objects.update(max_attempts=9)
    assert end(worker, outcome=Outcome.FAILED, error="no such file", retryable=False).state == State.FAILED


def test_handed_back_and_snoozed_do_not_count(worker: uuid.UUID) -> None:
    submit(plain)
    assert end(worker, outcome=Outcome.INTERRUPTED).state == State.PENDING
    job = end(worker, outcome=Outcome.SNOOZED, retry_in=60)
    assert (job.state, job.attempt, job.counted_attempts) == (State.PENDING, 2, 0)


def test_the_same_end_told_again_is_answered_as_it_was(worker: uuid.UUID) -> None:
    submit(plain)
    (taken,) = take(worker)
    told = [End(run=run_of(taken), result=1)]
    first = finish(told, KINDS)
    assert finish(told, KINDS) == first
    assert (Attempt.objects.count(), Worker.objects.get().ended) == (1, 1)
    settled, stale = finish([End(run=run_of(taken), outcome=Outcome.FAILED)], KINDS)
    assert (settled, len(stale)) == ([], 1)


def test_a_stale_run_and_a_strange_kind_change_nothing(worker: uuid.UUID) -> None:
    job = submit(plain)
    (taken,) = take(worker)
    Job.objects.filter(pk=job.pk).update(attempt=2)
    other = make(State.RUNNING)
    named = [run_of(taken), Run(other.pk, 1), Run(uuid.uuid4(), 1)]
    settled, stale = finish([End(run=run) for run in named], KINDS)
    assert settled == []
    assert [one.run for one in stale] == named
    assert stale[0].reason == f"attempt 1 of job {job.pk} is over: the job has come to attempt 2"
    assert stale[1].reason == f"there is no job {other.pk} of the kinds that this worker may take"
    assert [len(log([Line(run, "x")], KINDS)) for run in named] == [1, 1, 1]
    assert [len(progress([Step(run, 0.5)], KINDS)) for run in named] == [1, 1, 1]
    other.refresh_from_db()
    assert (other.state, other.log_lines.count(), job.log_lines.count()) == (State.RUNNING, 0, 0)


def test_lines_and_progress_are_kept_without_secrets(worker: uuid.UUID, settings: Any) -> None:
    settings.FURROW = {**settings.FURROW, "MAX_LOG_LINES": 2}
    job = submit(resize, {"path": "a.png", "key": "hunter2"})
    (taken,) = take(worker)
    run = run_of(taken)
    assert log([Line(run, "with hunter2"), Line(run, "two\0", 40)], KINDS) == []
    assert log([Line(run, "three"), Line(run, "four")], KINDS) == []
    assert progress([Step(run, 0.2), Step(run, 0.4, "hunter2")], KINDS) == []
    assert list(job.log_lines.values_list("message", "level", "attempt")) == [
        ("with ••••••", 20, 1),
        ("two�", 40, 1),
        ("[cut here: an attempt keeps 2 log lines (FURROW['MAX_LOG_LINES'])]", 30, 1),
    ]
    job.refresh_from_db()
    assert (job.progress, job.progress_note) == (0.4, "••••••")


def test_lines_with_a_time_that_are_told_again_are_kept_once(worker: uuid.UUID, settings: Any) -> None:
    settings.FURROW = {**settings.FURROW, "MAX_LOG_LINES": 5}
    job = submit(resize, {"path": "a.png", "key": "hunter2"})
    (taken,) = take(worker)
    run, at = run_of(taken), time.time() - 60
    lines = [Line(run, "tick", at=at), Line(run, "tick hunter2", at=at), Line(run, "tick", at=at + 0.1)]
    for again in (lines[:2], lines, [*lines, Line(run, "whenever")]):  # no answer came
        assert log(again, KINDS) == []
    assert sorted(job.log_lines.values_list("message", flat=True)) == ["tick", "tick", "tick ••••••", "whenever"]


# --- Lease, cancellation, timeout --------------------------------------------------------------------------------------------


def test_a_dead_workers_job_is_rescued_and_its_late_end_is_refused(worker: uuid.UUID) -> None:
    submit(resize, {"path": "a"})
    (taken,) = take(worker)
    rescue = Rescue()
    assert rescue.run_once() == 0
    Worker.objects.update(heartbeat_at=F("lease_until"))
    assert rescue.run_once() == 1
    pulse = beat(worker, [run_of(taken)], KINDS)
    assert (pulse.lives, pulse.lost) == (False, [run_of(taken)])
    again = come(worker, Introduction("resizer", ["images.resize"], ["external"]))
    assert again != worker
    actions.run_now(taken.id)
    (second,) = take(again)
    assert second.attempt == 2
    settled, stale = finish([End(run=run_of(taken), result={"path": "a", "bytes": 1})], KINDS)
    assert (settled, len(stale)) == ([], 1)
    assert Attempt.objects.get().outcome == Outcome.LOST


def test_a_heartbeat_tells_what_was_cancelled_and_what_is_lost(worker: uuid.UUID) -> None:
    submit(plain)
    submit(plain)
    first, second = map(run_of, take(worker))
    assert beat(worker, [first, second], KINDS) == (True, [], [], False)
    actions.cancel(first.id)
    Job.objects.filter(pk=second.id).update(attempt=2)
    assert beat(worker, [first, second], KINDS) == (True, [first], [second], False)
    finish([End(run=first, outcome=Outcome.CANCELLED)], KINDS)
    assert Job.objects.get(pk=first.id).state == State.CANCELLED


def test_a_job_whose_claim_was_never_answered_is_handed_back(worker: uuid.UUID) -> None:
    job = submit(plain)
    (taken,) = take(worker)
    beat(worker, [], KINDS)
    assert Job.objects.get(pk=taken.id).state == State.RUNNING  # the answer may be on its way
    Job.objects.update(started_at=timezone.now() - dt.timedelta(seconds=60))
    beat(worker, None, KINDS)
    assert Job.objects.get(pk=taken.id).state == State.RUNNING  # it does not say what it has
    beat(worker, [], KINDS)
    job.refresh_from_db()
    assert (job.state, job.counted_attempts) == (State.PENDING, 0)


def test_a_run_beyond_its_timeout_is_over(worker: uuid.UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    submit(short)
    (taken,) = take(worker)
    overdue, now = Overdue(), [0.0]
    monkeypatch.setattr("furrow.dispatcher.overdue.time.monotonic", lambda: now[0])
    assert overdue.run_once() == 0
    now[0] += 0.3
    assert overdue.run_once() == 1
    job = Job.objects.get()
    assert (job.state, Attempt.objects.get().outcome) == (State.FAILED, Outcome.TIMED_OUT)
    assert finish([End(run=run_of(taken))], KINDS)[0] == []


def test_a_cancelled_run_that_does_not_stop_is_over_after_a_lease(worker: uuid.UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    submit(plain)
    (taken,) = take(worker)
    overdue, now = Overdue(), [0.0]
    monkeypatch.setattr("furrow.dispatcher.overdue.time.monotonic", lambda: now[0])
    actions.cancel(taken.id)
    assert overdue.run_once() == 0
    now[0] += conf().worker_lease
    assert overdue.run_once() == 1
    assert Job.objects.get().state == State.CANCELLED


def test_a_worker_can_be_asked_to_shut_down_and_to_nothing_else(worker: uuid.UUID) -> None:
    from furrow.actions.workers import ask

    for action in (WorkerRequest.Action.SHUTDOWN, WorkerRequest.Action.RESTART):
        assert ask(worker, action) is not None
    assert beat(worker, [], KINDS).stop
    assert not beat(worker, [], KINDS).stop
    assert dict(WorkerRequest.objects.values_list("action", "succeeded")) == {"shutdown": True, "restart": False}
    assert presence.leave(worker)
    assert not presence.leave(worker)


# --- Why it waits ------------------------------------------------------------------------------------------------------------


def test_why_a_job_waits() -> None:
    job = submit(plain)

    def reason() -> str:
        job.refresh_from_db()
        now = clock.now()
        found = why(job, situation(job, now), now)
        return found.text if found else ""

    assert reason() == "No external worker has ever asked for words.plain; due"
    worker = come(None, Introduction("w", ["words.plain"], conf().external_queues))
    assert reason() == "An external worker takes it with its next request; due"
    presence.leave(worker)
    assert reason() == "No external worker asks for words.plain; the last one did"
    strayed = make(queue="external")
    found = why(strayed, situation(strayed, clock.now()), clock.now())
    assert found is not None
    assert found.text.startswith("No worker takes it: queue “external” is for workers in other languages")


def test_the_pages_know_them(worker: uuid.UUID, admin_client: Client) -> None:
    job = submit(plain)
    page = admin_client.get("/admin/furrow/queue/").content.decode()
    assert "external" in page
    page = admin_client.get(f"/admin/furrow/worker/{worker}/change/").content.decode()
    assert "resizer (external)" in page
    assert "Shut down" in page
    assert "Replace processes" not in page
    page = admin_client.get(f"/admin/furrow/job/{job.pk}/change/").content.decode()
    assert "An external worker takes it with its next request" in page
    presence.leave(worker)
    page = admin_client.get("/admin/furrow/queue/external/change/").content.decode()
    assert "a worker in another language" in page
    assert admin_client.get("/admin/furrow/job/submit/words.plain/").status_code == 200
