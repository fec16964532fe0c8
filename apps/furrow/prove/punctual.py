"""The judgement of schedules: each of their times has one job, whatever dispatchers, clocks and servers went through."""

from collections import Counter

from furrow.plural import counted
from furrow.prove.blame import Found
from furrow.prove.evidence import Evidence
from furrow.prove.ticked import KIND, SPANS
from furrow.states import FINAL


def once(e: Evidence) -> Found:
    """Each time of a schedule has one tick, each tick one job, which ends, and no job of a schedule has none."""
    for job, many in Counter(e.ticked.jobs).items():
        if many > 1:
            yield job, f"it is the job of {counted(many, 'tick')}"
        if job not in e.jobs:
            yield job, "its tick was written, and there is no row"
        elif e.jobs[job].state not in FINAL:
            yield job, f"it has not ended: it is {e.jobs[job].state}"
    for job in [id for id, row in e.jobs.items() if row.kind == KIND and id not in {*e.ticked.jobs}]:
        yield job, "a schedule submitted it, and no tick has it: its time has another job"
    for name, why in e.ticked.held.items():
        yield None, f"the schedule {name} is held: {why}"
    for name, ticks in e.ticked.ticks.items():
        times = Counter(round(tick.due) for tick in ticks)
        for time, many in times.items():
            if many > 1:
                yield None, f"the schedule {name} has {counted(many, 'tick')} for the time {time}"
        missed = [tick.due for tick in ticks if tick.job is None]
        if missed:
            yield None, f"the schedule {name} has ticks without a job, the first for the time {missed[0]}"
        span = SPANS.get(name, 0)
        left = [time for time in range(min(times), max(times), span) if time not in times] if times and span else []
        if left:
            yield None, f"the schedule {name} left out {len(left)} of its times, the first is {left[0]}"
