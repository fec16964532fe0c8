"""What each job must have become, by what its submitter, its handler and the faults wrote down; compared with what the engine
says of it. Pure: evidence in, violations out, one function a promise."""

from collections import Counter, defaultdict
from itertools import chain

from furrow.plural import counted
from furrow.prove.blame import BLUR, Found, around, culprits, enders, meanwhile
from furrow.prove.evidence import AttemptRow, Evidence, JobRow, Run
from furrow.prove.spec import FINAL_ERRORS, SPECS, UNWOKEN
from furrow.states import EXCUSED, FINAL

#: Outcomes after which a job is tried again or has failed.
BAD = frozenset({"failed", "timed out", "crashed", "lost"})
#: What a run finds otherwise where the campaign has limited its descriptors.
_LIMITED = frozenset({"limits", "descriptors in bounds"})


def policy(e: Evidence, told: list[tuple[str, JobRow]]) -> Found:
    """As many attempts as its policy allows and its errors need: failed when they are used up, tried again when not."""
    for id, job in told:
        spec, used = SPECS[job.kind], 0
        rows = e.attempts.get(id, [])
        for row in rows:
            used += row.outcome not in EXCUSED
            errors = {run.error for run in _runs(e, id, row) if run.how == "raise"} or {row.error_type}
            told_final = row.outcome == "failed" and bool(errors & FINAL_ERRORS)  # what a lost run raised nobody heard
            over = row.outcome in BAD and (told_final or used >= spec.attempts)
            allowed = counted(spec.attempts, "attempt")
            if over and row is not rows[-1]:
                yield id, f"it was tried again after attempt {row.number}: of its {allowed} none was left"
            if not over and row is rows[-1] and job.state == "failed":
                yield id, f"it failed with attempt {row.number} ({row.outcome}): of {allowed} {used} counted"
        if job.state in FINAL and used != job.attempt - job.excused:
            counts = f"recorded are {counted(used, 'attempt')} that count"
            yield id, f"{counts}, and its row counts {job.attempt - job.excused}"


def unasked(e: Evidence, told: list[tuple[str, JobRow]]) -> Found:
    """Cancelled is what somebody asked to cancel, what had not begun when it expired, or what was skipped in its workflow; and
    whatever was asked is done."""
    for id, job in told:
        asked, wanted = e.cancels.get(id, []), e.wanted.get(id)
        if not asked and any(row.outcome == "cancelled" for row in e.attempts.get(id, [])):
            yield id, "a run of it was cancelled, and nobody had asked"
        if job.state == "cancelled" and not asked and not e.graphs.skipped(id):
            if wanted is None or wanted.expires is None:
                yield id, "it was cancelled, and nobody had asked"
            elif e.runs.get(id):
                yield id, "it expired, and had begun before"
            elif _moved(e, id, "cancelled") < wanted.expires[0] - BLUR and not _set(e, id):
                yield id, "it expired too early"
        for cancel in asked:
            if cancel.done is None or not cancel.changed:
                continue
            if any(
                move.after == "running" and move.at > cancel.done + BLUR for move in e.moves[id] if move.before != "running"
            ):
                yield id, "it was cancelled, and claimed after that"
            if job.state != "cancelled" and not any(move.after == "running" for move in e.moves[id] if move.at <= cancel.done):
                yield id, f"it was cancelled before it had begun, and is {job.state}"


def timely(e: Evidence, told: list[tuple[str, JobRow]]) -> Found:
    """A job does not begin before its time, nor for the first time after it expired; but for those whose clock was set."""
    for id, _ in told:
        wanted = e.wanted.get(id)
        began = [move.at for move in e.moves[id] if move.after == "running" and move.before != "running"]
        if wanted is None or not began or _set(e, id):
            continue
        if wanted.run_at is not None and began[0] < wanted.run_at - BLUR:
            yield id, f"it was claimed {wanted.run_at - began[0]:.3f} s before its time"
        if wanted.expires is not None and began[0] > wanted.expires[1] + BLUR:
            yield id, f"it was claimed for the first time {began[0] - wanted.expires[1]:.3f} s after it expired"


def results(e: Evidence, told: list[tuple[str, JobRow]]) -> Found:
    """Its result is what its own handler returned, which had been given its own arguments."""
    for id, job in told:
        wanted = e.wanted.get(id)
        for run in e.runs.get(id, []):
            if run.kind != job.kind:
                yield id, f"attempt {run.attempt} was run by the handler of {run.kind}"
            elif wanted is not None and run.saw not in wanted.arguments:
                yield id, f"attempt {run.attempt} was given {run.saw}, and submitted was {wanted.arguments[-1]}"
        returned = [run.result for run in e.runs.get(id, []) if run.how == "end" and run.attempt == job.attempt]
        if job.state == "succeeded" and returned and job.result not in returned:
            yield id, f"its result is {job.result!r}, and its handler returned {returned[-1]!r}"
        if SPECS[job.kind].elsewhere and job.state == "succeeded" and wanted is not None:
            words = len(wanted.arguments[-1]["text"].split())
            if job.result != {"words": words}:
                yield id, f"its result is {job.result!r}, and its text has {counted(words, 'word')}"
        if job.state != "succeeded" and job.result is not None:
            yield id, f"it is {job.state}, and has a result: {job.result!r}"


