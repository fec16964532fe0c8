"""Middleware: a project's own code around each submit and each run, as ``FURROW["MIDDLEWARE"]`` lists it.

The first of the list is the outermost, as in Django: it is the first to see a submit or a run and the last to see how that
went. Each class is instantiated once a process. A submit or a run that no middleware wraps costs one look at an empty tuple.
"""

import inspect
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, NamedTuple, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.db import transaction
from django.utils.module_loading import import_string

from furrow.conf import conf
from furrow.errors import Interruption, MiddlewareError

Written = TypeVar("Written")


@dataclass
class Submission:
    """One call of ``submit()`` or ``submit_many()``, before anything is written."""

    kind: str
    queue: str
    #: How many jobs: 1, or the rows of ``submit_many()``.
    count: int
    #: Travels with the jobs, the same with all of them: add and change at will. A ``pydantic.SecretStr`` is shown nowhere.
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass
class RunningJob:
    """One run of a job, in its pool process."""

    id: uuid.UUID
    kind: str
    #: The number of this run, counted from 1.
    attempt: int
    max_attempts: int
    #: What the handler gets. Values of ``Secret`` arguments are in the clear.
    arguments: Mapping[str, Any]
    #: What its submit gave it.
    meta: Mapping[str, Any]


class Middleware:
    """Base of the classes that ``FURROW["MIDDLEWARE"]`` names; override one method or both."""

    def submit(self, submission: Submission, call_next: Callable[[], None]) -> None:
        """Around a submit: in the submitting process, in the caller's transaction, after the arguments are validated.
        ``call_next()`` writes the rows. To refuse the submit, raise."""
        call_next()

    def run(self, job: RunningJob, call_next: Callable[[], Any]) -> Any:
        """Around a run: in the pool process, within the job's timeouts and, of a ``transactional`` kind, its transaction.
        ``call_next()`` runs the handler and returns its value or raises its exception; what this method returns or raises
        takes their place. Raise ``Retry``, ``Snooze``, ``Abort`` or ``Cancelled`` as a handler does."""
        return call_next()


class Named(NamedTuple):
    """A middleware, and its path in the settings."""

    path: str
    middleware: Middleware


class Chains(NamedTuple):
    """The middleware that wraps submits, and that which wraps runs; outermost first."""

    submit: tuple[Named, ...]
    run: tuple[Named, ...]


def around_submit(submission: Submission, write: Callable[[dict[str, Any]], Written], *, using: str) -> Written:
    """Call ``write(metadata)`` within all middleware, which are within one transaction: when one raises, nothing is written.

    Raises:
        MiddlewareError: one of them did not call the next.
    """
    chain = chains().submit
    if not chain:
        return write(submission.meta)
    written: list[Written] = []

    def innermost() -> None:
        written.append(write(submission.meta))

    call: Callable[[], Any] = innermost
    for path, middleware in reversed(chain):
        call = partial(_within, path, "submit", partial(middleware.submit, submission), call)
    with transaction.atomic(using=using):
        call()
    return written[0]


def around_run(job: RunningJob, handle: Callable[[], Any]) -> Any:
    """Call ``handle()`` within all middleware; ask ``chains().run`` before, where making ``job`` costs something.

    Raises:
        MiddlewareError: one of them did not call the next.
    """
    call = handle
    for path, middleware in reversed(chains().run):
        call = partial(_within, path, "run", partial(middleware.run, job), call)
    return call()


def raised_by(error: BaseException) -> str:
    """The path of the middleware that raised this exception itself; empty when it came from the handler."""
    return str(error.__dict__.get("furrow_middleware", ""))


def _within(path: str, method: str, wrap: Callable[[Callable[[], Any]], Any], inner: Callable[[], Any]) -> Any:
    """Call one middleware around what is within it; each must call that exactly once."""
    calls, passed = 0, None

    def call_next() -> Any:
        nonlocal calls, passed
        calls += 1
        if calls > 1:
            raise MiddlewareError(f"{path}.{method}() called call_next() twice: call it once")
        try:
            return inner()
        except BaseException as error:
            passed = error
            raise

    try:
        result = wrap(call_next)
        if not calls:
            text = f"{path}.{method}() returned without calling call_next(): call it, or raise why not"
            raise MiddlewareError(text)
    except BaseException as error:
        if error is not passed and not isinstance(error, Interruption):
            with suppress(Exception):
                error.__dict__["furrow_middleware"] = path
        raise
    return result


@lru_cache(maxsize=1)
def chains() -> Chains:
    """The middleware of the settings.

    Raises:
        ImproperlyConfigured: a path cannot work; names it, the reason and the remedy.
    """
    found = [Named(path, _load(path)) for path in conf().middleware]

    def overriding(method: str) -> tuple[Named, ...]:
        return tuple(one for one in found if _overrides(type(one.middleware), method))

    return Chains(overriding("submit"), overriding("run"))


def _load(path: str) -> Middleware:
    def refused(reason: str) -> ImproperlyConfigured:
        return ImproperlyConfigured(f"FURROW['MIDDLEWARE'] names {path!r}, {reason}.")

    try:
        found = import_string(path)
    except Exception as error:
        what = f"which cannot be imported ({type(error).__name__}: {error})"
        raise refused(f"{what}: give the dotted path of a class, as 'shop.jobs.Tenant'") from error
    if not (isinstance(found, type) and issubclass(found, Middleware)):
        raise refused("which is no middleware: make it a subclass of furrow.Middleware")
    methods = [getattr(found, name) for name in ("submit", "run") if _overrides(found, name)]
    if not methods:
        raise refused("which wraps nothing: give it a method submit(self, submission, call_next) or run(self, job, call_next)")
    for method in methods:
        if inspect.iscoroutinefunction(method) or inspect.isgeneratorfunction(method) or inspect.isasyncgenfunction(method):
            raise refused(f"whose {method.__name__}() is async or a generator: write a plain method")
        try:
            inspect.signature(method).bind(None, None, None)
        except TypeError:
            subject = "submission" if method.__name__ == "submit" else "job"
            raise refused(
                f"whose {method.__name__}() takes other arguments: write {method.__name__}(self, {subject}, call_next)"
            ) from None
    try:
        return found()
    except Exception as error:
        raise refused(
            f"which cannot be made ({type(error).__name__}: {error}): its __init__ must need no argument and not raise"
        ) from error


def _overrides(cls: type[Middleware], method: str) -> bool:
    return getattr(cls, method) is not getattr(Middleware, method)


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting == "FURROW":
        chains.cache_clear()


setting_changed.connect(_forget)
