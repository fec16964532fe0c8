"""A kind of job, typed and validated, registered with Celery under its name; ``@job`` makes one
(:mod:`furrow.submission.job`).

A kind is used like a Celery task (``send.delay(3)``), like a function (``send(3)`` runs the handler here and now) and
through :func:`furrow.submit`.
"""

import datetime as dt
import inspect
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol, Unpack

from celery import shared_task

from furrow.conf import conf
from furrow.errors import ArgumentError, KindError, SoftTimeout, unknown_kind
from furrow.kinds.arguments import Arguments
from furrow.kinds.canvas_parts import CanvasParts
from furrow.kinds.declaration import refuse_what_cannot_work
from furrow.kinds.handlers import refuse_handler
from furrow.kinds.retry import RetryPolicy
from furrow.kinds.schedules import schedules_of
from furrow.limits.key_template import LimitError, Template
from furrow.limits.limit import Rule, Rules
from furrow.models.job import DEFAULT_PRIORITY, Job
from furrow.partitions import NO_LIMITS
from furrow.schedule import Schedule

Handler = Callable[..., Any]

#: Kinds of the engine's own begin with this; they are started by the pages that need them.
BUILT_IN = "furrow."
_kinds: dict[str, "Kind"] = {}
#: Declare a kind when somebody asks for its name; the application puts them here.
finders: list[Callable[[str], "Kind | None"]] = []


class Submit(Protocol):
    """Submits a job; :func:`furrow.submit` is the one. A kind is given it, and knows no more of it."""

    def __call__(
        self,
        kind: "Kind",
        arguments: Mapping[str, Any],
        /,
        *,
        id: str | None = ...,
        countdown: float | None = ...,
        run_at: dt.datetime | None = ...,
        expires: float | dt.datetime | None = ...,
        priority: int | None = ...,
        queue: str | None = ...,
        meta: Mapping[str, Any] | None = ...,
    ) -> Job:
        """The job."""