def lines(e: Evidence, told: list[tuple[str, JobRow]]) -> Found:
    """Its log has each line that a run wrote, once, in order, up to the last; of a run that was cut off nothing invented."""
    for id, job in told:
        kept = e.lines.get(id, [])
        for row in e.attempts.get(id, []):
            ours = (UNWOKEN, SPECS[job.kind].remark or UNWOKEN)
            have = [text for number, text in kept if number == row.number and not text.startswith(ours)]
            runs = [run for run in e.runs.get(id, []) if run.attempt == row.number]
            whole = row.outcome == "succeeded" or (row.outcome in ("failed", "snoozed") and SPECS[job.kind].itself)
            if whole and len(runs) == 1 and have != runs[0].lines:
                lines = counted(len(runs[0].lines), "line")
                yield id, f"attempt {row.number} logged {lines}, and its log has {_shown(have, runs[0].lines)}"
            elif len(runs) == 1 and have != runs[0].lines[: len(have)]:
                yield id, f"the log of attempt {row.number}, which was cut off, has {_shown(have, runs[0].lines)}"


def causes(e: Evidence, told: list[tuple[str, JobRow]]) -> Found:
    """Each attempt ended as its handler did; timed out after its time; crashed and lost by a fault."""
    for id, job in told:
        spec = SPECS[job.kind]
        for row in e.attempts.get(id, []):
            runs = _runs(e, id, row)
            raised = {run.error for run in runs if run.how == "raise"}
            if row.outcome == "failed" and spec.itself and raised and row.error_type not in raised:
                yield id, f"attempt {row.number} raised {', '.join(sorted(raised))}, and is recorded as {row.error_type}"
            elif row.outcome == "snoozed" and not raised <= {"Snooze", "Suspended"}:
                yield id, f"attempt {row.number} is recorded as snoozed, and its handler had not asked for it"
            elif row.outcome == "timed out":
                lasted = row.finished - min((run.began for run in runs), default=row.finished)
                if spec.timeout is None or lasted < spec.timeout - BLUR:
                    yield id, f"attempt {row.number} timed out after {lasted:.3f} s; it has {spec.timeout or 'no limit'}"
            elif row.outcome == "crashed" and not spec.dies and not enders(e, row):
                yield id, f"attempt {row.number} is recorded as crashed, and no fault hit its process"
            elif row.outcome == "lost" and not (enders(e, row) or (spec.elsewhere and meanwhile(e, row))):
                yield id, f"attempt {row.number} is recorded as lost, and no fault hit its worker"


def surroundings(e: Evidence, told: list[tuple[str, JobRow]]) -> Found:
    """Each run finds its process as the first one did, whatever ran there before; and that process is a worker's own."""
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    looked = [(id, run) for id, _ in told for run in e.runs.get(id, []) if run.around]
    for _, run in looked:
        for name, value in run.around.items():
            found[name][repr(value)] += 1
    usual = {name: values.most_common(1)[0][0] for name, values in found.items()}
    for id, run in looked:
        for name, value in run.around.items():
            if repr(value) != usual[name] and not (name in _LIMITED and _narrowed(e, run)):
                yield id, f"attempt {run.attempt} found {name} {value!r} in process {run.pid}, usual is {usual[name]}"
    spans: dict[int, tuple[float, float]] = {}
    for run in chain.from_iterable(e.runs.values()):
        first, last = spans.get(run.pid, (run.began, run.began))
        spans[run.pid] = min(first, run.began), max(last, run.began)
    for id, _ in told:
        for run in e.runs.get(id, []):
            if run.parent in spans and spans[run.parent][0] <= run.began <= spans[run.parent][1]:
                yield id, f"attempt {run.attempt} began in process {run.pid}, a child of the pool process {run.parent}"


def explained(e: Evidence, id: str, job: JobRow | None, run: Run, row: AttemptRow | None) -> bool:
    """Why this run was not the last of its job: the campaign hit it, or its own handler saw to it."""
    spec = SPECS.get(job.kind if job else "")
    outcome = row.outcome if row else ""
    own = spec is not None and ((outcome == "timed out" and spec.timeout is not None) or (outcome == "crashed" and spec.dies))
    return own or (outcome == "cancelled" and id in e.cancels) or bool(culprits(e, run, row))


def _narrowed(e: Evidence, run: Run) -> bool:
    """This run's process was born while the campaign had limited its parent, and the limit was still in force."""
    return any(run.pid in fault.narrowed and fault.began <= run.began <= fault.healed + BLUR for fault in e.faults)


def _runs(e: Evidence, id: str, row: AttemptRow) -> list[Run]:
    return [run for run in e.runs.get(id, []) if run.attempt == row.number]


def _set(e: Evidence, id: str) -> bool:
    """Whether the database's clock was set while this job waited: its times are of that clock."""
    moves = e.moves[id]
    return bool(moves) and around(
        e, "clock", moves[0].at, next((m.at for m in moves if m.after in ("running", *FINAL)), moves[-1].at)
    )


def _moved(e: Evidence, id: str, state: str) -> float:
    return next((move.at for move in e.moves[id] if move.after == state), 0.0)


def _shown(have: list[str], wrote: list[str]) -> str:
    lacking = [text for text in wrote if text not in have]
    return f"{len(have)}" + (f", without {lacking[0]!r}" if lacking else f": {have[-3:]!r}" if have else "")
