"""``furrow.backfill``: a declaration of rows by a function, or the start of a backfill of given rows."""

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any, overload

from django.db.models import QuerySet

from furrow.backfills.acting import begin
from furrow.backfills.plan import planned
from furrow.backfills.queries import keep, made_again, refuse
from furrow.conf import conf
from furrow.errors import InputError, KindError, did_you_mean
from furrow.kinds.arguments import Arguments
from furrow.kinds.hints import File, ForeignKey, find_hint
from furrow.kinds.kind import Kind, get_kind
from furrow.models.backfill import AHEAD, MAX_FAILURES, Backfill

Rows = Callable[..., QuerySet[Any]]
_declared: dict[str, "Declared"] = {}


class Declared:
    """A backfill that the code declares: a function that returns the rows, and what becomes of them."""

    #: Django's templates call what can be called.
    do_not_call_in_templates = True

    def __init__(self, function: Rows, kind: Kind, name: str | None, options: dict[str, Any]) -> None:
        usual = f"{function.__module__.rpartition('.')[2] if conf().short_names else function.__module__}.{function.__name__}"
        self.name = usual if name is None else name
        if not isinstance(self.name, str) or not 0 < len(self.name) <= 200 or "/" in self.name or not self.name.isprintable():
            raise KindError(f"@backfill: name={self.name!r} must be a text of 1 to 200 characters, without a slash.")
        self.function, self.kind = function, kind
        self.doc = inspect.getdoc(function) or ""
        #: Of the function.
        self.arguments = Arguments(self.name, function)
        fields = self.arguments.model.model_fields.values()
        if self.arguments.secret or any(
            find_hint(one.annotation, one.metadata, hint) for one in fields for hint in (File, ForeignKey)
        ):
            raise KindError(f"{self.name}: a parameter is a secret, a File or a ForeignKey, which only kinds have.")
        try:
            self.plan = planned(kind, **options)
        except InputError as error:
            raise KindError(f"{self.name}: {error}.") from None
        self.__name__, self.__doc__, self.__wrapped__ = function.__name__, function.__doc__, function

    def __repr__(self) -> str:
        return f"<backfill {self.name}>"

    def __call__(self, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        """The rows: call the function, like any."""
        return self.function(*args, **kwargs)

    def kept(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters as a row has them.

        Raises:
            ArgumentError: names each at fault.
        """
        found: dict[str, Any] = json.loads(self.arguments.to_json(parameters))
        return found

    def rows(self, parameters: Mapping[str, Any]) -> QuerySet[Any]:
        """The rows with these parameters, as a row has them.

        Raises:
            ArgumentError: they do not fit (any more).
            InputError: what the function returns cannot be gone through.
        """
        found = self.function(**self.arguments.from_json(json.dumps(parameters)))
        refuse(found)
        return found

    def start(self, *, submitted_by: Any = None, **parameters: Any) -> Backfill:
        """Start it, in the caller's transaction.

        Raises:
            ArgumentError: a parameter is wrong.
            InputError: the rows or the jobs cannot be, or the same is under way.
        """
        return start(self.name, parameters, submitted_by=submitted_by)


@overload
def backfill(
    kind: Kind,
    /,
    *,
    name: str | None = None,
    batch: int | None = None,
    rate: str | None = None,
    max_failures: float | None = MAX_FAILURES,
    ahead: int = AHEAD,
    argument: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    queue: str | None = None,
    priority: int | None = None,
) -> Callable[[Rows], Declared]: ...
@overload
def backfill(
    queryset: QuerySet[Any],
    kind: Kind | str,
    /,
    *,
    batch: int | None = None,
    rate: str | None = None,
    max_failures: float | None = MAX_FAILURES,
    ahead: int = AHEAD,
    argument: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    queue: str | None = None,
    priority: int | None = None,
    submitted_by: Any = None,
) -> Backfill: ...
def backfill(first: Any, second: Any = None, /, **options: Any) -> Any:
    """Declare a backfill, or start one: one job for each row of a queryset, in the order of the rows' keys.

    ``@backfill(renumber)`` on a function that returns a queryset declares one, which people start with parameters of their own;
    ``backfill(Order.objects.filter(…), renumber)`` starts one with the rows that match, in the caller's transaction. Such a
    queryset is kept as its filters: it may have none but those on the model's own columns.

    Args:
        kind: of the jobs. Its first argument is given the key of a row, or with ``batch`` a list of keys.
        queryset: the rows.
        name: the declaration's name. Default: the function's full name.
        batch: rows of one job. Default: one row, as its key and not as a list.
        rate: jobs that are added in a time, such as ``"100/s"``. Default: as fast as they run.
        max_failures: it stops when more of its jobs than this failed; a number between 0 and 1 is a share of those that ended.
            ``None``: never.
        ahead: jobs of it that have not ended, at most.
        argument: the argument that is given the keys.
        arguments: the kind's other arguments, by name.
        queue, priority: override the kind's own.
        submitted_by: the user who starts it.

    Returns:
        A decorator; or the backfill's row, which a rollback removes.

    Raises:
        KindError: at import, when the declaration cannot work.
        InputError: the queryset or an option cannot be, or a backfill of the same rows is under way.
    """
    if isinstance(first, QuerySet):
        user = options.pop("submitted_by", None)
        kept = keep(first)
        kind = second if isinstance(second, Kind) else get_kind(second)
        return begin(kept["model"], first, planned(kind, **options), query=kept, by=user)
    if not isinstance(first, Kind) or second is not None:
        raise KindError(
            f"backfill({str(first)[:60]!r}, …): give a kind, as in @backfill(renumber), or a queryset and a kind, as in "
            "backfill(Order.objects.all(), renumber)."
        )
    name = options.pop("name", None)

    def declare(function: Rows) -> Declared:
        one = Declared(function, first, name, options)
        if one.name in _declared:
            raise KindError(f"The backfill {one.name} is declared twice: give one a name=… of its own.")
        _declared[one.name] = one
        return one

    return declare


def start(
    name: str, parameters: Mapping[str, Any], *, submitted_by: Any = None, changes: Mapping[str, Any] | None = None
) -> Backfill:
    """Start a declared one. ``changes``: ``rate`` and ``max_failures`` instead of the declared ones.

    Raises:
        ArgumentError, InputError: as for :meth:`Declared.start`; also when there is no such declaration.
    """
    one = get_backfill(name)
    kept = one.kept(parameters)
    return begin(one.name, one.rows(kept), one.plan.changed(**(changes or {})), parameters=kept, by=submitted_by)


def get_backfill(name: str) -> Declared:
    """The declaration of this name.

    Raises:
        InputError: there is none in this process; suggests similar names.
    """
    if name not in _declared:
        known = did_you_mean(name, _declared) if _declared else "the code declares none (@backfill)"
        raise InputError({"backfill": f"the code has no backfill {name!r}; {known}"})
    return _declared[name]


def all_backfills() -> list[Declared]:
    """Every one that is declared in this process, sorted by name."""
    return [_declared[name] for name in sorted(_declared)]


def rows_of(row: Backfill) -> QuerySet[Any]:
    """The rows that a backfill is of.

    Raises:
        FurrowError: the code has changed so that nobody can tell.
    """
    return made_again(row.query) if row.query is not None else get_backfill(row.name).rows(row.parameters)
