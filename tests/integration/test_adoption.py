"""Celery tasks that are jobs: each runs as Celery runs it. Where it can be asked, stock Celery is, with the same task."""

import datetime as dt
import decimal
import json
import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import celery
import pytest
from celery import Task, current_task
from celery.beat import Scheduler
from celery.exceptions import Ignore, MaxRetriesExceededError, Reject, SoftTimeLimitExceeded, TaskRevokedError
from celery.result import ResultSet
from celery.schedules import schedule
from celery.signals import after_task_publish, before_task_publish
from django.db import transaction
from furrow import Job, cancel
from furrow.celery import Celery
from furrow.kinds.results import job_id
from furrow.management.commands.furrow import load
from furrow.models import Attempt
from furrow.states import Outcome, State
from furrow.testing import drain
from furrow.worker.child.current import Run
from kombu.exceptions import EncodeError
from pytest_django import Settings

from tests.adopted import Seen, adopting, stock
from tests.services import ROOT

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]

Declare = Callable[[Any, Seen], Any]


@pytest.fixture
def app(settings: Settings) -> Iterator[Celery]:
    with adopting(settings) as app:
        yield app


def of(result: Any) -> Job:
    return Job.objects.get(pk=job_id(result.id))


# --- The same task, under both ------------------------------------------------------------------------------------------------


def returns(app: Any, seen: Seen) -> Any:
    @app.task(shared=False, name="shop.returns", base=seen.hooks(Task))
    def returns(x: int, y: int = 2) -> int:
        seen.append(("ran", x, y, current_task.name))
        return x + y

    return returns.s(1, y=5)


def fails(app: Any, seen: Seen) -> Any:
    @app.task(shared=False, name="shop.fails", base=seen.hooks(Task))
    def fails(x: int) -> None:
        raise KeyError(x, "gone")

    return fails.s(7)


def asks_again(app: Any, seen: Seen) -> Any:
    @app.task(shared=False, name="shop.asks_again", base=seen.hooks(Task), bind=True, max_retries=2)
    def asks_again(self: Any, x: int) -> None:
        seen.append(("ran", x, self.request.retries))
        raise self.retry(exc=ValueError("not yet"), countdown=0)

    return asks_again.s(7)


def asks_again_without_a_reason(app: Any, seen: Seen) -> Any:
    @app.task(shared=False, name="shop.no_reason", base=seen.hooks(Task), bind=True, max_retries=1, default_retry_delay=0)
    def no_reason(self: Any) -> None:
        seen.append(("ran", self.request.retries))
        self.retry()

    return no_reason.s()


def changes_its_arguments(app: Any, seen: Seen) -> Any:
    @app.task(shared=False, name="shop.changes", base=seen.hooks(Task), bind=True)
    def changes(self: Any, x: int, *rest: int, more: int = 0) -> Any:
        seen.append(("ran", x, rest, more, self.request.retries))
        if self.request.retries < 2:
            self.retry(args=(x + 1, *rest, x), kwargs={"more": more + 1}, countdown=0)
        return [x, rest, more]

    return changes.s(1)


def may_be_asked_more_often(app: Any, seen: Seen) -> Any:
    @app.task(shared=False, name="shop.more_often", base=seen.hooks(Task), bind=True, max_retries=1)
    def more_often(self: Any) -> int:
        if self.request.retries < 4:
            self.retry(max_retries=6, countdown=0)
        return int(self.request.retries)

    return more_often.s()


def tried_again_by_itself(app: Any, seen: Seen) -> Any:
    @app.task(
        shared=False,
        name="shop.by_itself",
        base=seen.hooks(Task),
        bind=True,
        autoretry_for=(LookupError,),
        dont_autoretry_for=(KeyError,),
        retry_kwargs={"max_retries": 3, "countdown": 0},
    )
    def by_itself(self: Any) -> None:
        seen.append(("ran", self.request.retries))
        raise (KeyError if self.request.retries == 2 else IndexError)("out")

    return by_itself.s()


