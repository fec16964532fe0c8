"""Rules that a kind declares between jobs: lock, concurrency, rate, uniqueness, order, fairness. Pure.

``Rules`` are what a kind (or a submit) says, with templates such as ``"account:{account_id}"``. For one job and its arguments
they come to ``Limit``s, which the job's row carries as JSON: each is a key of which so many slots exist. Who holds which slot
is the table ``furrow_hold``; ``dispatcher/admission`` gives slots out, and the end of a run gives them back (docs/limits.md).
"""

import datetime as dt
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple, TypedDict

from furrow.errors import did_you_mean
from furrow.limits.key_template import LimitError, Template

#: Most slots of one key: a batch of the dispatcher looks at all of them.
MOST_SLOTS = 10_000
#: Longest period of a rate, in seconds (31 days).
LONGEST_PERIOD = 31 * 86400.0
#: ``held`` of a job that waits for its tenant's turn.
FAIR_GATE = "fair"
#: How a queue's own limit is named.
QUEUE = "queue:"

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_RATE = re.compile(r"(\d{1,9})/(\d{1,9}(?:\.\d{1,6})?)?([smhd])")

Conflict = Literal["wait", "drop", "cancel"]
CONFLICTS = ("wait", "drop", "cancel")


class Limit(NamedTuple):
    """A job needs one of the ``slots`` of ``key`` to run."""

    key: str
    slots: int = 1
    period: float | None = None  #: seconds for which a start keeps the slot; ``None``: until the run ends
    conflict: str = "wait"
    ordered: bool = False  #: kept until the job is over, and given out in the order of the jobs' ids
    declared: bool = False  #: by the kind, whose declaration may change meanwhile; not by the submit

    def as_json(self) -> dict[str, Any]:
        """As the row has it: what is not said is as above."""
        return {name: value for name, value in self._asdict().items() if value != self._field_defaults.get(name)} | {
            "slots": self.slots
        }


class Rule(TypedDict, total=False):
    """The options of ``@job`` and of a submit that make rules; see :class:`Rules`."""

    lock: str | None
    concurrency: int | None
    concurrency_key: str | None
    on_conflict: Conflict
    rate: str | None
    rate_key: str | None
    unique: "Unique | str | None"
    ordered: str | None
    fair: str | None


@dataclass(frozen=True)
class Unique:
    """At most one job of the kind per key. The value of ``@job(unique=…)``."""

    #: A template over the arguments, such as ``"{account_id}"``.
    key: str
    #: When the key is free again: once the job has ``"started"``, once it is ``"done"``, or this long after its submit.
    until: Literal["started", "done"] | dt.timedelta = "done"
    #: What a second submit does: ``"return"`` the first job, ``"raise"`` ``NotUnique``, or ``"replace"`` the arguments (and
    #: ``run_at``) of the first job, which must not have begun. ``"replace"`` needs ``until="started"``.
    conflict: Literal["return", "raise", "replace"] = "return"


def rate_of(text: object) -> tuple[int, float]:
    """``"100/m"`` as a number and seconds; ``"5/10s"``: five in ten seconds.

    Raises:
        LimitError: cannot be read, or is out of bounds.
    """
    match = _RATE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise LimitError("rate", f"{text!r} must be a number of starts and a time, such as '100/m', '2/s', '1000/h' or '5/10s'")
    starts, period = int(match[1]), float(match[2] or 1) * _UNITS[match[3]]
    if not 1 <= starts <= MOST_SLOTS:
        raise LimitError("rate", f"{text!r} must allow from 1 to {MOST_SLOTS:,} starts: use a shorter time for more")
    if not 0.01 <= period <= LONGEST_PERIOD:
        raise LimitError("rate", f"{text!r} must be for 10 milliseconds at least, and at most 31 days")
    return starts, period


