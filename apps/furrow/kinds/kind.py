"""``@job``: a kind of job, typed and validated, registered with Celery under its name.

A kind is used like a Celery task (``send.delay(3)``), like a function (``send(3)`` runs the handler here and now) and
through :func:`furrow.submit`.
"""

import datetime as dt
import difflib
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Unpack, overload

from celery import shared_task

from furrow.conf import conf
from furrow.errors import KindError, UnknownKind, did_you_mean
from furrow.kinds.arguments import Arguments
from furrow.kinds.declaration import refuse_what_cannot_work
from furrow.kinds.handlers import refuse_handler
from furrow.kinds.retry import RetryPolicy
from furrow.limits.key_template import LimitError
from furrow.limits.limit import Rule, Rules
from furrow.models.job import DEFAULT_PRIORITY, Job
from furrow.partitions import NO_LIMITS

Handler = Callable[..., Any]

#: Kinds of the engine's own begin with this; they are started by the pages that need them.
BUILT_IN = "furrow."
_kinds: dict[str, "Kind"] = {}


class Kind:
    """A kind of job: a handler with its options, registered under a name. ``@job`` makes one.

    Rows, messages and Flower carry ``name``, by default Celery's name of the function (``orders.tasks.charge``). Renaming the
    module or the function therefore strands jobs that were submitted before, unless ``@job(name=…)`` keeps the old name.
    """

    #: Django's templates call what can be called; a page about a kind must not run it.
    do_not_call_in_templates = True

    def __init__(
        self,
        handler: Handler,
        *,
        name: str | None = None,
        queue: str | None = None,
        priority: int = DEFAULT_PRIORITY,
        retry: RetryPolicy | None = None,
        soft_timeout: float | None = None,
        timeout: float | None = None,
        expires: dt.timedelta | None = None,
        transactional: bool = False,
        permission: str = "",
        tags: Collection[str] = (),
        **rules: Unpack[Rule],
    ) -> None:
        refuse_handler(handler)
        self.handler = handler
        self.name = _usual_name(handler) if name is None else name
        self.queue = conf().queues[0] if queue is None else queue
        self.priority = priority
        self.retry = RetryPolicy() if retry is None else retry
        self.soft_timeout = soft_timeout
        self.timeout = timeout
        self.expires = expires
        self.transactional = transactional
        self.permission = permission
        self.tags = tags
        self.doc = inspect.getdoc(handler) or ""
        refuse_what_cannot_work(self)
        self.arguments = Arguments(self.name, handler)
        if lacking := self.lacks_key_of(self.queue):
            raise KindError(f"{self.name}: queue {self.queue!r} {lacking}.")
        self.rules = self._rules(rules)
        if self.rules.any and self.queue in conf().partitioned:
            raise KindError(f"{self.name}: queue {self.queue!r}: {NO_LIMITS}.")
        self.__name__, self.__doc__, self.__wrapped__ = handler.__name__, handler.__doc__, handler
        self.__module__ = handler.__module__

    def lacks_key_of(self, queue: str) -> str:
        """Why this kind cannot use ``queue``: the queue has partitions by an argument that the kind lacks. Else empty."""
        parted = conf().partitioned.get(queue)
        if parted is None or parted.key in self.arguments.names:
            return ""
        return (
            f"has partitions by the argument {parted.key!r}, and {self.name} has no such argument: "
            "add it to the handler, or choose another queue"
        )

    def _rules(self, given: Rule) -> Rules:
        try:
            return Rules(kind=self.name, names=self.arguments.names, secret=frozenset(self.arguments.secret), **given)
        except LimitError as error:
            raise KindError(f"{self.name}: {error}.") from None

    def __repr__(self) -> str:
        return f"<kind {self.name}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the handler in this process, like any function: no job, no record."""
        return self.handler(*args, **kwargs)

    def submit(self, **arguments: Any) -> Job:
        """Submit one job with the kind's own options; see :func:`furrow.submit`."""
        from furrow.submission.submit import submit

        return submit(self, arguments)

    def delay(self, *args: Any, **kwargs: Any) -> Any:
        """Submit one job, as Celery spells it. Returns an ``AsyncResult`` with the job's id, which reads the job's row."""
        return self.apply_async(args, kwargs)

    def apply_async(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        countdown: float | None = None,
        eta: dt.datetime | None = None,
        expires: float | dt.datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        task_id: str | None = None,
        **unknown: Any,
    ) -> Any:
        """Submit one job with options, as Celery spells them: ``eta`` is ``run_at``, ``task_id`` is ``id``.

        Raises:
            ArgumentError, OptionError: as for :func:`furrow.submit`; also for an option of Celery's that jobs do not have.
        """
        from celery import current_app
        from celery.result import AsyncResult

        from furrow.errors import OptionError
        from furrow.kinds.results import JobBackend
        from furrow.submission.submit import submit

        if used := {key: "is an option of Celery's that jobs do not have" for key, v in unknown.items() if v is not None}:
            raise OptionError(self.name, used)
        arguments = self.arguments.bind(tuple(args or ()), kwargs or {})
        job = submit(
            self, arguments, id=task_id, countdown=countdown, run_at=eta, expires=expires, priority=priority, queue=queue
        )
        return AsyncResult(str(job.id), backend=JobBackend(current_app))

    @property
    def task(self) -> Any:
        """The Celery task that this kind is registered as."""
        from celery import current_app

        return current_app.tasks[self.name]