def is_ignored(app: Any, seen: Seen) -> Any:
    @app.task(shared=False, name="shop.is_ignored", base=seen.hooks(Task))
    def is_ignored() -> None:
        raise Ignore

    return is_ignored.s()


def is_rejected(app: Any, seen: Seen) -> Any:
    @app.task(shared=False, name="shop.is_rejected", base=seen.hooks(Task))
    def is_rejected() -> None:
        raise Reject("no such thing", requeue=False)

    return is_rejected.s()


class Account(Task):
    """A class of the project's own."""

    abstract = True
    made = 0

    def __init__(self) -> None:
        type(self).made += 1

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return ["called", self.run(*args, **kwargs)]


def of_a_class(app: Any, seen: Seen) -> Any:
    @app.task(shared=False, name="shop.of_a_class", base=Account, bind=True)
    def of_a_class(self: Any, x: int) -> Any:
        seen.append(("ran", x, self.made, isinstance(self, Account)))
        return x

    return of_a_class.s(3)


def registered(app: Any, seen: Seen) -> Any:
    class Registered(seen.hooks(Account)):  # type: ignore[misc]
        name = "shop.registered"

        def run(self, x: int, y: int = 4) -> int:
            seen.append(("ran", x, y, self.request.called_directly))
            return x * y

    return app.register_task(Registered()).s(3)


@pytest.mark.parametrize(
    "declare",
    [
        returns,
        fails,
        asks_again,
        asks_again_without_a_reason,
        changes_its_arguments,
        may_be_asked_more_often,
        tried_again_by_itself,
        is_ignored,
        is_rejected,
        of_a_class,
        registered,
    ],
)
def test_a_task_sees_what_it_sees_under_celery(app: Celery, declare: Declare) -> None:
    theirs, ours = Seen(), Seen()
    with theirs.listening():
        before = declare(stock(), theirs).apply()
    call = declare(app, ours)
    with ours.listening():
        result = call.delay()
        drain(raise_on_failure=False)
    # Celery retries an eager task within its run, so that the outer runs end when the inner ones have.
    assert sorted(map(_shown, ours)) == sorted(map(_shown, theirs))
    if before.state in ("SUCCESS", "FAILURE"):
        assert result.state == before.state
        assert _shown(result.result) == _shown(_as_json(before.result))


def _shown(seen: Any) -> str:
    return re.sub(r"\[[0-9a-f-]{36}\]", "[id]", repr(seen))


def _as_json(value: Any) -> Any:
    return [list(one) if isinstance(one, tuple) else one for one in value] if isinstance(value, list) else value


def test_the_pages_example_runs_as_it_stands(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "adoption.md").read_text().split("```python\n")[1].split("```")[0]
    monkeypatch.setattr(
        celery,
        "shared_task",
        lambda *args, **options: app.task(*args, **options, shared=False) if not args else app.task(shared=False)(*args),
    )
    names: dict[str, Any] = {"__name__": "example"}
    exec(page, names)
    drain()
    assert names["first"].get(timeout=1) == {"order": 7, "amount": 250, "retries": 2}
    assert names["second"].get(timeout=1) == "Receipt 8: 100"


# --- Sending ------------------------------------------------------------------------------------------------------------------


def test_a_call_is_a_row_of_the_callers_transaction(app: Celery) -> None:
    @app.task(shared=False, name="shop.add")
    def add(x: int, y: int = 1) -> int:
        return x + y

    class GoesBack(Exception):
        pass

    def goes_back() -> None:
        with transaction.atomic():
            add.delay(1)
            raise GoesBack

    with pytest.raises(GoesBack):
        goes_back()
    assert not Job.objects.exists()
    calls = [
        add.delay(2, 3),
        add.apply_async((2,), {"y": 3}),
        add.s(2).delay(3),
        add.signature((2, 3)).apply_async(),
        app.send_task("shop.add", kwargs={"x": 2, "y": 3}),
        app.signature("shop.add", (2, 3)).delay(),
    ]
    assert all(of(call).arguments["y"] == 3 or of(call).arguments["x"] == 3 for call in calls)
    assert drain().succeeded == len(calls)
    assert [call.get(timeout=1) for call in calls] == [5] * 6
    assert add(2, 3) == 5
    assert Job.objects.count() == len(calls)


