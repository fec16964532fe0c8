"""Middleware: what wraps submits and runs, in which order, and what is refused."""

import datetime as dt
import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import pytest
from celery import current_app
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from furrow import (
    Abort,
    Job,
    Middleware,
    MiddlewareError,
    OptionError,
    Retry,
    RunningJob,
    Snooze,
    Submission,
    Unique,
    checks,
    current_job,
    statements,
    submit,
    submit_many,
)
from furrow.actions.jobs import cancel, retry
from furrow.middleware import chains
from furrow.worker.child import runner
from pydantic import SecretStr
from pytest_django import DjangoAssertNumQueries, Settings

from tests import kinds

pytestmark = pytest.mark.engine

HERE = __name__
seen: list[Any] = []
tenant: ContextVar[str] = ContextVar("tenant", default="")


class Outer(Middleware):
    """Both."""

    def submit(self, submission: Submission, call_next: Callable[[], None]) -> None:
        seen.append(("outer submit", submission.kind, submission.queue, submission.count))
        call_next()
        seen.append("outer submitted")

    def run(self, job: RunningJob, call_next: Callable[[], Any]) -> Any:
        seen.append(("outer run", job.kind, job.attempt, job.max_attempts, dict(job.arguments), dict(job.meta)))
        try:
            return call_next()
        finally:
            seen.append("outer ran")


class Tenant(Middleware):
    """As a project with tenants has it."""

    def submit(self, submission: Submission, call_next: Callable[[], None]) -> None:
        submission.meta.setdefault("tenant", tenant.get() or "none")
        call_next()

    def run(self, job: RunningJob, call_next: Callable[[], Any]) -> Any:
        token = tenant.set(job.meta["tenant"])
        try:
            return call_next()
        finally:
            tenant.reset(token)


class Odd(Middleware):
    """Does what ``how`` says."""

    how = ""

    def submit(self, submission: Submission, call_next: Callable[[], None]) -> None:
        if self.how == "bad meta":
            submission.meta["at"] = dt.datetime(2026, 1, 1)
        for _ in range({"forgets": 0, "twice": 2}.get(self.how, 1)):
            call_next()
        if self.how == "raises":
            raise PermissionError("not today")

    def run(self, job: RunningJob, call_next: Callable[[], Any]) -> Any:
        if self.how in ("forgets", "twice"):
            return [call_next() for _ in range({"forgets": 0, "twice": 2}[self.how])]
        if self.how == "changes":
            return ["instead of", call_next()]
        if self.how == "swallows":
            try:
                call_next()
            except ValueError:
                return "it failed"
        if error := {"raises": PermissionError("not today"), "snoozes": Snooze(7), "aborts": Abort("no")}.get(self.how):
            raise error
        if self.how == "replaces":
            try:
                call_next()
            except ValueError as error:
                raise Retry("again", seconds=3) from error
        return call_next()


class Nothing(Middleware):
    """Wraps nothing."""


class Async(Middleware):
    """Would be awaited by nobody."""

    async def run(self, job: RunningJob, call_next: Callable[[], Any]) -> Any:
        return call_next()


class Few(Middleware):
    """As a Django middleware."""

    def submit(self, submission: Submission) -> None:  # type: ignore[override]
        """Takes one too few."""


class Unmade(Middleware):
    """Cannot be made."""

    def __init__(self) -> None:
        raise KeyError("SENTRY_DSN")

    def run(self, job: RunningJob, call_next: Callable[[], Any]) -> Any:
        return call_next()


class Stranger:
    """No middleware."""


@pytest.fixture
def installed(settings: Settings) -> Callable[..., None]:
    """Installs middleware of this module."""
    seen.clear()

    def install(*names: str) -> None:
        settings.FURROW = {**settings.FURROW, "MIDDLEWARE": [f"{HERE}.{name}" for name in names]}

    return install


@contextmanager
def odd(how: str) -> Iterator[None]:
    Odd.how = how
    try:
        yield
    finally:
        Odd.how = ""


def run(job: Job) -> dict[str, Any]:
    """Run it here, with what a claim says of it."""
    meta = Job.objects.filter(pk=job.pk).values_list("meta", flat=True).get()
    fields = (str(job.pk), job.kind, json.dumps(job.arguments), 1, 0, 3, 0, "", 0.0, json.dumps(meta) if meta else None)
    names = ("id", "attempt", "state", "outcome", "pid", "began", "ended", "delay", "result", "error", "type", "story", "sign")
    return dict(zip(names, runner.run(*fields), strict=True))