@overload
def job(handler: Handler, /) -> Kind: ...
@overload
def job(
    *,
    name: str | None = None,
    queue: str | None = None,
    priority: int = DEFAULT_PRIORITY,
    retry: RetryPolicy | None = None,
    soft_timeout: float | None = None,
    timeout: float | None = None,
    expires: dt.timedelta | None = None,
    transactional: bool = False,
    permission: str = "",
    tags: Collection[str] = (),
    **rules: Unpack[Rule],
) -> Callable[[Handler], Kind]: ...
def job(handler: Any = None, /, **options: Any) -> Any:
    """Declare a kind of job: the decorated function becomes its handler, its type hints the contract for arguments.

    Keys are templates over the arguments, such as ``"account:{account_id}"``.

    Args:
        name: the kind's name. Default: the function's full name, as Celery names tasks (``orders.tasks.charge``).
        queue: one of ``FURROW['QUEUES']``. Default: the first.
        priority: 0 goes first, 9 last. Default: 5.
        retry: whether and when a failed attempt is followed by another. Default: ``RetryPolicy()``.
        soft_timeout: seconds after which ``SoftTimeout`` is raised inside the handler.
        timeout: seconds after which the pool process that runs the handler is killed.
        expires: cancel a job that has not begun this long after its ``run_at``.
        transactional: run the handler in a database transaction that also settles the job, so that its database writes
            happen exactly once, however often it runs.
        lock: a key. One job per key runs at a time.
        concurrency, concurrency_key: the most jobs that run at once, per key. Default key: this kind.
        on_conflict: what a job does whose lock or concurrency is taken: ``"wait"``, ``"drop"`` (it is cancelled) or
            ``"cancel"`` (the running job is cancelled).
        rate, rate_key: the most starts in any stretch of time, such as ``"100/m"``, per key. Default key: this kind.
        unique: a key, or ``Unique(key, until=…, conflict=…)``. A second submit with the same key returns the first job.
        ordered: a key. Jobs with one key run one after the other, in the order of their submits, retries included.
        fair: a key that names the tenant. The tenants of a queue take turns.
        permission: a further permission (``app.codename``) that people need to submit these jobs and to act on them.
        tags: short texts to find these jobs by.

    Raises:
        KindError: at import, when an option cannot work. Names the option, the reason and the remedy.
    """

    if unknown := [option for option in options if option not in _OPTIONS]:
        raise KindError(f"@job has no option {unknown[0]!r}: {did_you_mean(unknown[0], _OPTIONS)}.")

    def declare(function: Handler) -> Kind:
        return register(Kind(function, **options))

    return declare(handler) if handler is not None else declare


_OPTIONS = (*tuple(inspect.signature(Kind.__init__).parameters)[2:-1], *Rule.__annotations__)


def register(kind: Kind) -> Kind:
    """Make a kind known to this process and to Celery.

    Raises:
        KindError: there is a kind of this name already.
    """
    if known := _kinds.get(kind.name):
        places = [f"{k.handler.__module__}.{k.handler.__qualname__}" for k in (known, kind)]
        raise KindError(
            f"The kind {kind.name} is registered twice, by {places[0]} and {places[1]}: give one a name=… of its own."
        )
    from furrow.kinds.task import JobTask

    _kinds[kind.name] = kind
    shared_task(name=kind.name, base=JobTask, kind=kind, bind=False)(_named(kind))
    return kind


def _usual_name(handler: Handler) -> str:
    module = handler.__module__.rpartition(".")[2] if conf().short_names else handler.__module__
    return f"{module}.{handler.__name__}"


def _named(kind: Kind) -> Handler:
    """What Celery takes for the task's function: the handler, under a wrapper of its own."""

    def run(*args: Any, **kwargs: Any) -> Any:
        return kind.handler(*args, **kwargs)

    run.__name__, run.__doc__, run.__module__ = kind.handler.__name__, kind.doc, kind.handler.__module__
    return run


def get_kind(name: str) -> Kind:
    """The registered kind of this name.

    Raises:
        UnknownKind: no such kind in this process; suggests similar names.
    """
    if isinstance(name, str) and name in _kinds:
        return _kinds[name]
    near = difflib.get_close_matches(str(name), _kinds, n=3) or sorted(_kinds)[:5]
    hint = f"Did you mean {' or '.join(near)}?" if near else "No kind is registered; see FURROW['MODULES']."
    raise UnknownKind(f"There is no kind {name!r}. {hint}")


def find_kind(name: str) -> Kind | None:
    """The kind of this name, if there is one."""
    return _kinds.get(name)


def all_kinds() -> list[Kind]:
    """Every kind registered in this process, sorted by name."""
    return [_kinds[name] for name in sorted(_kinds)]