def test_what_is_named_or_declared_plain_stays_plain(settings: Settings) -> None:
    with adopting(settings, ["shop.*"]) as app:

        @app.task(shared=False, name="shop.kept", durable=False)
        def kept() -> None: ...

        @app.task(shared=False, name="mail.send")
        def send() -> None: ...

        @app.task(shared=False, name="shop.pickled", serializer="pickle")
        def pickled() -> None: ...

        @app.task(shared=False, name="shop.ours")
        def ours() -> None: ...

        assert [task.kind is not None for task in (kept, send, pickled, ours)] == [False, False, False, True]
        with app.connection_for_write() as link, link.SimpleQueue("celery") as queue:
            for task in (kept, send):
                task.delay()
                assert queue.get(timeout=5).headers["task"] == task.name
    assert not Job.objects.exists()


def test_a_pool_that_cannot_run_jobs_leaves_all_tasks_plain(settings: Settings) -> None:
    with adopting(settings, worker_pool="threads") as app:

        @app.task(shared=False, name="shop.add")
        def add() -> None: ...

        assert add.kind is None


def test_arguments_come_back_as_they_were(app: Celery) -> None:
    got: list[Any] = []

    @app.task(shared=False, name="shop.takes")
    def takes(a: Any, b: int = 0, *rest: Any, key: Any = None, **more: Any) -> Any:
        got.append((a, b, rest, key, more))
        return a

    day, moment, id = dt.date(2026, 1, 2), dt.datetime(2026, 1, 2, 3, tzinfo=dt.UTC), uuid.uuid4()
    result = takes.delay({"day": day, "at": moment, "id": id}, 2, b"bytes", decimal.Decimal("1.50"), key=[1], other="x")
    assert of(result).arguments["b"] == 2
    assert of(result).arguments["other"] == "x"
    drain()
    given = {"day": day, "at": moment, "id": id}
    assert got == [(given, 2, (b"bytes", decimal.Decimal("1.50")), [1], {"other": "x"})]
    assert result.get(timeout=1) == given


def test_calls_that_celery_refuses_are_refused(app: Celery) -> None:
    @app.task(shared=False, name="shop.add")
    def add(x: int) -> None: ...

    for args, kwargs in (((), {}), ((1, 2), {}), ((1,), {"y": 2})):
        with pytest.raises(TypeError):
            add.apply_async(args, kwargs)
    with pytest.raises(EncodeError, match="x: cannot be written as JSON"):
        add.delay(object())
    assert not Job.objects.exists()


def test_without_typing_a_wrong_call_fails_when_it_runs(app: Celery) -> None:
    @app.task(shared=False, name="shop.add", typing=False)
    def add(x: int) -> None: ...

    result = add.delay(1, 2)
    drain(raise_on_failure=False)
    assert result.state == "FAILURE"
    assert isinstance(result.result, TypeError)


def test_options_are_those_of_a_job(app: Celery) -> None:
    @app.task(shared=False, name="shop.add")
    def add(x: int = 0) -> int:
        return x

    now = dt.datetime.now(dt.UTC)
    jobs = [
        of(add.apply_async(countdown=60, priority=9)),
        of(add.apply_async(eta=now + dt.timedelta(hours=1), expires=now + dt.timedelta(hours=2))),
        of(add.apply_async(task_id="nightly report", priority=3) and add.AsyncResult("nightly report")),
        of(add.apply_async(expires=-1)),
        of(add.apply_async(compression="zlib", serializer="json", queue="no such queue")),
    ]
    assert jobs[0].run_at > now + dt.timedelta(seconds=30)
    assert jobs[1].run_at == now + dt.timedelta(hours=1)
    assert jobs[1].expires_at == now + dt.timedelta(hours=2)
    assert [jobs[0].priority, jobs[2].priority] == [0, 3]
    assert jobs[3].state == State.CANCELLED
    with pytest.raises(TaskRevokedError):
        add.AsyncResult(str(jobs[3].pk)).get(timeout=1)
    assert jobs[4].queue == "default"
    drain()
    assert add.AsyncResult("nightly report").get(timeout=1) == 0


