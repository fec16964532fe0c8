"""What the ledger writes in one go, and what becomes of what cannot be written."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from django.db import Error, InterfaceError, OperationalError

from apps.jobs.signature import sign
from apps.jobs.statements import Answer, Claimed, Dead, LogRecord, Progress, Settlement
from apps.jobs.states import Outcome, State

ClaimCallback = Callable[[list[Claimed]], None]
#: Characters of results, tracebacks and log lines that count as one entry more of what waits.
LARGE = 4_000
#: Characters of log lines in one transaction: the lease must be renewed in between, also where the disk is slow.
PIECE = 2_000_000


class Batch:
    """What waits to be written."""

    def __init__(self) -> None:
        self.claims: list[tuple[Mapping[str, str], ClaimCallback]] = []
        self.settlements: list[Settlement] = []
        self.logs: list[LogRecord] = []
        self.progress: dict[str, Progress] = {}
        self.disowned: list[str] = []
        self.begun: list[tuple[str, int, float]] = []
        self.dead: list[tuple[Dead, Callable[[], None]]] = []
        self.characters = 0  # of results, tracebacks and log lines
        self.questions: list[tuple[Callable[[Any], Any], Callable[[Any], None]]] = []
        self.answers: list[Answer] = []

    def split(self) -> "Iterator[Batch]":
        """A batch for each entry; claims are left out."""
        for report in self.progress.values():
            single = Batch()
            single.progress = {report.id: report}
            yield single
        for settlement in self.settlements:
            single = Batch()
            single.settlements = [settlement]
            yield single
        for record in self.logs:
            single = Batch()
            single.logs = [record]
            yield single
        for kept in self.dead:
            single = Batch()
            single.dead = [kept]
            yield single

    def refuse(self) -> list[Callable[[Any], Any]]:
        """Claim and ask nothing; returns who is to be told."""
        refused: list[Callable[[Any], Any]] = [callback for _, callback in (*self.claims, *self.questions)]
        self.claims, self.questions = [], []
        return refused

    def piece(self) -> list[LogRecord]:
        """The first log lines, while there are more than should be written at once; none otherwise."""
        size = 0
        for number, record in enumerate(self.logs if self.characters > PIECE else ()):
            size += len(record.message)
            if size > PIECE:
                return self.logs[: number + 1]
        return []

    def __len__(self) -> int:
        """Entries."""
        waiting = len(self.settlements) + len(self.logs) + len(self.progress)
        waiting += len(self.claims) + len(self.disowned) + len(self.begun) + len(self.dead)
        return waiting + len(self.questions) + len(self.answers)

    @property
    def weight(self) -> int:
        """Entries, a large one counting for several."""
        return len(self) + self.characters // LARGE


def is_away(error: Error) -> bool:
    """It is not there, or takes no writes: SQLSTATE 25006, read-only, as a standby is after a failover."""
    return isinstance(error, (OperationalError, InterfaceError)) or getattr(error.__cause__, "sqlstate", "") == "25006"


def latest(settlements: list[Settlement]) -> list[Settlement]:
    """One settlement a job: of two for one run the first counts, as it would one after the other."""
    unique: dict[tuple[str, int], Settlement] = {}
    for settlement in settlements:
        unique.setdefault((settlement.id, settlement.attempt), settlement)
    return list(unique.values())


def unstorable(settlement: Settlement, error: Error) -> Settlement:
    """What is settled instead of an end that the database refuses to store."""
    reason = f"The end of this run ({settlement.outcome}) could not be stored: {str(error).strip()[:500]!r}"
    return settlement._replace(
        state=State.FAILED,
        outcome=Outcome.FAILED,
        delay=None,
        result=None,
        error=reason,
        error_type="ResultError",
        traceback="",
        signature=sign("ResultError", reason),
    )
