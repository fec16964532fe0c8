"""What jobs with steps must have done: each recorded step once, with one result in all runs. Pure."""

from collections import defaultdict
from typing import Any

from furrow.plural import counted
from furrow.prove.blame import Found
from furrow.prove.evidence import Evidence, Run

#: Attempt, value, time.
Entry = tuple[int, Any, float]
KIND = "prove.steps"


def resumed(e: Evidence) -> Found:
    """What a step has given once it gives in every run, and its function is not called after that; a signal's payload is what
    was sent; what it called was submitted once."""
    given = [wanted.arguments[-1] for wanted in e.wanted.values()]
    sent = {arguments["to"]: arguments["token"] for arguments in given if "to" in arguments}
    for id, job in e.jobs.items():
        if job.kind != KIND:
            continue
        gave, did = (_by_step(e.runs.get(id, []), wanted) for wanted in ("got", "step"))
        for name, gets in gave.items():
            yield from _one(id, name, gets, did.get(name, []))
        if "said" in gave and gave["said"][0][1] != sent.get(id, gave["said"][0][1]):
            yield id, f"the signal had {gave['said'][0][1]!r}, and sent was {sent[id]!r}"
        written = len(e.writes.get(id, []))
        if "written" in gave and written != 1:
            yield id, f"what its transactional step wrote is there {counted(written, 'time')}"
        if job.state == "succeeded" and (left := e.waits.get(id)):
            yield id, f"it has succeeded, and waits in the step {left}"
    called = {workflow for _, workflow in e.calls}
    for workflow in e.graphs.workflows:
        kinds = {e.graphs.nodes[node].name for node in e.graphs.nodes if e.graphs.nodes[node].workflow == workflow}
        if kinds == {"noop"} and workflow not in called:
            yield None, f"the workflow {workflow} of a call is in no step: it was submitted twice"


def _one(id: str, name: str, gets: list[Entry], calls: list[Entry]) -> Found:
    """A step of a job. A run that was taken for dead, and goes on, may call the function: nobody hears of that."""
    recorded, value, since = gets[0]
    if other := next((other for _, other, _ in gets if other != value), None):
        yield id, f"the step {name} gave {value!r}, and later {other!r}"
    if calls and value not in [token for _, token, _ in calls]:
        yield id, f"the step {name} gave {value!r}, which its function has never returned"
    for attempt, _, at in calls:
        if at > since and attempt >= recorded:
            yield id, f"the function of the step {name} was called in attempt {attempt}, and its result was there"


def _by_step(runs: list[Run], wanted: str) -> dict[str, list[Entry]]:
    """Attempt, value and time of what runs wrote down, by step, in the order of time."""
    found: defaultdict[str, list[Entry]] = defaultdict(list)
    for run in runs:
        for did, name, value, at in run.steps:
            if did == wanted:
                found[name].append((run.attempt, value, at))
    for entries in found.values():
        entries.sort(key=lambda entry: entry[2])
    return found