# --- Runs ---------------------------------------------------------------------------------------------------------------------


def test_the_request_says_what_celerys_does(app: Celery) -> None:
    got: list[Any] = []

    @app.task(shared=False, name="shop.asks", bind=True)
    def asks(self: Any, x: int, y: int = 0) -> None:
        got.append(self.request)
        if x:
            asks.apply_async((0,), {"y": 4}, headers={"tenant": "acme"}, shadow="nicer", time_limit=30, soft_time_limit=20)

    outer = asks.apply_async((1,), priority=7)
    drain()
    first, second = got
    assert (first.id, first.root_id, first.parent_id) == (outer.id, outer.id, None)
    assert (second.root_id, second.parent_id) == (outer.id, outer.id)
    assert (first.args, first.kwargs, second.args, second.kwargs) == ([1], {}, [0], {"y": 4})
    assert (first.argsrepr, second.kwargsrepr) == ("[1]", "{'y': 4}")
    assert (first.called_directly, first.is_eager, first.retries, first.utc) == (False, False, 0, True)
    assert first.delivery_info == {"exchange": "", "routing_key": "default", "priority": 7, "redelivered": False}
    assert first.properties["correlation_id"] == first.correlation_id == outer.id
    assert (first.headers, second.headers["tenant"], second.tenant) == (None, "acme", "acme")
    assert (second.shadow, second.timelimit, second.time_limit, second.soft_time_limit) == ("nicer", [30, 20], 30, 20)
    assert first.hostname
    assert first.task == "shop.asks"


def test_a_retry_waits_for_its_countdown_or_eta(app: Celery) -> None:
    @app.task(shared=False, name="shop.waits", bind=True)
    def waits(self: Any, way: str) -> str:
        if self.request.retries == 0:
            soon = {"eta": dt.datetime.now(dt.UTC) + dt.timedelta(minutes=3)}
            self.retry(**({"countdown": 180} if way == "countdown" else soon if way == "eta" else {}))
        return way

    results = [waits.delay(way) for way in ("countdown", "eta", "default")]
    assert drain().retried == 3
    for result in results:
        assert result.state == "RETRY" or of(result).state == State.PENDING
        assert of(result).run_at > dt.datetime.now(dt.UTC) + dt.timedelta(seconds=100)
    assert drain(with_scheduled=True).succeeded == 3


def test_a_retry_that_does_not_throw_runs_again(app: Celery) -> None:
    runs: list[int] = []

    @app.task(shared=False, name="shop.goes_on", bind=True)
    def goes_on(self: Any) -> str:
        runs.append(self.request.retries)
        if self.request.retries == 0:
            self.retry(countdown=0, throw=False)
        return "done"

    result = goes_on.delay()
    drain()
    assert runs == [0, 1]
    assert result.get(timeout=1) == "done"


def test_without_a_limit_there_is_none(app: Celery) -> None:
    @app.task(shared=False, name="shop.endless", bind=True, max_retries=None)
    def endless(self: Any) -> int:
        if self.request.retries < 5:
            self.retry(countdown=0)
        return int(self.request.retries)

    result = endless.delay()
    Job.objects.filter(pk=result.id).update(attempt=1_200, excused=0)
    drain()
    assert result.get(timeout=1) >= 1_200
    assert of(result).state == State.SUCCEEDED


