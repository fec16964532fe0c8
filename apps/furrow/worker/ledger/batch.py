"""What the ledger writes in one go, and what becomes of what cannot be written."""

import datetime as dt
import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from furrow.fingerprint import fingerprint
from furrow.statements import Answer, Chunk, Claimed, Dead, Group, HandOver, LogRecord, Progress, Settlement
from furrow.states import Outcome, State

logger = logging.getLogger(__name__)

ClaimCallback = Callable[[list[Claimed]], None]
#: Characters of results, tracebacks, log lines and output that count as one entry more of what waits.
LARGE = 4_000
#: Characters of log lines and of output in one transaction: the lease must be renewed in between, also where the disk is slow.
PIECE = 2_000_000
#: ``error_type`` of an end that could not be stored.
UNSTORABLE = "EndNotStored"


class Batch:
    """What waits to be written."""

    def __init__(self) -> None:
        self.claims: list[tuple[Mapping[str, str], ClaimCallback]] = []
        self.settlements: list[Settlement] = []
        self.logs: list[LogRecord] = []
        self.output: list[Chunk] = []
        self.progress: dict[str, Progress] = {}
        self.released: list[str] = []
        self.begun: list[tuple[str, int, float]] = []
        self.dead: list[tuple[Dead, Callable[[], None]]] = []
        self.characters = 0  # of results, tracebacks, log lines and output
        self.questions: list[tuple[Callable[[Any], Any], Callable[[Any], None]]] = []
        self.answers: list[Answer] = []
        self.tried_at = 0.0  # monotonic seconds: when it was to be written first; 0: never yet
        self.again: dt.datetime | None = None  # perhaps it was written since then: the answer to its commit was lost
        self.alone = False  # one entry of a batch that was refused
        self.unqueued: set[str] = set()  # jobs whose rows were locked when they were to be claimed

    @property
    def jobs(self) -> set[str]:
        """The jobs whose rows it writes."""
        ended = {settlement.id for settlement in self.settlements}
        return ended.union(self.progress, self.released, self.unqueued, *(jobs for jobs, _ in self.claims))

    def put_off(self, locked: Collection[str]) -> "Batch":
        """Leave out the jobs whose rows are locked; returns what is to be written of them later. Their claims are given up:
        their messages go, and they become pending again. What this worker should release it is told of again."""
        later = Batch()
        later.settlements = [settlement for settlement in self.settlements if settlement.id in locked]
        later.progress = {id: report for id, report in self.progress.items() if id in locked}
        claimed = {id for jobs, _ in self.claims for id in jobs}
        later.unqueued = {id for id in locked if id in claimed or id in self.unqueued}
        later.characters = sum(len(end.result or "") + len(end.traceback) for end in later.settlements)
        self.settlements = [settlement for settlement in self.settlements if settlement.id not in locked]
        self.progress = {id: report for id, report in self.progress.items() if id not in locked}
        self.claims = [
            ({id: kind for id, kind in jobs.items() if id not in locked}, callback) for jobs, callback in self.claims
        ]
        self.released = [id for id in self.released if id not in locked]
        self.unqueued -= later.unqueued
        return later

    def add(self, other: "Batch") -> None:
        """What was put off before. Progress that came later counts."""
        self.settlements += other.settlements
        self.progress = other.progress | self.progress
        self.unqueued |= other.unqueued
        self.characters += other.characters

    def group(self, limited: Collection[str], in_line: Collection[str], hand_over: HandOver | None) -> Group:
        """What is written in one transaction."""
        return Group(
            released=self.released,
            progress=list(self.progress.values()),
            settlements=latest(self.settlements),
            logs=self.logs,
            output=self.output,
            dead=[message for message, _ in self.dead],
            claims={id: kind for jobs, _ in self.claims for id, kind in jobs.items()},
            limited=limited,
            in_line=in_line,
            hand_over=hand_over,
            begun=self.begun,
            unqueued=list(self.unqueued),
            again=self.again,
        )

    def split(self) -> "Iterator[Batch]":
        """A batch for each entry; claims are left out. The database refused all of it: nothing of it is written."""
        for report in self.progress.values():
            yield _alone(progress={report.id: report})
        for chunk in self.output:  # before the end: who reads it then reads no further
            yield _alone(output=[chunk])
        for settlement in self.settlements:
            yield _alone(settlements=[settlement])
        for record in self.logs:
            yield _alone(logs=[record])
        for kept in self.dead:
            yield _alone(dead=[kept])
        rest = _alone(released=self.released, begun=self.begun, answers=self.answers, unqueued=self.unqueued)
        if len(rest):
            yield rest

    def instead(self, error: BaseException) -> "Iterator[Batch]":
        """What to write of a single entry that the database refuses: of a run that it failed, with the reason."""
        if self.settlements and self.settlements[0].error_type != UNSTORABLE:
            yield _alone(settlements=[unstorable(self.settlements[0], error)])
        else:
            lost: Sequence[Any] = self.settlements or [*self.logs, *self.output, *self.progress.values(), *self.dead]
            logger.error("Refused and lost: %s", lost)

    def refuse(self) -> list[Callable[[Any], Any]]:
        """Claim and ask nothing; returns who is to be told."""
        refused: list[Callable[[Any], Any]] = [callback for _, callback in (*self.claims, *self.questions)]
        self.claims, self.questions = [], []
        return refused

    def piece(self) -> Group | None:
        """The first log lines and chunks, while there are more than should be written at once; ``None`` otherwise."""
        if self.characters <= PIECE:
            return None
        lines = _until_full([len(record.message) for record in self.logs])
        chunks = _until_full([len(chunk.value) for chunk in self.output])
        return Group(logs=self.logs[:lines], output=self.output[:chunks], again=self.again) if lines or chunks else None

    def written(self, piece: Group) -> None:
        """It was, for sure; the rest is tried from now on."""
        self.tried_at, self.again = time.monotonic(), None
        del self.logs[: len(piece.logs)], self.output[: len(piece.output)]

    def __len__(self) -> int:
        """Entries."""
        waiting = len(self.settlements) + len(self.logs) + len(self.output) + len(self.progress)
        waiting += len(self.claims) + len(self.released) + len(self.begun) + len(self.dead) + len(self.unqueued)
        return waiting + len(self.questions) + len(self.answers)

    @property
    def weight(self) -> int:
        """Entries, a large one counting for several."""
        return len(self) + self.characters // LARGE


def _alone(**entries: Any) -> Batch:
    single = Batch()
    single.alone = True
    for name, given in entries.items():
        setattr(single, name, given)
    return single


def _until_full(sizes: Sequence[int]) -> int:
    """How many of these make a piece; 0 when all of them do not."""
    size = 0
    for number, one in enumerate(sizes):
        size += one
        if size > PIECE:
            return number + 1
    return 0


def latest(settlements: list[Settlement]) -> list[Settlement]:
    """One settlement a job: of two for one run the first counts, as it would one after the other."""
    unique: dict[tuple[str, int], Settlement] = {}
    for settlement in settlements:
        unique.setdefault((settlement.id, settlement.attempt), settlement)
    return list(unique.values())


def unstorable(settlement: Settlement, error: BaseException) -> Settlement:
    """What is settled instead of an end that the database refuses to store."""
    reason = f"The end of this run ({settlement.outcome}) could not be stored: {str(error).strip()[:500]!r}"
    return settlement._replace(
        state=State.FAILED,
        outcome=Outcome.FAILED,
        delay=None,
        result=None,
        error=reason,
        error_type=UNSTORABLE,
        traceback="",
        fingerprint=fingerprint(UNSTORABLE, reason),
    )
