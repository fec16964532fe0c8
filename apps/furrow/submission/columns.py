"""The columns of a job's rules (:mod:`furrow.limits.limit`), as a submit writes them."""

import datetime as dt
import inspect
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from django.db import connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from furrow import statements
from furrow.conf import conf
from furrow.errors import NotUnique, OptionError, did_you_mean
from furrow.kinds.external import NO_RATE
from furrow.kinds.kind import Kind
from furrow.limits.key_template import LimitError
from furrow.limits.limit import QUEUE, Limit, Rule, Rules, Unique, row
from furrow.models import Job
from furrow.partitions import NO_LIMITS

#: So many times a job with a unique key is tried to be inserted while others with that key come and go.
TRIES = 20


class Given(NamedTuple):
    """A job that is to be inserted."""

    id: uuid.UUID
    text: str  #: its arguments
    own: dict[str, Any]  #: columns of its own


@dataclass(frozen=True)
class Ruled:
    """One submit of jobs that have rules."""

    kind: Kind
    rules: Rules
    columns: dict[str, Any]

    @classmethod
    def of(cls, kind: Kind, rules: Rule, columns: dict[str, Any]) -> "Ruled | None":
        """``None`` when neither the kind, nor the submit, nor the queue says anything.

        Raises:
            OptionError: a rule that cannot work.
        """
        try:
            chosen = kind.rules.changed(rules) if rules else kind.rules
        except LimitError as error:
            raise OptionError(kind.name, {error.option: error.reason}) from None
        except TypeError:
            from furrow.submission.submit import submit

            unknown = next(name for name in rules if name not in Rule.__annotations__)
            known = [*inspect.signature(submit).parameters, *Rule.__annotations__]
            raise OptionError(kind.name, {unknown: f"is no option; {did_you_mean(unknown, known)}"}) from None
        if kind.external and chosen.rate is not None:
            raise OptionError(kind.name, {"rate": NO_RATE})
        if chosen.any and columns["queue"] in conf().partitioned:
            raise OptionError(kind.name, {"queue": f"{columns['queue']!r}: {NO_LIMITS}"})
        if not (chosen.any or kind.rules.any or chosen.unique or columns["queue"] in conf().queue_limits):
            return None
        return cls(kind, chosen, columns)

    @property
    def unique(self) -> Unique | None:
        """What keeps a second job out."""
        return self.rules.unique if isinstance(self.rules.unique, Unique) else None

    def own(self, text: str) -> dict[str, Any]:
        """The columns of a job with these arguments."""
        arguments, queue = json.loads(text), self.columns["queue"]
        limits = self.rules.limits(arguments)
        if (slots := conf().queue_limits.get(queue)) is not None:
            limits.append(Limit(QUEUE + queue, slots))
        columns = row(limits, self.rules.fair_key(arguments)) if limits or self.rules.any or self.kind.rules.any else {}
        if unique := self.unique:
            period = unique.until if isinstance(unique.until, dt.timedelta) else None
            columns["unique_key"] = self.rules.unique_key(arguments)
            columns["unique_until"] = unique.until if period is None else "period"
            columns["unique_expires_at"] = None if period is None else self._now + period
        return columns

    @cached_property
    def _now(self) -> dt.datetime:
        """By the database's clock, which says when the key is free."""
        connection = connections[router.db_for_write(Job)]
        return statements.on(connection).clock(connection)

    def submit_one(self, connection: BaseDatabaseWrapper, id: uuid.UUID, text: str) -> Job:
        """The job, or the one that was there."""
        with transaction.atomic(using=connection.alias):
            ((found, existed),) = self.submit(connection, [id], [text])
        job = Job.objects.using(connection.alias).get(pk=found)
        job.existed = existed
        return job

    def submit(
        self, connection: BaseDatabaseWrapper, ids: Sequence[uuid.UUID], texts: Sequence[str]
    ) -> list[tuple[uuid.UUID, bool]]:
        """Insert jobs with unique keys; of each the id, or that of the job that was there and ``True``.

        In the order of their keys, so that two submits of the same keys wait for each other instead of both.

        Raises:
            NotUnique: one was there, and the rule says to raise. The caller's transaction goes back.
            OptionError: an id that another job has.
        """
        given = [Given(id, text, self.own(text)) for id, text in zip(ids, texts, strict=True)]
        by_key = sorted(given, key=lambda one: str(one.own["unique_key"]))
        assert self.unique is not None
        if self.unique.conflict == "replace":
            replaced = {one.id: self._insert_or_replace(connection, one) for one in by_key}
            return [replaced[one.id] for one in given]
        found: dict[uuid.UUID, uuid.UUID] = {}
        left = by_key
        for _ in range(TRIES):
            left = self._insert(connection, left, found)
            if not left:
                break
        else:
            raise self._refused(left[0])
        if self.unique.conflict == "raise":
            for number, one in enumerate(given):
                if found[one.id] != one.id:
                    raise self._not_unique(one, found[one.id], number if len(given) > 1 else None)
        return [(found[one.id], found[one.id] != one.id) for one in given]

    def _insert(self, connection: BaseDatabaseWrapper, given: list[Given], found: dict[uuid.UUID, uuid.UUID]) -> list[Given]:
        """Insert these, and find the jobs that were there; returns those that were neither, because such a job just went."""
        sql = statements.on(connection)
        ids, texts, own = ([getattr(one, name) for one in given] for name in Given._fields)
        inserted = sql.insert_unique(connection, ids, texts, self.columns, own)
        found |= {id: id for id in inserted}
        rest = [one for one in given if one.id not in inserted]
        if rest:
            keys = [one.own["unique_key"] for one in rest]
            sql.forget_keys(connection, keys)
            keepers = sql.keepers(connection, keys)
            found |= {one.id: keepers[key] for one, key in zip(rest, keys, strict=True) if key in keepers}
        return [one for one in rest if one.id not in found]

    def _insert_or_replace(self, connection: BaseDatabaseWrapper, given: Given) -> tuple[uuid.UUID, bool]:
        key = given.own["unique_key"]
        changed: Mapping[str, Any] = {
            **{name: value for name, value in given.own.items() if not name.startswith("unique")},
            "meta": self.columns.get("meta"),
            **({"run_at": run_at} if (run_at := self.columns.get("run_at")) is not None else {}),
            **({"expires_at": expires_at} if (expires_at := self.columns.get("expires_at")) or run_at else {}),
        }
        for _ in range(TRIES):
            found: dict[uuid.UUID, uuid.UUID] = {}
            if not self._insert(connection, [given], found) and found[given.id] == given.id:
                return given.id, False
            replaced = statements.on(connection).replace(connection, key, given.text, changed)
            if replaced:
                return replaced, True
        raise self._refused(given)

    def _refused(self, given: Given) -> OptionError:
        return OptionError(self.kind.name, {"id": f"{given.id} is the id of another job: leave it out, or use a fresh one"})

    def _not_unique(self, given: Given, job: uuid.UUID, number: int | None) -> NotUnique:
        key = given.own["unique_key"].removeprefix(f"{self.kind.name}:")
        text = f"job {job} with the unique key {key!r} is there already"
        return NotUnique(self.kind.name, {"unique" if number is None else f"row {number}: unique": text}, job)
