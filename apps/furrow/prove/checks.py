"""The judgement: evidence in, violations out; pure. One function a promise."""

from collections.abc import Callable
from typing import NamedTuple

from furrow.plural import counted
from furrow.prove import flows, punctual, relations, resumed, tidings, verdicts
from furrow.prove.blame import BLUR, EMPTIED, Found
from furrow.prove.evidence import Evidence, JobRow
from furrow.prove.faults.base import Happened
from furrow.prove.overheard import DELIVERY
from furrow.prove.spec import SPECS
from furrow.prove.verdicts import explained
from furrow.states import FINAL, MOVES

#: Seconds that a message may wait for its bridge: for as long as recovery from another fault may take.
WAITED = 60.0


class Violation(NamedTuple):
    """A broken promise."""

    check: str
    job: str | None
    text: str


def lost(e: Evidence) -> Found:
    """A committed submit ends: its job exists and is in a final state."""
    for submit in e.submits:
        for id in submit.ids if submit.outcome == "committed" else ():
            if id not in e.jobs:
                yield id, f"its submit ({submit.way}) was committed, and there is no row"
            elif e.jobs[id].state not in FINAL:
                yield id, f"it has not ended: it is {e.jobs[id].state}"


def rolled_back(e: Evidence) -> Found:
    """What was rolled back left neither a row nor a trace."""
    for submit in e.submits:
        for id in submit.void + (submit.ids if submit.outcome == "rolled back" else []):
            if id in e.jobs or id in e.runs:
                yield id, f"its submit ({submit.way}) was rolled back, and it {'ran' if id in e.runs else 'has a row'}"


def whole(e: Evidence) -> Found:
    """A submit whose outcome nobody was told happened as a whole or not at all; and no job comes from nowhere."""
    known = {job for message in e.published.values() for job in message.jobs} | e.followed | e.called
    known |= e.graphs.added | {*e.ticked.jobs}
    for submit in e.submits:
        known.update(submit.ids)
        there = [id for id in submit.ids if id in e.jobs]
        if not submit.outcome and 0 < len(there) < len(submit.ids):
            yield (
                there[0],
                f"of {counted(len(submit.ids), 'job')} of one transaction ({submit.way}) there: {len(there)}",
            )
        for id in there if not submit.outcome else ():
            if e.jobs[id].state not in FINAL:
                yield id, f"it has not ended: it is {e.jobs[id].state}"
    for id in e.jobs.keys() - known:
        yield id, "nobody submitted it"


def bridged(e: Evidence) -> Found:
    """Each message that RabbitMQ confirmed is one job, which ends, and none is two; but for those that were in RabbitMQ when
    its data was lost."""
    emptied = [fault for fault in e.faults if fault.kind in EMPTIED]
    for id, message in e.published.items():
        for job in message.jobs[1:]:
            yield job, f"message {id} is {counted(len(message.jobs), 'job')}"
        for job in message.jobs:
            if e.jobs[job].state not in FINAL:
                yield job, f"it has not ended: it is {e.jobs[job].state}"
        at = message.confirmed
        if at is not None and not message.jobs and not any(_lost_with(fault, at) for fault in emptied):
            yield None, f"message {id} was confirmed by RabbitMQ, and is no job"


def _lost_with(fault: Happened, confirmed: float) -> bool:
    """A message that was confirmed then may have been in RabbitMQ when this fault took its data."""
    return fault.began - WAITED <= confirmed <= fault.healed + BLUR


def legal(e: Evidence) -> Found:
    """Every move is in the table of legal moves, and attempts count up by one with each claim."""
    for id, moves in e.moves.items():
        for move in moves:
            if move.before is None:
                if move.after not in ("pending", "waiting"):
                    yield id, f"it appeared as {move.after}"
                continue
            if move.after is None:
                yield id, f"it was deleted while {move.before}"
                continue
            if move.before not in FINAL and move.before != move.after and move.after not in MOVES[move.before]:  # type: ignore[index]
                yield id, f"it moved from {move.before} to {move.after}"
            claimed = int(move.after == "running" and move.before != "running")
            if (move.attempt or 0) - (move.attempt_before or 0) != claimed:
                yield id, f"its attempt went from {move.attempt_before} to {move.attempt} as it became {move.after}"


def settled_twice(e: Evidence) -> Found:
    """Once a job has ended nothing touches it; each run is settled once, and the last one is the job's end."""
    for id, moves in e.moves.items():
        for move in moves:
            if move.before in FINAL and move.after is not None:
                yield id, f"it had ended ({move.before}) and was settled again ({move.after})"
    for id, job in e.jobs.items():
        rows = e.attempts.get(id, [])
        if len({row.number for row in rows}) < len(rows):
            yield id, "two attempts have the same number"
        if sum(row.outcome == "succeeded" for row in rows) != (job.state == "succeeded"):
            yield id, f"it is {job.state}, and {sum(row.outcome == 'succeeded' for row in rows)} of its attempts succeeded"
        if job.state in ("succeeded", "failed") and (not rows or rows[-1].number != job.attempt):
            yield id, f"it is {job.state} with attempt {job.attempt}, which no attempt recorded"