def test_errors_are_those_that_were_raised(app: Celery) -> None:
    @app.task(shared=False, name="shop.fails", throws=(LookupError,))
    def fails(how: str) -> None:
        raise {"lookup": KeyError("a", 1), "soft": SoftTimeLimitExceeded(), "max": MaxRetriesExceededError("enough")}[how]

    results = {how: fails.delay(how) for how in ("lookup", "soft", "max")}
    drain(raise_on_failure=False)
    with pytest.raises(KeyError, match="'a', 1"):
        results["lookup"].get(timeout=1)
    with pytest.raises(SoftTimeLimitExceeded):
        results["soft"].get(timeout=1)
    with pytest.raises(MaxRetriesExceededError):
        results["max"].get(timeout=1)
    assert results["lookup"].failed()
    assert "raise {" in results["lookup"].traceback
    assert Attempt.objects.get(job=results["soft"].id).outcome == Outcome.TIMED_OUT
    assert of(results["lookup"]).error == "KeyError: ('a', 1)"


def test_a_result_without_a_json_form_fails_unless_it_is_ignored(app: Celery) -> None:
    @app.task(shared=False, name="shop.kept")
    def kept() -> Any:
        return object()

    @app.task(shared=False, name="shop.ignored", ignore_result=True)
    def ignored() -> Any:
        return object()

    results = [kept.delay(), ignored.delay(), kept.apply_async(ignore_result=True)]
    drain(raise_on_failure=False)
    assert [result.state for result in results] == ["FAILURE", "SUCCESS", "SUCCESS"]
    assert isinstance(results[0].result, EncodeError)


