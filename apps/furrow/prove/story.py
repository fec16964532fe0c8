"""All that is known of one job, in the order in which it happened: the first thing to read about a violation."""

from collections.abc import Iterator

from furrow.prove.blame import AFTERMATH
from furrow.prove.evidence import Evidence


def story(evidence: Evidence, job: str) -> list[str]:
    """Its row, then its submit, moves, runs, attempts and the faults around it, with seconds since it appeared."""
    events = sorted(_events(evidence, job))
    if not events:
        return [f"job {job}: nothing is known of it but its submit: {_submit(evidence, job)}"]
    first, last = events[0][0], events[-1][0]
    events += [
        (fault.began, f"fault {fault.number}: {fault.kind} {fault.target}, for {fault.healed - fault.began:.1f} s")
        for fault in evidence.faults
        if fault.began <= last + AFTERMATH and fault.healed >= first - AFTERMATH
    ]
    row = evidence.jobs.get(job)
    head = f"job {job}: " + (f"{row.kind}, {row.state}, attempt {row.attempt}. {row.error}".rstrip() if row else "no row")
    lines = [f"{at - first:+9.3f} s  {text}" for at, text in sorted(events)]
    return [head, f"submit: {_submit(evidence, job)}", *lines]


def _submit(evidence: Evidence, job: str) -> str:
    for submit in evidence.submits:
        if job in submit.ids or job in submit.void:
            return f"{submit.way}, {submit.outcome or 'outcome unknown'}" + (", in a savepoint" if job in submit.void else "")
    return "unknown"


def _events(e: Evidence, job: str) -> Iterator[tuple[float, str]]:
    for move in e.moves.get(job, []):
        by = f" ({_worker(e, move.worker)})" if move.worker else ""
        yield move.at, f"row: {move.before or 'nothing'} -> {move.after or 'nothing'}, attempt {move.attempt}{by}"
    for run in e.runs.get(job, []):
        yield run.began, f"handler: attempt {run.attempt} began in process {run.pid} of {run.parent}"
        if run.ended:
            yield run.ended, f"handler: attempt {run.attempt} came to its {run.how} in process {run.pid}"
    for row in e.attempts.get(job, []):
        yield row.finished, f"attempt {row.number} recorded: {row.outcome}, {_worker(e, row.worker)}, process {row.pid}"


def _worker(e: Evidence, id: str | None) -> str:
    node, pid = e.workers.get(id or "", ("unknown worker", 0))
    return f"{node}, process {pid}"
