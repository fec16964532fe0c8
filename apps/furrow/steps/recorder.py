"""The rows of the steps of one run: what earlier runs recorded, and what this one adds.

Each write is a transaction of its own, in which the job's row is locked and must still be this run's: so a run that was taken
for dead records nothing, and a rescue waits for the commit of one that is alive. In a ``transactional`` handler the writes are
part of its transaction, whose end is guarded in the same way.
"""

import datetime as dt
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import InterfaceError, OperationalError, connections

from furrow import statements
from furrow.conf import conf
from furrow.context import Run
from furrow.errors import StepChanged, StepError, Superseded
from furrow.models import Job, Signal, Step
from furrow.models.database import alias, atomic, connection
from furrow.models.step import BESIDE, Sort
from furrow.states import State
from furrow.steps.named import Named

#: Seconds between two tries of a write, while the database is away.
PAUSE = 0.25


class Recorder:
    """Asks the database, and blocks meanwhile."""

    def __init__(self, run: Run, *, transactional: bool) -> None:
        self._run, self._transactional = run, transactional
        self._recorded: dict[str, Step] | None = None
        self._met: dict[str, int] = {}
        self._under_way, self._overlap = 0, False
        self._last = 0  # of the recorded steps that this run met, the last one's place

    # --- What earlier runs recorded -----------------------------------------------------------------------------------

    def meet(self, sort: Sort, named: Named) -> Step | None:
        """The handler comes to this step: its row; ``None`` when it is new.

        Raises:
            StepError: the run has met it already; there are too many.
            StepChanged: earlier runs recorded another step in its place, or another sort of step under its name.
        """
        name, recorded = named.name, self._known()
        if name in self._met:
            raise StepError(
                f"The step {name!r} is met twice in one run: give each a name of its own, such as f'{name} {{order.pk}}'."
            )
        if len(self._met) >= conf().max_steps:
            raise StepError(f"A job has at most {conf().max_steps:,} steps (FURROW['MAX_STEPS']): make several jobs of it.")
        place = len(self._met) + 1
        row = recorded.get(name) or self._renamed(named)
        if row is None and not named.new:
            self._refuse_replacement(place, name)
        if row is not None and row.sort != sort:
            raise StepChanged(
                f"The step {name!r} is a {sort} now, and attempt {row.attempt} recorded a {row.sort} of that name: give the "
                "new step another name, or run the job again from it."
            )
        self._met[name] = place
        if row is not None:
            self._follow(row, place)
        return row

    def _known(self) -> dict[str, Step]:
        if self._recorded is None:
            rows = self.patiently(lambda: list(Step.objects.filter(job=self._run.id))) if self._run.attempt > 1 else []
            self._recorded = {row.name: row for row in rows}
        return self._recorded

    def _renamed(self, named: Named) -> Step | None:
        row = self._known().pop(named.was, None)
        if row is not None:
            row.name = named.name
            row.save(update_fields=["name"])
            self._known()[row.name] = row
        return row

    def _refuse_replacement(self, place: int, name: str) -> None:
        """Whether it is new or renamed nobody can tell; done twice it could do harm."""
        there = next((row for row in self._known().values() if row.position == place and row.name not in self._met), None)
        if there is not None and not self._overlapped():
            raise StepChanged(
                f"The handler comes to the step {name!r} where attempt {there.attempt} recorded {there.name!r}. If it is the "
                f"same, declare it with was={there.name!r}; if it is another, with new=True; or run the job again from there."
            )

    def _follow(self, row: Step, place: int) -> None:
        """It may stand elsewhere now."""
        if row.position < self._last and not self._overlapped():
            self._tell(row, f"met out of order by attempt {self._run.attempt}: as step {place}, before it was {row.position}")
        self._last = max(self._last, row.position)
        if row.position != place:
            Step.objects.filter(pk=row.pk).update(position=place)

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """While a function of an async handler is called: others may be called beside it."""
        self._under_way += 1
        self._overlap |= self._under_way > 1
        try:
            yield
        finally:
            self._under_way -= 1

    def _overlapped(self) -> bool:
        """Steps of this job were called side by side, and so in no order."""
        return any(row.sort == Sort.STEP and row.awaits == BESIDE for row in self._known().values())

    def tell_of_missing(self) -> None:
        """The handler has returned: steps that earlier runs recorded, and that this one has not met, are gone from the code."""
        for row in self._known().values():
            if row.name not in self._met:
                self._tell(row, f"not met by attempt {self._run.attempt}, which ended: renamed or removed")

    def _tell(self, row: Step, note: str) -> None:
        self._run.log(logging.WARNING, "", f"Step {row.name!r} was {note}.")
        Step.objects.filter(pk=row.pk).update(note=note[:300])

    # --- What this run adds -------------------------------------------------------------------------------------------

    @property
    def transactional(self) -> bool:
        """The handler runs in the transaction that settles its job."""
        return self._transactional

    def refuse_open_transaction(self, name: str) -> None:
        """What is recorded must not be rolled back by the handler's own transaction, nor outlive it.

        Raises:
            StepError: one is open.
        """
        if any(
            _depth(link) > (self._transactional and link.alias == alias()) for link in connections.all(initialized_only=True)
        ):
            raise StepError(
                f"The step {name!r} is within transaction.atomic(), which could roll its record back: leave that first, or "
                "declare the step with transactional=True."
            )

    def add(self, sort: Sort, name: str, more: Callable[[], dict[str, Any]] = dict, **columns: Any) -> Step:
        """Record a step. ``more``: columns that come of what is done in the same transaction.

        Raises:
            Superseded: this run is not the job's current one any more.
        """
        row = Step(job_id=self._run.id, name=name, sort=sort, attempt=self._run.attempt, position=self._met[name], **columns)
        row.version = conf().version
        if sort == Sort.STEP and self._overlap:
            row.awaits = BESIDE

        def write() -> Step:
            self.hold()
            there = Step.objects.filter(job=self._run.id, name=name, attempt=self._run.attempt).first() if again else None
            if there is None:
                for column, value in more().items():
                    setattr(row, column, value)
                row.save(force_insert=True)
            return there or row

        again: list[bool] = []  # the answer to an earlier try was lost, perhaps that of its commit
        recorded: Step = self.surely(write, again)
        return recorded

    def surely(self, write: Callable[[], Any], again: list[bool] | None = None) -> Any:
        """In one transaction, :meth:`patiently`."""

        def written() -> Any:
            with atomic():
                return write()

        return self.patiently(written, again)

    @staticmethod
    def patiently(ask: Callable[[], Any], again: list[bool] | None = None) -> Any:
        """While the database is away it is asked again, for as long as the worker's lease may last."""
        end = time.monotonic() + conf().worker_lease
        while True:
            try:
                return ask()
            except (OperationalError, InterfaceError):
                if _depth(connection) or time.monotonic() >= end:
                    raise
                if again is not None:
                    again.append(True)
                connection.close()
                time.sleep(PAUSE)

    def now(self) -> dt.datetime:
        """By the database's clock, which also says when the job is due."""
        moment: dt.datetime = self.patiently(lambda: statements.on(connection).clock(connection))
        return moment

    def hold(self) -> None:
        """Lock the job's row until the transaction ends; not in a ``transactional`` handler, in whose way nobody shall stand.

        Raises:
            Superseded: this run is not the job's current one any more.
        """
        mine = Job.objects.filter(pk=self._run.id, attempt=self._run.attempt, state=State.RUNNING).order_by()
        if not (mine if self._transactional else mine.select_for_update(no_key=True)).values_list("pk", flat=True):
            raise Superseded("the job is not this run's any more")

    def guard(self) -> None:
        """Before the transaction of a ``transactional`` handler is committed.

        Raises:
            Superseded: as :meth:`hold`.
        """
        self._transactional = False
        self.hold()

    def pass_by(self, row: Step, result: str | None = None) -> None:
        """A wait is over."""
        row.result, row.finished_at, row.passed_in = result, self.now(), self._run.attempt
        row.save(update_fields=["result", "note", "finished_at", "passed_in"])

    def take_signal(self, row: Step) -> str | None:
        """The payload of the first signal that it waits for, which is then taken; ``None`` when there is none."""
        signal = Signal.objects.filter(target=self._run.id, name=row.awaits, consumed_at__isnull=True).order_by("pk").first()
        if signal is None:
            return None
        signal.consumed_at, signal.step = self.now(), row.name
        signal.save(update_fields=["consumed_at", "step"])
        return signal.payload


def _depth(link: Any) -> int:
    """Transactions that the handler has open there; a test's is none."""
    blocks = link.atomic_blocks
    own = next((place for place, block in enumerate(reversed(blocks)) if block._from_testcase), len(blocks))
    return int(own)
