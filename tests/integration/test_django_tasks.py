"""Django's tasks as jobs: what the frameworks promise of a backend, by the rows."""

import datetime as dt
import doctest
import re
import sys
import types
import uuid
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from celery import current_app
from django.conf import settings
from django.contrib.auth.models import Group
from django.db import transaction
from django.test import override_settings
from django.utils import timezone
from furrow import ArgumentError, Job, RetryPolicy, State, cancel, submit
from furrow.dispatcher.rescue import WorkerLost
from furrow.django_tasks import FurrowBackend, FurrowTask, job_options, kinds
from furrow.django_tasks.options import priority_of
from furrow.errors import KindError, Retry
from furrow.kinds import kind
from furrow.kinds.kind import find_kind, get_kind
from furrow.kinds.retry import next_delay
from furrow.models import LogLine
from furrow.statements import Claimed
from furrow.states import Outcome
from furrow.testing import drain
from furrow.worker.pool.crash import settle_death

from tests.kinds import django_tasks as tasks
from tests.services import ROOT

pytestmark = [pytest.mark.django_db, pytest.mark.engine]
FRAMEWORK = FurrowBackend.framework
Status = FRAMEWORK.base.TaskResultStatus


def drained(task: Any, *args: Any, **kwargs: Any) -> Any:
    """The result of a task that was enqueued and has run, read anew."""
    result = task.enqueue(*args, **kwargs)
    drain(raise_on_failure=False, with_scheduled=True)
    return task.get_result(result.id)


def test_an_enqueued_task_is_a_job_of_the_kind_that_its_module_path_names() -> None:
    result = tasks.adds.enqueue(1, 2, 3, 4, five=5)
    job = Job.objects.get(pk=result.id)
    assert (job.kind, job.queue, job.state, job.priority) == ("tests.kinds.django_tasks.adds", "default", State.PENDING, 5)
    assert job.arguments == {"a": 1, "b": 2, "more": [3, 4], "named": {"five": 5}}
    assert (result.status, result.args, result.kwargs) == (Status.READY, [1, 2, 3, 4], {"five": 5})
    assert tasks.adds.get_result(result.id) == result
    assert (result.started_at, result.finished_at, result.worker_ids, result.errors) == (None, None, [], [])
    assert result.task == tasks.adds


def test_a_result_says_what_became_of_the_job() -> None:
    result: Any = tasks.adds.enqueue(1, b=2)
    with pytest.raises(ValueError, match="not finished"):
        _ = result.return_value
    drain()
    result.refresh()
    job = Job.objects.get(pk=result.id)
    assert (result.status, result.return_value, result.attempts) == (Status.SUCCESSFUL, [3, [], {}], 1)
    assert (result.args, result.kwargs, result.worker_ids) == ([1], {"b": 2}, [str(job.worker)])
    assert result.enqueued_at <= result.started_at <= result.finished_at
    assert result.last_attempted_at == job.started_at


def test_a_task_that_raises_fails_at_once_with_its_exception_and_traceback() -> None:
    result = drained(tasks.raises, message="broken")
    assert (result.status, result.attempts, result.is_finished) == (Status.FAILED, 1, True)
    (error,) = result.errors
    assert error.exception_class is ValueError
    assert error.traceback.endswith("ValueError: broken\n")
    with pytest.raises(ValueError, match="Task failed"):
        _ = result.return_value


@pytest.mark.parametrize("exitcode", [-9, 1])
def test_a_task_whose_process_died_runs_again_though_it_declares_no_retry(exitcode: int) -> None:
    name = "tests.kinds.django_tasks.raises"
    job = Claimed(str(uuid.uuid4()), name, "{}", attempt=1, excused=0, max_attempts=get_kind(name).retry.max_attempts)
    assert settle_death(job, 7, exitcode, None).state == State.PENDING
    assert settle_death(job, 7, -9, Outcome.TIMED_OUT).state == State.FAILED, "its timeout is an error of its own"
    assert next_delay(get_kind(name).retry, 1, 5, WorkerLost("")) is not None
    assert next_delay(get_kind(name).retry, 1, 5, Retry()) is not None


def test_context_and_errors_tell_of_earlier_attempts() -> None:
    result = drained(tasks.tries, 3)
    assert result.return_value == [3, result.id, "RUNNING", 2, result.id]
    assert [error.exception_class for error in result.errors] == [LookupError, LookupError]
    assert (result.attempts, len(result.worker_ids), result.status) == (3, 3, Status.SUCCESSFUL)
    assert result.started_at < result.last_attempted_at