# --- submits ------------------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_without_middleware_a_submit_is_one_insert_without_metadata(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(1) as queries:
        submit(kinds.add, {"a": 1})
    assert "meta" not in queries.captured_queries[0]["sql"]
    assert chains() == ((), ())


@pytest.mark.django_db
def test_the_first_of_the_list_is_the_outermost_and_metadata_travels_with_each_job(installed: Callable[..., None]) -> None:
    installed("Outer", "Tenant")
    job = submit(kinds.add, {"a": 1}, meta={"locale": "de"})
    assert job.meta == {"locale": "de", "tenant": "none"}
    ids = submit_many(kinds.add, [{"a": n} for n in range(3)])
    assert [entry[-1] for entry in seen] == [1, "d", 3, "d"], "each outermost one, and how many jobs"
    assert {json.dumps(meta) for meta in Job.objects.filter(pk__in=ids).values_list("meta", flat=True)} == {
        '{"tenant": "none"}'
    }


@pytest.mark.django_db
def test_every_way_to_submit_passes_through_middleware(installed: Callable[..., None]) -> None:
    installed("Tenant")
    current_app.send_task("kinds.add", kwargs={"a": 1})
    kinds.add.delay(2)
    kinds.add.submit(a=3)
    submit(kinds.add, {"a": 4}, unique="k{a}")
    submit_many(kinds.add, [{"a": n} for n in range(5, 30)])
    submit_many(kinds.add, [{"a": 30}], unique="k{a}")
    submit(kinds.add, {"a": 31}, concurrency=2)
    assert Job.objects.count() == 31 == Job.objects.filter(meta__tenant="none").count()


@pytest.mark.django_db
def test_a_repeat_and_a_retry_keep_the_metadata(installed: Callable[..., None]) -> None:
    installed("Tenant")
    token = tenant.set("acme")
    job = submit(kinds.add, {"a": 1}, meta={"token": SecretStr("hunter2")})
    tenant.reset(token)
    again = submit(kinds.add, {"a": 1}, again_of=job.pk)
    assert again.meta == {"tenant": "acme", "token": {"$secret": "hunter2"}}
    cancel(job.pk)
    assert retry(job.pk) == 1
    job.refresh_from_db()
    assert job.meta["tenant"] == "acme"


@pytest.mark.django_db
def test_a_job_that_is_replaced_has_the_new_metadata() -> None:
    rule: Any = {"unique": Unique("k", until="started", conflict="replace")}
    first = submit(kinds.add, {"a": 1}, meta={"tenant": "acme"}, **rule)
    second = submit(kinds.add, {"a": 2}, meta={"tenant": "other"}, **rule)
    assert (second.pk, second.meta) == (first.pk, {"tenant": "other"})
    assert submit(kinds.add, {"a": 3}, **rule).meta is None


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("how", "error", "text"),
    [
        ("forgets", MiddlewareError, "Odd.submit() returned without calling call_next(): call it, or raise why not"),
        ("twice", MiddlewareError, "Odd.submit() called call_next() twice"),
        ("raises", PermissionError, "not today"),
        ("bad meta", OptionError, "meta: 'at' 2026-01-01T00:00:00 has no time zone"),
    ],
)
def test_a_middleware_that_goes_wrong_refuses_the_submit(
    installed: Callable[..., None], how: str, error: type[Exception], text: str
) -> None:
    installed("Odd")
    with odd(how), pytest.raises(error) as refused:
        submit(kinds.add, {"a": 1})
    assert text in str(refused.value)
    assert not Job.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("meta", "reason"),
    [
        ("acme", "'acme' must be a dict with texts as keys"),
        ({7: "acme"}, "must be a dict with texts as keys"),
        ({"x": {1, 2}}, "'x' is a set, which JSON does not know"),
        ({"x": float("nan")}, "'x' nan is not a number that JSON knows"),
        ({"x": "a\x00"}, "'x' contains the character U+0000"),
        ({"x": "a" * 20_000}, "has 20,009 bytes of JSON: at most 16,384 may be"),
    ],
)
def test_metadata_that_cannot_be_stored_is_refused(meta: Any, reason: str) -> None:
    with pytest.raises(OptionError) as refused:
        submit(kinds.add, {"a": 1}, meta=meta)
    assert reason in refused.value.fields["meta"]


@pytest.mark.django_db
def test_a_claim_carries_the_metadata(sql_claims: Callable[[uuid.UUID], str | None]) -> None:
    assert json.loads(sql_claims(submit(kinds.add, {"a": 1}, meta={"tenant": "acme"}).pk) or "") == {"tenant": "acme"}
    assert sql_claims(submit(kinds.add, {"a": 1}).pk) is None