def test_a_custom_state_is_shown_while_the_task_runs(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    @app.task(shared=False, name="shop.counts", bind=True)
    def counts(self: Any) -> None:
        self.update_state(state="PROGRESS", meta={"current": 3, "total": 12})
        self.update_state(state="UPLOADING")

    monkeypatch.setattr(Run, "progress", lambda self, fraction, note, **options: told.append((fraction, note, options)))
    result = counts.delay()
    drain()
    assert told == [
        (0.25, 'PROGRESS {"current": 3, "total": 12}', {"at_once": True}),
        (0.0, "UPLOADING", {"at_once": True}),
    ]
    Job.objects.filter(pk=result.id).update(
        state=State.RUNNING, progress_note='PROGRESS {"current": 3, "total": 12}', finished_at=None
    )
    result = counts.AsyncResult(result.id)
    assert (result.state, result.info) == ("PROGRESS", {"current": 3, "total": 12})


def test_a_failure_that_a_task_records_itself_is_one(app: Celery) -> None:
    @app.task(shared=False, name="shop.says_so", bind=True)
    def says_so(self: Any) -> None:
        self.update_state(state="FAILURE", meta="out of paper")
        raise Ignore

    result = says_so.delay()
    drain(raise_on_failure=False)
    assert result.state == "FAILURE"
    assert of(result).error == "FAILURE: out of paper"


def test_what_is_rejected_to_be_sent_again_runs_again(app: Celery) -> None:
    runs: list[bool] = []

    @app.task(shared=False, name="shop.rejects", bind=True)
    def rejects(self: Any) -> str:
        runs.append(self.request.delivery_info["redelivered"])
        if len(runs) < 3:
            raise Reject("busy", requeue=True)
        return "done"

    result = rejects.delay()
    drain(with_scheduled=True)
    assert runs == [False, True, True]
    assert result.get(timeout=1) == "done"


def test_a_revoked_task_is_a_cancelled_job(app: Celery) -> None:
    @app.task(shared=False, name="shop.add")
    def add() -> None: ...

    result = add.delay()
    cancel(of(result).pk, reason="not wanted")
    assert result.state == "REVOKED"
    with pytest.raises(TaskRevokedError, match="not wanted"):
        result.get(timeout=1)


@pytest.mark.parametrize("backend", ["cache+memory://", None])
def test_any_result_backend_finds_jobs(settings: Settings, backend: str | None) -> None:
    with adopting(settings) as app:
        app.conf.result_backend = backend

        @app.task(shared=False, name="shop.add")
        def add(x: int) -> int:
            return x

        ids = [add.delay(n).id for n in range(2)]
        drain()
        assert [app.AsyncResult(id).get(timeout=1) for id in ids] == [0, 1]
        assert ResultSet([app.AsyncResult(id) for id in ids], app=app).get(timeout=1) == [0, 1]
        assert app.AsyncResult(ids[0]).state == "SUCCESS"


# --- Eager --------------------------------------------------------------------------------------------------------------------


def test_eager_tasks_run_as_celerys_do(settings: Settings) -> None:
    with adopting(settings, task_always_eager=True) as app:
        seen: list[Any] = []

        @app.task(shared=False, name="shop.eager", bind=True)
        def eager(self: Any, x: int) -> int:
            seen.append(self.request.is_eager)
            if self.request.retries < 1:
                raise self.retry(countdown=60)
            return x

        assert eager.delay(3).get() == 3
        assert eager.apply((4,)).get() == 4
        assert seen == [True] * 4
    assert not Job.objects.exists()


def test_a_project_that_adopts_nothing_has_celerys_tasks(settings: Settings) -> None:
    with adopting(settings, "none") as app:

        @app.task(shared=False, name="shop.add")
        def add() -> None: ...

        assert add.kind is None
        assert add.Strategy == celery.Task.Strategy
        assert add.backend is app.backend


def test_a_rate_limit_is_the_jobs(app: Celery) -> None:
    @app.task(shared=False, name="shop.rated", rate_limit="30/m")
    def rated() -> None: ...

    @app.task(shared=False, name="shop.odd", rate_limit="0.5/s")
    def odd() -> None: ...

    assert rated.kind.rules.rate is not None
    assert odd.kind is None
    rated.delay()
    assert drain().succeeded == 1


def test_the_command_says_what_is_a_job_and_why_not(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with adopting(settings, ["shop.*"]) as app:

        @app.task(shared=False, name="shop.add", acks_late=True, reject_on_worker_lost=True)
        def add() -> None: ...

        @app.task(shared=False, name="shop.kept", durable=False)
        def kept() -> None: ...

        monkeypatch.setattr("furrow.command.adopt.project_app", lambda: app)
        load("adopt").run_from_argv(["manage.py", "adopt", "--json"])
        found = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
        assert (found["shop.add"]["durable"], found["shop.add"]["differs"]) == (True, [])
        assert found["shop.kept"]["reason"] == "it is declared with durable=False"

        @app.task(shared=False, name="shop.pickled", serializer="pickle")
        def pickled() -> None: ...

        with pytest.raises(SystemExit) as refused:
            load("adopt").run_from_argv(["manage.py", "adopt"])
        assert refused.value.code == 1
        assert "shop.pickled: plain: its serializer is pickle" in capsys.readouterr().out


# --- Signals of a publish -----------------------------------------------------------------------------------------------------


def test_listeners_of_a_publish_add_headers(app: Celery) -> None:
    got: list[Any] = []

    @app.task(shared=False, name="shop.traced", bind=True)
    def traced(self: Any, x: int) -> None:
        got.append((self.request.headers, self.request.id))

    def before(sender: str, body: Any, headers: dict[str, Any], **told: Any) -> None:
        got.append((sender, body[0], headers["id"]))
        headers["sentry-trace"] = "abc"

    def after(sender: str, headers: dict[str, Any], **told: Any) -> None:
        got.append((sender, headers["task"]))

    before_task_publish.connect(before)
    after_task_publish.connect(after)
    try:
        result = traced.delay(1)
    finally:
        before_task_publish.disconnect(before)
        after_task_publish.disconnect(after)
    drain()
    assert got == [
        ("shop.traced", (1,), result.id),
        ("shop.traced", "shop.traced"),
        ({"sentry-trace": "abc"}, result.id),
    ]


def test_beat_sends_to_an_adopted_task(app: Celery) -> None:
    @app.task(shared=False, name="shop.nightly")
    def nightly(x: int) -> int:
        return x

    beat = Scheduler(app=app, schedule={})
    entry = beat.Entry(name="nightly", task="shop.nightly", schedule=schedule(60), args=(3,), app=app)
    result = beat.apply_async(entry, producer=None, advance=False)
    drain()
    assert result.get(timeout=1) == 3
