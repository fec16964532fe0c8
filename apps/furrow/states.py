"""States of a job and the moves between them: the one table from which the CHECK constraints, the docs and the code derive."""

from enum import StrEnum
from typing import NamedTuple


class State(StrEnum):
    """Where a job stands."""

    #: Waits for other nodes of its workflow. In: submit, or back when one that kept it from running runs again. Out: the last
    #: of them ended.
    WAITING = "waiting"
    #: In the database only, until ``run_at`` is due and the dispatcher sends it. In: submit, retry, rescue. Out: dispatch, or
    #: failed when its row cannot be read.
    PENDING = "pending"
    #: RabbitMQ confirmed its message. In: dispatch. Out: claim, or back when the message is lost.
    QUEUED = "queued"
    #: Claimed by a worker that holds a lease. In: claim. Out: settle, retry, rescue.
    RUNNING = "running"
    #: The handler returned. In: settle.
    SUCCEEDED = "succeeded"
    #: The handler raised and no attempt is left, or the error is final. In: settle, rescue.
    FAILED = "failed"
    #: Somebody cancelled it, or it expired before it began. In: cancel, expire, settle.
    CANCELLED = "cancelled"


#: Legal moves: from a state to the states that may follow it.
MOVES: dict[State, frozenset[State]] = {
    State.WAITING: frozenset({State.PENDING, State.CANCELLED, State.FAILED}),
    State.PENDING: frozenset({State.QUEUED, State.RUNNING, State.CANCELLED, State.FAILED}),
    State.QUEUED: frozenset({State.PENDING, State.RUNNING, State.CANCELLED}),
    State.RUNNING: frozenset({State.PENDING, State.SUCCEEDED, State.FAILED, State.CANCELLED}),
    State.SUCCEEDED: frozenset({State.PENDING}),
    State.FAILED: frozenset({State.PENDING}),
    State.CANCELLED: frozenset({State.PENDING, State.WAITING}),
}

#: The states of a job that has ended; only a person's retry moves it again, and with it what waits for it in its workflow.
FINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})
#: Not begun: cancelling is one UPDATE.
UNSTARTED = frozenset({State.WAITING, State.PENDING, State.QUEUED})


def sources(target: State) -> frozenset[State]:
    """The states from which ``target`` may be reached; the guard of every UPDATE that moves a job there."""
    return frozenset(state for state, targets in MOVES.items() if target in targets)


class Outcome(StrEnum):
    """How one attempt ended."""

    SUCCEEDED = "succeeded"
    #: The handler raised.
    FAILED = "failed"
    #: The handler raised ``Snooze``; not counted.
    SNOOZED = "snoozed"
    #: The soft or the hard timeout passed.
    TIMED_OUT = "timed out"
    #: The pool process died during the run.
    CRASHED = "crashed"
    #: The worker's lease ended before it reported the run's end.
    LOST = "lost"
    #: The worker shut down and handed the job back; not counted.
    INTERRUPTED = "interrupted"
    #: The job was cancelled during the run.
    CANCELLED = "cancelled"


class Meaning(NamedTuple):
    """What follows from an outcome. Both SQL dialects, the worker, the colours of pages and terminals derive from it."""

    colour: str  #: of its label: ``success``, ``danger``, ``warning`` or ``info``
    counts: bool = True  #: towards ``max_attempts``
    ends_cancelled: bool = False  #: the run is over whatever its state says: a job that was asked to stop is cancelled
    keeps_slots: bool = False  #: the job keeps the slots of its limits, and its place among those of one key
    next_run: str = ""  #: why there is another run, where no retry policy says so


#: One row an outcome; by its text, which other programs may have written.
MEANINGS: dict[str, Meaning] = {
    Outcome.SUCCEEDED: Meaning("success"),
    Outcome.FAILED: Meaning("danger"),
    Outcome.SNOOZED: Meaning("info", counts=False, next_run="Snoozed by its handler: due"),
    Outcome.TIMED_OUT: Meaning("danger"),
    Outcome.CRASHED: Meaning("danger", ends_cancelled=True),
    Outcome.LOST: Meaning("danger", ends_cancelled=True),
    Outcome.INTERRUPTED: Meaning(
        "info", counts=False, keeps_slots=True, next_run="Handed back when its worker shut down: due again"
    ),
    Outcome.CANCELLED: Meaning("warning"),
}

#: Outcomes that say nothing against the job: the attempt does not count towards ``max_attempts``.
EXCUSED = frozenset(outcome for outcome, meaning in MEANINGS.items() if not meaning.counts)
#: Outcomes after which a job that was asked to stop is cancelled, whatever the run's end says.
ENDS_CANCELLED = frozenset(outcome for outcome, meaning in MEANINGS.items() if meaning.ends_cancelled)
#: Outcomes after which a job keeps its slots.
KEEPS_SLOTS = frozenset(outcome for outcome, meaning in MEANINGS.items() if meaning.keeps_slots)
#: Outcomes that are not well.
UNWELL = frozenset(outcome for outcome, meaning in MEANINGS.items() if meaning.colour == "danger")


class WorkflowState(StrEnum):
    """Where a workflow stands."""

    #: Some node has not ended.
    RUNNING = "running"
    #: Each node has, and none of them failed or was cancelled without another that was there for it.
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class NodeState(StrEnum):
    """Where a node of a workflow stands."""

    #: On other nodes.
    WAITING = "waiting"
    #: For the failure of its workflow.
    DORMANT = "dormant"
    #: Let go: its jobs are pending, or go through their states.
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    #: One of its jobs failed for good.
    FAILED = "failed"
    #: None failed, and one was cancelled.
    CANCELLED = "cancelled"
    #: It will not run, since what it waits for cannot happen any more.
    SKIPPED = "skipped"


#: The states of a node for whose end its workflow waits.
UNENDED = frozenset({NodeState.WAITING, NodeState.RUNNING})
#: The states of a node that has ended.
ENDED = frozenset(set(NodeState) - UNENDED - {NodeState.DORMANT})


class Condition(StrEnum):
    """What a node waits for of another."""

    SUCCESS = "success"
    #: It ended, however.
    END = "end"
    FAILURE = "failure"
    #: One of its jobs failed, whatever becomes of the others.
    FIRST_FAILURE = "first failure"