@pytest.fixture
def sql_claims() -> Callable[[uuid.UUID], str | None]:
    """Claims a job, and tells its metadata."""

    def claim(id: uuid.UUID) -> str | None:
        (claimed,) = statements.on(connection).claim(connection, uuid.uuid4(), [str(id)])
        meta: str | None = claimed.meta
        return meta

    return claim


# --- runs ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_run_has_the_context_of_its_submit(installed: Callable[..., None]) -> None:
    installed("Outer", "Tenant")
    end = run(submit(kinds.add, {"a": 1}))
    assert (end["state"], end["result"]) == ("succeeded", "2")
    assert seen[2:] == [("outer run", "kinds.add", 1, 3, {"a": 1, "b": 1}, {"tenant": "none"}), "outer ran"]
    assert current_job.meta == {}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("how", "kind", "state", "outcome", "error"),
    [
        ("raises", kinds.add, "pending", "failed", f"PermissionError in middleware {HERE}.Odd: not today"),
        ("snoozes", kinds.add, "pending", "snoozed", "snoozed for 7 s"),
        ("aborts", kinds.add, "failed", "failed", f"Abort in middleware {HERE}.Odd: no"),
        ("forgets", kinds.add, "pending", "failed", "Odd.run() returned without calling call_next()"),
        ("twice", kinds.add, "pending", "failed", "Odd.run() called call_next() twice"),
        ("", kinds.fails, "pending", "failed", "ValueError: no"),
        ("replaces", kinds.fails, "pending", "failed", f"Retry in middleware {HERE}.Odd: again"),
    ],
)
def test_what_a_middleware_raises_ends_the_run_with_its_name(
    installed: Callable[..., None], how: str, kind: Any, state: str, outcome: str, error: str
) -> None:
    installed("Outer", "Odd")
    job = submit(kind, {"a": 1} if kind is kinds.add else {"message": "no"})
    with odd(how):
        end = run(job)
    assert (end["state"], end["outcome"]) == (state, outcome)
    assert error in end["error"]
    assert seen[-1] == "outer ran"


@pytest.mark.django_db
def test_what_a_middleware_returns_is_the_result(installed: Callable[..., None]) -> None:
    installed("Odd")
    with odd("changes"):
        assert json.loads(run(submit(kinds.add, {"a": 1}))["result"]) == ["instead of", 2]
    with odd("swallows"):
        end = run(submit(kinds.fails, {}))
    assert (end["state"], json.loads(end["result"])) == ("succeeded", "it failed")


@pytest.mark.django_db
def test_secret_metadata_is_in_the_clear_for_the_run_alone(installed: Callable[..., None]) -> None:
    installed("Outer")
    job = submit(kinds.fails, {"message": "the token is hunter2-hunter2"}, meta={"token": SecretStr("hunter2-hunter2")})
    end = run(job)
    assert seen[2][-1]["token"].get_secret_value() == "hunter2-hunter2"
    assert "hunter2" not in str(end)


# --- what is refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("shop.jobs.Tenant", "which cannot be imported (ModuleNotFoundError: No module named 'shop"),
        ("Tenant", "which cannot be imported (ImportError: Tenant doesn't look like a module path)"),
        (f"{HERE}.Missing", 'does not define a "Missing" attribute'),
        (f"{HERE}.Stranger", "which is no middleware: make it a subclass of furrow.Middleware"),
        (f"{HERE}.run", "which is no middleware"),
        (f"{HERE}.Nothing", "which wraps nothing: give it a method submit"),
        (f"{HERE}.Async", "whose run() is async or a generator: write a plain method"),
        (f"{HERE}.Few", "whose submit() takes other arguments: write submit(self, submission, call_next)"),
        (f"{HERE}.Unmade", "which cannot be made (KeyError: 'SENTRY_DSN'): its __init__ must need no argument"),
    ],
)
def test_a_middleware_that_cannot_work_is_an_error_of_the_check(settings: Settings, path: str, reason: str) -> None:
    settings.FURROW = {**settings.FURROW, "MIDDLEWARE": [path]}
    (error,) = checks.check_middleware()
    assert error.id == "furrow.E007"
    assert f"FURROW['MIDDLEWARE'] names {path!r}, " in error.msg
    assert reason in error.msg
    with pytest.raises(ImproperlyConfigured):
        chains()


def test_middleware_is_a_list(settings: Settings) -> None:
    settings.FURROW = {**settings.FURROW, "MIDDLEWARE": "shop.jobs.Tenant"}
    with pytest.raises(ImproperlyConfigured, match="it must be a list of different names"):
        chains()