def truthful(e: Evidence) -> Found:
    """What the rows say is what the handlers did: who succeeded had come to its end before, who failed had raised."""
    for id, job in e.jobs.items():
        rows = e.attempts.get(id, [])
        runs = e.runs.get(id, [])
        for row in rows if not _elsewhere(job.kind) else ():
            did = {run.how: run for run in runs if run.attempt == row.number}
            if row.outcome == "succeeded" and ("end" not in did or (did["end"].ended or 0) > row.finished + BLUR):
                yield id, f"attempt {row.number} is recorded as succeeded, and its handler had not come to its end"
            # What surrounds a transactional handler, BEGIN and COMMIT, may fail without it.
            itself = job.kind not in SPECS or SPECS[job.kind].itself
            if itself and row.outcome in ("failed", "snoozed") and "raise" not in did:
                yield id, f"attempt {row.number} is recorded as {row.outcome}, and its handler did not raise"
            if row.outcome == "succeeded" and job.kind == "prove.writes" and row.number not in e.writes.get(id, []):
                yield id, f"attempt {row.number} succeeded, and what its handler had committed is gone"


def _elsewhere(kind: str) -> bool:
    """Nothing that the engine does not write tells how these runs went."""
    return kind == DELIVERY or (kind in SPECS and SPECS[kind].elsewhere)


def exactly_once(e: Evidence) -> Found:
    """What a transactional handler writes is there once if its job succeeded, else not at all; and nothing of a transaction
    that a handler left open."""
    for id, job in e.jobs.items():
        times = len(e.writes.get(id, []))
        if job.kind == "prove.leaves" and times:
            yield id, "what it wrote in a transaction that it left open was committed"
        if job.kind == "prove.transactional" and times != (job.state == "succeeded"):
            yield id, f"it is {job.state}, and what its transactional handler wrote is there {counted(times, 'time')}"


def unexplained(e: Evidence) -> Found:
    """A second run means that the first raised, or that the campaign killed, stopped, froze or cut off who ran it."""
    for id, runs in e.runs.items():
        rows = {row.number: row for row in e.attempts.get(id, [])}
        last = e.jobs[id].attempt if id in e.jobs else 0
        seen: set[int] = set()
        for run in runs:
            row = rows.get(run.attempt)
            settles = (
                run.attempt == last and row is not None and row.outcome in ("succeeded", "failed", "cancelled", "timed out")
            )
            raised = run.how == "raise" and row is not None and row.outcome in ("failed", "snoozed", "cancelled", "timed out")
            ordinary = (settles or raised) and run.attempt not in seen
            seen.add(run.attempt)
            if not ordinary and not explained(e, id, e.jobs.get(id), run, row):
                recorded = f"is recorded as {row.outcome}" if row else "is not recorded"
                yield id, f"a run of attempt {run.attempt} {recorded}, and no fault hit who ran it"


def drifted(e: Evidence) -> Found:
    """Nothing is held by nobody: no row without its message or worker, no message, lease, lock or session left over."""
    for text in e.drift:
        yield None, text


def recovered(e: Evidence) -> Found:
    """After every fault all parts work again within a bounded time, without anybody's help."""
    for fault in e.faults:
        if fault.recovered is None:
            yield None, f"fault {fault.number} ({fault.kind} {fault.target}): not everything worked again after it"


def died(e: Evidence) -> Found:
    """No process ends but those that the campaign ended: a store that is away is waited for."""
    for end in e.exits:
        if not end.asked:
            yield None, f"{end.program} (process {end.pid}) ended by itself, with code {end.code}"


def _of_known(check: Callable[[Evidence, list[tuple[str, JobRow]]], Found]) -> Callable[[Evidence], Found]:
    """A check of the jobs whose kinds the judge knows."""

    def found(e: Evidence) -> Found:
        return check(e, [(id, job) for id, job in e.jobs.items() if job.kind in SPECS])

    found.__doc__ = check.__doc__
    return found


#: Key of the report: what is checked.
CHECKS: dict[str, Callable[[Evidence], Found]] = {
    "lost": lost,
    "rolled_back": rolled_back,
    "whole": whole,
    "bridged": bridged,
    "events": tidings.moved,
    "events_after_commit": tidings.committed,
    "subscribed": tidings.subscribed,
    "webhooks": tidings.delivered,
    "workflows": flows.judged,
    "schedules": punctual.once,
    "steps": resumed.resumed,
    "legal_moves": legal,
    "settled_twice": settled_twice,
    "truthful": truthful,
    "exactly_once": exactly_once,
    "policy": _of_known(verdicts.policy),
    "cancellations": _of_known(verdicts.unasked),
    "times": _of_known(verdicts.timely),
    "results": _of_known(verdicts.results),
    "log_lines": _of_known(verdicts.lines),
    "causes": _of_known(verdicts.causes),
    "surroundings": _of_known(verdicts.surroundings),
    "exclusive": relations.exclusive,
    "rates": relations.paced,
    "order": relations.in_order,
    "unique": relations.unique,
    "unexplained_duplicates": unexplained,
    "drift": drifted,
    "recovered": recovered,
    "died": died,
}


def judge(evidence: Evidence) -> list[Violation]:
    """All that is wrong."""
    return [Violation(name, job, text) for name, check in CHECKS.items() for job, text in check(evidence)]


def duplicates(evidence: Evidence) -> int:
    """How many runs there were beyond the first of each job, other than after a handler that raised."""
    return sum(max(0, len([run for run in runs if run.how != "raise"]) - 1) for runs in evidence.runs.values())