class Kind(CanvasParts):
    """A kind of job: a handler with its options, registered under a name. ``@job`` makes one.

    Rows, messages and Flower carry ``name``, by default Celery's name of the function (``orders.tasks.charge``). Renaming the
    module or the function therefore strands jobs that were submitted before, unless ``@job(name=…)`` keeps the old name.
    """

    #: Django's templates call what can be called; a page about a kind must not run it.
    do_not_call_in_templates = True
    #: Its handler is elsewhere: a worker in another language takes its jobs over HTTP.
    external = False
    #: It is made of a Celery task of the project's, which is run as Celery runs it.
    adopted = False
    #: Raised in its handler when its soft timeout has passed.
    soft_error: type[BaseException] = SoftTimeout
    #: What a result must be, as a JSON schema; ``None``: of any form.
    result_schema: dict[str, Any] | None = None

    def __init__(
        self,
        handler: Handler,
        submit: Submit,
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
        title: str | None = None,
        upgrade: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
        pinned: bool = False,
        schedule: Schedule | Sequence[Schedule] = (),
        **rules: Unpack[Rule],
    ) -> None:
        """``submit``: how its jobs are submitted; see :func:`furrow.job` for the other options."""
        refuse_handler(handler)
        self.handler = handler
        self._submit = submit
        self.name = _usual_name(handler) if name is None else name
        self.queue = next(iter(self.queues), "") if queue is None else queue
        self.priority = priority
        self.retry = RetryPolicy() if retry is None else retry
        self.soft_timeout = soft_timeout
        self.timeout = timeout
        self.expires = expires
        self.transactional = transactional
        self.permission = permission
        self.tags = tags
        self.upgrade = upgrade
        self.pinned = pinned
        self.doc = inspect.getdoc(handler) or ""
        refuse_what_cannot_work(self)
        self.arguments = self._arguments(handler)
        if lacking := self.lacks_key_of(self.queue):
            raise KindError(f"{self.name}: queue {self.queue!r} {lacking}.")
        self.rules = self._rules(rules)
        self.title = None if title is None else self._template("title", title)
        if self.rules.any and self.queue in conf().partitioned:
            raise KindError(f"{self.name}: queue {self.queue!r}: {NO_LIMITS}.")
        self.schedules = schedules_of(self, schedule)
        self.__name__, self.__doc__, self.__wrapped__ = handler.__name__, handler.__doc__, handler
        self.__module__ = handler.__module__

    @property
    def queues(self) -> list[str]:
        """The queues that its jobs may be in."""
        return conf().queues

    def _arguments(self, handler: Handler) -> Arguments:
        return Arguments(self.name, handler)

    def read(self, text: str) -> dict[str, Any]:
        """The handler's arguments from a row's JSON, by way of ``upgrade`` where they are of an older signature.

        Raises:
            ArgumentError: they do not fit.
        """
        try:
            return self.arguments.from_json(text)
        except ArgumentError:
            if self.upgrade is None:
                raise
        try:
            newer = json.dumps(self.upgrade(json.loads(text)))
        except Exception as error:  # of the project's own code
            problem = f"upgrade raised {type(error).__name__}: {error}"
            raise ArgumentError(self.name, {"arguments": problem}, "cannot run") from error
        return self.arguments.from_json(newer)

    def lacks_key_of(self, queue: str) -> str:
        """Why this kind cannot use ``queue``: the queue has partitions by an argument that the kind lacks. Else empty."""
        parted = conf().partitioned.get(queue)
        if parted is None or parted.key in self.arguments.names:
            return ""
        return (
            f"has partitions by the argument {parted.key!r}, and {self.name} has no such argument: "
            "add it to the handler, or choose another queue"
        )

    def _template(self, option: str, text: str) -> Template:
        try:
            return Template(option, text, self.arguments.names, self.arguments.secret)
        except LimitError as error:
            raise KindError(f"{self.name}: {error}.") from None

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
        return self._submit(self, arguments)

    def delay(self, *args: Any, **kwargs: Any) -> Any:
        """Submit one job, as Celery spells it. Returns an ``AsyncResult`` with the job's id, which reads the job's row."""
        return self.apply_async(args, kwargs)

    def apply_async(self, args: Iterable[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **given: Any) -> Any:
        """Submit one job with options, as Celery spells them: ``countdown``, ``eta`` (``run_at``), ``expires``, ``priority``,
        ``queue``, ``task_id`` (``id``). With ``link`` or ``link_error`` it is a workflow, with the kinds that these call.

        Raises:
            ArgumentError, OptionError: as for :func:`furrow.submit`; also for an option of Celery's that jobs do not have.
            WorkflowError: what it links to cannot follow it.
        """
        from furrow.kinds import task
        from furrow.kinds.celery_options import FOLLOWERS
        from furrow.kinds.results import job_result

        if any(given.get(name) for name in FOLLOWERS):
            return task.start_canvas(self.task.signature(args, kwargs, **given))
        arguments, options = self.call(args or (), kwargs or {}, given)
        return job_result(self._submit(self, arguments, **options).id)

    def call(
        self, args: Iterable[Any], kwargs: Mapping[str, Any], given: Mapping[str, Any], *, later: bool = False
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """A call, with Celery's options, as a submit: its arguments by name, and its options. ``later``: it waits for others.

        Raises:
            ArgumentError, OptionError: as for :func:`furrow.submit`.
        """
        from furrow.kinds.celery_options import submit_options

        return self.arguments.bind(tuple(args), kwargs), submit_options(self.name, given, later=later)

    def limits(self, meta: str | None) -> tuple[float | None, float | None]:
        """The timeouts of a job with this metadata: the soft one, and the one that kills."""
        return self.soft_timeout, self.timeout

    def failure_text(self, error: BaseException) -> str | None:
        """What is kept of the error of a job that failed for good, besides its text and its traceback: JSON, or nothing."""
        return None

    def wants_the_error(self, errback: Any) -> bool:
        """As an errback it is given the request, the exception and the traceback of what failed, and not its id."""
        return False

    def told(self, job: Job) -> dict[str, Any]:
        """Where Celery's result of this job differs from what is told of any: ``status``, ``result``, ``task_id``."""
        return {}

    def AsyncResult(self, task_id: str) -> Any:
        """The job of this id as Celery's result, which reads the job's row."""
        return self.task.AsyncResult(task_id)

    @property
    def task(self) -> Any:
        """The Celery task that this kind is registered as."""
        from celery import current_app

        return current_app.tasks[self.name]


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
    shared_task(name=kind.name, base=JobTask, kind=kind, bind=False, __header__=JobTask.__header__)(_named(kind))
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
    if isinstance(name, str) and (kind := find_kind(name)):
        return kind
    raise unknown_kind(name, _kinds)


def find_kind(name: str) -> Kind | None:
    """The kind of this name, if there is one."""
    return _kinds.get(name) or next(filter(None, (find(name) for find in finders)), None)


def queues_in_use() -> list[str]:
    """The job queues: those in RabbitMQ, and the external ones where an external kind is registered."""
    return conf().all_queues if any(kind.external for kind in _kinds.values()) else conf().queues


def all_kinds() -> list[Kind]:
    """Every kind registered in this process, sorted by name."""
    return [_kinds[name] for name in sorted(_kinds)]