@dataclass(frozen=True)
class Rules:
    """The rules of a kind, or of one submit. ``names`` are the kind's arguments.

    Raises:
        LimitError: an option that cannot work or would have no effect.
    """

    kind: str
    names: tuple[str, ...]
    secret: frozenset[str] = frozenset()
    lock: str | None = None
    concurrency: int | None = None
    concurrency_key: str | None = None
    on_conflict: Conflict = "wait"
    rate: str | None = None
    rate_key: str | None = None
    unique: Unique | str | None = None
    ordered: str | None = None
    fair: str | None = None
    #: The options that a submit gave instead of the kind.
    given: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for option in ("lock", "concurrency_key", "rate_key", "ordered", "fair"):
            if getattr(self, option) is not None:
                self._template(option)
        self._refuse_numbers()
        self._refuse_what_has_no_effect()
        self._refuse_unique()

    def _template(self, option: str) -> Template:
        return Template(option, getattr(self, option), self.names, self.secret)

    def _refuse_numbers(self) -> None:
        if self.concurrency is not None and (type(self.concurrency) is not int or not 1 <= self.concurrency <= MOST_SLOTS):
            raise LimitError("concurrency", f"{self.concurrency!r} must be a whole number from 1 to {MOST_SLOTS:,}")
        if self.rate is not None:
            rate_of(self.rate)
        if self.on_conflict not in CONFLICTS:
            raise LimitError("on_conflict", f"{self.on_conflict!r} is unknown; {did_you_mean(self.on_conflict, CONFLICTS)}")

    def _refuse_what_has_no_effect(self) -> None:
        if self.concurrency_key is not None and self.concurrency is None:
            raise LimitError("concurrency_key", "has no effect without concurrency=…: say how many may run")
        if self.rate_key is not None and self.rate is None:
            raise LimitError("rate_key", "has no effect without rate=…: say how many may start")
        if self.on_conflict != "wait" and self.lock is None and self.concurrency is None:
            raise LimitError("on_conflict", "has no effect without lock=… or concurrency=…: there is nothing to conflict with")
        if self.ordered is not None and self.on_conflict != "wait":
            raise LimitError("on_conflict", f"{self.on_conflict!r} contradicts ordered=…, where each job waits for its turn")
        if self.fair is not None and self._template("fair").constant:
            raise LimitError("fair", f"{self.fair!r} names no argument, so all jobs would share one turn: name the tenant's")

    def _refuse_unique(self) -> None:
        if self.unique is None:
            return
        if isinstance(self.unique, str):
            object.__setattr__(self, "unique", Unique(self.unique))
        unique = self.unique
        if not isinstance(unique, Unique):
            raise LimitError(
                "unique", f"{unique!r} must be a template such as '{{account_id}}', or Unique('{{account_id}}', until=…)"
            )
        Template("unique", unique.key, self.names, self.secret)
        if isinstance(unique.until, dt.timedelta):
            if not dt.timedelta(0) < unique.until <= dt.timedelta(days=3660):
                raise LimitError("unique", f"until={unique.until!r} must be more than zero, and at most ten years")
        elif unique.until not in ("started", "done"):
            raise LimitError("unique", f"until={unique.until!r} must be 'started', 'done' or a datetime.timedelta")
        if unique.conflict not in ("return", "raise", "replace"):
            raise LimitError("unique", f"conflict={unique.conflict!r} must be 'return', 'raise' or 'replace'")
        if unique.conflict == "replace" and unique.until != "started":
            raise LimitError("unique", "conflict='replace' needs until='started': what has begun takes no other arguments")

    @cached_property
    def _limits(self) -> list[tuple[Template | None, str, Limit]]:
        """Of each limit the template, what stands before its text, and the rest. Without a template that is the key."""
        found: list[tuple[Template | None, str, Limit]] = []
        if self.lock is not None:
            own = not self.given & {"lock", "on_conflict"}
            found.append((self._template("lock"), "lock:", Limit("", conflict=self.on_conflict, declared=own)))
        if self.concurrency is not None:
            key = None if self.concurrency_key is None else self._template("concurrency_key")
            own = not self.given & {"concurrency", "concurrency_key", "on_conflict"}
            limit = Limit("", self.concurrency, conflict=self.on_conflict, declared=own)
            found.append((key, "limit:" if key else f"limit:{self.kind}", limit))
        if self.rate is not None:
            key = None if self.rate_key is None else self._template("rate_key")
            limit = Limit("", *rate_of(self.rate), declared=not self.given & {"rate", "rate_key"})
            found.append((key, "rate:" if key else f"rate:{self.kind}", limit))
        if self.ordered is not None:
            found.append((self._template("ordered"), "order:", Limit("", ordered=True)))
        return found

    @cached_property
    def _fair(self) -> Template | None:
        return None if self.fair is None else self._template("fair")

    @cached_property
    def _unique(self) -> Template | None:
        return Template("unique", self.unique.key, self.names) if isinstance(self.unique, Unique) else None

    @property
    def any(self) -> bool:
        """There is a rule that concerns the dispatch."""
        return bool(self._limits) or self.fair is not None

    def changed(self, rules: Rule) -> "Rules":
        """These, with others in place of some."""
        return replace(self, given=frozenset(rules), **rules)

    def limits(self, arguments: Mapping[str, Any]) -> list[Limit]:
        """The limits of a job with these arguments."""
        return [
            limit._replace(key=template.fill(prefix, arguments) if template else prefix)
            for template, prefix, limit in self._limits
        ]

    def as_declared(self, stored: Limit) -> Limit | None:
        """A limit of a job that was submitted earlier, with the numbers of today's declaration; ``None``: it is no longer
        declared. What the submit itself said stands, as does the key."""
        if not stored.declared:
            return stored
        declared = self._declared.get(_sort(stored.key))
        return declared and declared._replace(key=stored.key)

    @cached_property
    def _declared(self) -> dict[str, Limit]:
        return {_sort(prefix): limit for _, prefix, limit in self._limits}

    def fair_key(self, arguments: Mapping[str, Any]) -> str | None:
        """Whose turn a job with these arguments needs."""
        return self._fair.fill("", arguments) if self._fair else None

    def unique_key(self, arguments: Mapping[str, Any]) -> str | None:
        """What a job with these arguments keeps others from having."""
        return self._unique.fill(f"{self.kind}:", arguments) if self._unique else None


def _sort(key: str) -> str:
    """What a key begins with: of each sort a kind declares one limit at most."""
    return key.partition(":")[0]


def to_json(limits: Iterable[Limit]) -> str:
    """As the row's column ``limits`` has them."""
    return json.dumps([limit.as_json() for limit in limits], separators=(",", ":"), ensure_ascii=False)


def row(limits: Iterable[Limit], fair_key: str | None) -> dict[str, Any]:
    """The columns of a job with these limits."""
    limits = list(limits)
    order = next((limit.key for limit in limits if limit.ordered), None)
    return {
        "limits": to_json(limits),
        "order_key": order,
        "fair_key": fair_key,
        "held": FAIR_GATE if fair_key is not None else "",
    }
