"""``@job``: makes a function the handler of a kind, which is registered and can be submitted."""

import datetime as dt
import inspect
from collections.abc import Callable, Collection, Sequence
from typing import Any, Unpack, overload

from furrow.errors import KindError, did_you_mean
from furrow.kinds.kind import Handler, Kind, register
from furrow.kinds.retry import RetryPolicy
from furrow.limits.limit import Rule
from furrow.models.job import DEFAULT_PRIORITY
from furrow.schedule import Schedule
from furrow.submission.submit import submit


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
    title: str | None = None,
    upgrade: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    pinned: bool = False,
    schedule: Schedule | Sequence[Schedule] = (),
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
        title: what a job is about, as lists show it: ``"invoice of order {order_id}"``. Default: its arguments in short.
        upgrade: makes new arguments (a dict, as in JSON) of old ones: called for a job that was submitted before the signature
            changed, when its arguments do not fit any more.
        pinned: a job that has recorded a step stays with workers of that version of the code (``FURROW["VERSION"]``).
        schedule: when jobs are submitted by themselves: ``Schedule("0 3 * * *", …)``, or a list of such with a ``name`` each.

    Raises:
        KindError: at import, when an option cannot work. Names the option, the reason and the remedy.
    """

    if unknown := [option for option in options if option not in OPTIONS]:
        raise KindError(f"@job has no option {unknown[0]!r}: {did_you_mean(unknown[0], OPTIONS)}.")

    def declare(function: Handler) -> Kind:
        return register(Kind(function, submit, **options))

    return declare(handler) if handler is not None else declare


#: What ``@job`` takes.
OPTIONS = (*tuple(inspect.signature(Kind.__init__).parameters)[3:-1], *Rule.__annotations__)