def test_async_tasks_run_and_what_they_log_is_in_the_jobs_log_without_the_frameworks_own_lines() -> None:
    result = drained(tasks.sleeps_async, "quiet")
    assert result.return_value == "QUIET"
    assert list(LogLine.objects.filter(job=result.id).values_list("message", flat=True)) == ["awake"]


def test_a_value_without_a_json_form_fails_the_task() -> None:
    result = drained(tasks.returns_no_json)
    assert (result.status, result.errors[0].exception_class) == (Status.FAILED, TypeError)


@pytest.mark.parametrize("given", [timezone.now(), object(), {1, 2}])
def test_arguments_without_a_json_form_are_refused(given: object) -> None:
    with pytest.raises(TypeError):
        tasks.adds.enqueue(given)  # type: ignore[arg-type]
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("args", "kwargs", "said"),
    [
        ((), {}, "missing a required argument: 'a'"),
        ((1,), {"a": 2}, "multiple values for argument 'a'"),
        ((float("nan"),), {}, "a: "),
        (("\0",), {}, "U.0000"),
        (({1: 2},), {}, "keys that are not strings"),
    ],
)
def test_a_call_that_cannot_be_is_refused_at_its_enqueue(args: Any, kwargs: Any, said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        tasks.adds.enqueue(*args, **kwargs)
    assert not Job.objects.exists()


def test_arguments_come_as_json_has_them_whatever_the_hints_say() -> None:
    result = drained(tasks.sleeps_async.using(priority=1), "3")
    assert drained(tasks.adds, [], [2], named={"x": (1, b"y")}).return_value == [[2], [], {"named": {"x": [1, "y"]}}]
    assert result.args == ["3"]


def test_a_rolled_back_transaction_takes_the_task_with_it() -> None:
    with transaction.atomic():
        result = tasks.adds.enqueue(1)
        transaction.set_rollback(True)
    with pytest.raises(FRAMEWORK.exceptions.TaskResultDoesNotExist):
        result.refresh()


@pytest.mark.parametrize("id", ["", "nonsense", str(uuid.uuid4())])
def test_there_is_no_result_of_another_id(id: str) -> None:
    with pytest.raises(FRAMEWORK.exceptions.TaskResultDoesNotExist):
        tasks.adds.get_result(id)


def test_jobs_that_are_no_tasks_and_other_tasks_have_no_result_here() -> None:
    job = submit("kinds.add", {"a": 1})
    with pytest.raises(FRAMEWORK.exceptions.TaskResultDoesNotExist):
        tasks.adds.get_result(str(job.pk))
    with pytest.raises(FRAMEWORK.exceptions.TaskResultMismatch):
        tasks.adds.get_result(tasks.raises.enqueue("x").id)


def test_a_cancelled_task_has_failed_and_says_so() -> None:
    result = tasks.adds.enqueue(1)
    cancel(uuid.UUID(result.id), reason="not wanted")
    result.refresh()
    assert result.status == Status.FAILED
    assert (result.errors[0].exception_class_path, result.errors[0].traceback) == ("furrow.errors.JobCancelled", "not wanted")


def test_run_after_and_using_are_kept() -> None:
    later = timezone.now() + dt.timedelta(hours=2)
    changed = tasks.adds.using(priority=-100, queue_name="other", run_after=later)
    result = changed.enqueue(1)
    job = Job.objects.get(pk=result.id)
    assert (job.priority, job.queue, job.run_at) == (9, "other", later)
    assert tasks.adds.get_result(result.id).task == changed == result.task
    assert drain().runs == 0
    result.refresh()
    assert result.status == Status.READY


def test_priorities_run_in_djangos_order() -> None:
    levels = [priority_of(given) for given in range(100, -101, -1)]
    assert levels == sorted(levels)
    assert (levels[0], priority_of(1), priority_of(0), priority_of(-1), levels[-1]) == (0, 4, 5, 6, 9)
    low, high = tasks.adds.using(priority=-1).enqueue(1), tasks.adds.using(priority=1).enqueue(2)
    assert drain().jobs == (uuid.UUID(high.id), uuid.UUID(low.id))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"queue_name": "nowhere"}, "nowhere"),
        ({"priority": 101}, "whole number between -100 and 100"),
        ({"priority": -101}, "whole number between"),
        ({"run_after": dt.datetime(2030, 1, 1)}, "aware"),
    ],
)
def test_what_cannot_be_is_an_invalid_task(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(FRAMEWORK.invalid_task, match=said):
        tasks.adds.using(**changes)


def test_aenqueue_and_aget_result_are_enqueue_and_get_result() -> None:
    async def both() -> Any:
        result = await tasks.adds.aenqueue(5)
        again = await tasks.adds.aget_result(result.id)
        await again.arefresh()
        return result, again

    result, again = async_to_sync(both)()
    assert (result.id, result.args) == (again.id, again.args)


def test_the_options_of_jobs_are_given_by_the_task_its_function_and_the_backend() -> None:
    one = tasks.makes_group.enqueue("a")
    two = tasks.makes_group.enqueue("a")
    assert one.id == two.id
    kind = get_kind("tests.kinds.django_tasks.makes_group")
    assert (kind.timeout, tuple(kind.tags)) == (30, ("groups",))
    assert get_kind("tests.kinds.django_tasks.tries").retry.max_attempts == 3
    drain()
    assert tasks.makes_group.get_result(one.id).return_value == Group.objects.get().pk


def test_an_option_that_there_is_not_is_refused() -> None:
    with pytest.raises(KindError, match="did you mean 'retry'"):
        job_options(retries=3)
    backend = FurrowBackend("x", {"OPTIONS": {"retries": 3}, "QUEUES": ["default", "nowhere"], "ENQUEUE_ON_COMMIT": False})
    assert [error.id for error in backend.check()] == ["furrow.E010", "furrow.E011", "furrow.E012"]
    assert not list(FurrowBackend("x", {"OPTIONS": {"retry": RetryPolicy()}}).check())
    with pytest.raises(FRAMEWORK.invalid_task, match="soft_timeout"):
        FurrowTask(func=_stub, soft_timeout=5, timeout=1)
    assert find_kind(f"{__name__}._stub") is None


def _stub() -> None: ...


def test_signals_are_sent_around_each_task_and_finished_once() -> None:
    heard: list[Any] = []
    signals = [FRAMEWORK.signals.task_enqueued, FRAMEWORK.signals.task_started, FRAMEWORK.signals.task_finished]

    def hears(sender: Any, signal: Any, task_result: Any, **more: Any) -> None:
        assert sender is FurrowBackend
        told = (signals.index(signal), task_result.status.value, task_result.attempts, len(task_result.errors))
        heard.append((*told, task_result.id))

    for signal in signals:
        signal.connect(hears)
    try:
        result = drained(tasks.tries, 2)
        failed = drained(tasks.raises, "x")
        awoken = drained(tasks.sleeps_async, "x")
    finally:
        for signal in signals:
            signal.disconnect(hears)
    assert [told[:-1] for told in heard if told[-1] == result.id] == [
        (0, "READY", 0, 0), (1, "RUNNING", 1, 0), (1, "RUNNING", 2, 1), (2, "SUCCESSFUL", 2, 1),
    ]  # fmt: skip
    assert [told[:-1] for told in heard if told[-1] == failed.id] == [
        (0, "READY", 0, 0),
        (1, "RUNNING", 1, 0),
        (2, "FAILED", 1, 1),
    ]
    assert [told[:2] for told in heard if told[-1] == awoken.id] == [(0, "READY"), (1, "RUNNING"), (2, "SUCCESSFUL")]


@override_settings(
    TASKS={
        "default": {"BACKEND": FRAMEWORK.tasks.__name__ + ".backends.immediate.ImmediateBackend"},
        "durable": {"BACKEND": "furrow.django_tasks.FurrowBackend"},
    }
)
def test_a_task_of_another_backend_can_be_enqueued_here() -> None:
    changed = tasks.adds.using(backend="durable")
    result = changed.enqueue(2)
    drain()
    result.refresh()
    assert result.return_value == [3, [], {}]
    assert FRAMEWORK.tasks.task_backends["durable"].get_result(result.id).task == changed


def test_the_example_of_the_page_runs_as_it_stands() -> None:
    page = (ROOT / "docs" / "django_tasks.md").read_text()
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    (_, in_settings), (_, in_module), *sessions = blocks[:4]
    given: dict[str, Any] = {}
    exec(in_settings, given)
    assert given["TASKS"] == settings.TASKS
    packages = [types.ModuleType("orders"), types.ModuleType("orders.tasks")]
    names: dict[str, Any] = {}
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    sys.modules.update({package.__name__: package for package in packages})
    try:
        exec(in_module, vars(packages[1]))
        for _, session in sessions:
            parsed = doctest.DocTestParser().get_doctest(session, names, "django_tasks.md", None, 0)
            assert not runner.run(parsed, clear_globs=False).failed
            names |= parsed.globs
            drain()
    finally:
        for package in packages:
            del sys.modules[package.__name__]
        name = "orders.tasks.send_invoice"
        kind._kinds.pop(name, None)
        kinds._tasks.pop(name, None)
        current_app.tasks.pop(name, None)
