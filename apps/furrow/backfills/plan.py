"""What becomes of the rows of a backfill: of which kind a job is, how many rows it has, how fast jobs are added."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from furrow.errors import InputError, did_you_mean
from furrow.kinds.kind import Kind
from furrow.limits.key_template import LimitError
from furrow.limits.limit import rate_of
from furrow.models.backfill import AHEAD, MAX_FAILURES
from furrow.submission import options as submit_options

#: Rows of one job, and jobs ahead, at most.
MOST_ROWS, MOST_AHEAD = 100_000, 100_000


@dataclass(frozen=True)
class Plan:
    """The options of :func:`furrow.backfill`, checked."""

    kind: Kind
    argument: str
    batch: int | None = None
    rate: str = ""
    max_failures: float | None = MAX_FAILURES
    ahead: int = AHEAD
    arguments: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def changed(self, **changes: Any) -> "Plan":
        """The same with another ``rate``, another ``max_failures``.

        Raises:
            InputError: one cannot be.
        """
        return _checked(replace(self, **changes))

    def of(self, keys: list[Any]) -> dict[str, Any]:
        """The arguments of the job of these rows."""
        return {**self.arguments, self.argument: keys[0] if self.batch is None else keys}


def planned(
    kind: Kind,
    *,
    batch: int | None = None,
    rate: str | None = None,
    max_failures: float | None = MAX_FAILURES,
    ahead: int = AHEAD,
    argument: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    queue: str | None = None,
    priority: int | None = None,
) -> Plan:
    """A plan of these options.

    Raises:
        InputError: names each that cannot be.
        OptionError: the queue or the priority cannot be.
    """
    names = kind.arguments.names
    if not names:
        raise InputError({"kind": f"{kind.name} has no argument that could be given the keys of rows: give it one"})
    chosen = names[0] if argument is None else argument
    if chosen not in names:
        raise InputError({"argument": f"{chosen!r} is no argument of {kind.name}; {did_you_mean(chosen, names)}"})
    given = dict(arguments or {})
    wrong = {name: "is given the keys of the rows: leave it out" for name in given if name == chosen}
    wrong |= {name: f"is no argument of {kind.name}" for name in given if name not in names}
    if wrong:
        raise InputError(wrong)
    part = kind.arguments.without([chosen])
    kept = json.loads(part.to_json(given))
    options = {name: value for name, value in (("queue", queue), ("priority", priority)) if value is not None}
    submit_options.columns(kind, queue, priority, None, None, None, None, None, None)
    return _checked(Plan(kind, chosen, batch, rate or "", max_failures, ahead, {name: kept[name] for name in given}, options))


def _checked(plan: Plan) -> Plan:
    wrong: dict[str, str] = {}
    for name, most in (("batch", MOST_ROWS), ("ahead", MOST_AHEAD)):
        value = getattr(plan, name)
        if not (value is None and name == "batch") and (type(value) is not int or not 1 <= value <= most):
            wrong[name] = f"{value!r} must be a whole number from 1 to {most:,}"
    if plan.rate:
        try:
            rate_of(plan.rate)
        except LimitError as error:
            wrong["rate"] = str(error).removeprefix("rate: ").removeprefix("rate=")
    failures = plan.max_failures
    if failures is not None and (
        isinstance(failures, bool) or not isinstance(failures, (int, float)) or not 0 <= failures < 1e12
    ):
        wrong["max_failures"] = f"{failures!r} must be a number of jobs, or a share of them between 0 and 1"
    if wrong:
        raise InputError(wrong)
    return plan
