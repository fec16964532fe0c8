"""What jobs with one key must have been to each other: never too many at once, in order, not too fast, one at most. Pure."""

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise

from furrow.prove.blame import BLUR, Found, around, culprits, row_of
from furrow.prove.evidence import Asked, Evidence, Run
from furrow.prove.spec import SPECS, Spec
from furrow.states import FINAL

#: The share of a rate's stretch by which two starts may seem nearer: handlers are seen a moment after they were started.
HASTE = 0.2

#: A run and its job.
Ran = tuple[str, Run]


def exclusive(e: Evidence) -> Found:
    """Of one key no more runs at once than its kind allows, but for the zombies that the campaign made."""
    for spec, key, ids in _by_key(e, lambda spec: spec.slots is not None or spec.ordered or spec.lined):
        slots = spec.slots or 1
        going: list[tuple[float, str]] = []
        for id, run in _runs(e, ids):
            while going and going[0][0] <= run.began + BLUR:
                heapq.heappop(going)
            hit = culprits(e, run, row_of(e, id, run)) or (
                spec.lined and around(e, "rabbitmq", run.began, run.ended or run.began)
            )
            if len(going) >= slots and not hit:
                yield id, f"it began while {slots} ran with the key {key}, job {going[0][1]} among them"
            if run.ended is not None and not hit:
                heapq.heappush(going, (run.ended, id))


def paced(e: Evidence) -> Found:
    """Of one key no more starts in any stretch of time than its rate allows."""
    for spec, key, ids in _by_key(e, lambda spec: spec.rate is not None):
        starts, stretch = spec.rate or (1, 0.0)
        runs = _runs(e, ids)
        for (_, first), (id, last) in zip(runs, runs[starts:], strict=False):
            near = last.began - first.began
            # A start that a crashed database has forgotten counted for nobody; nor one that ended early when the clock was set.
            forgotten = any(around(e, what, first.began - stretch, last.began) for what in ("postgres", "clock"))
            if near < stretch * (1 - HASTE) and not forgotten:
                yield id, f"it was start {starts + 1} of the key {key} within {near:.3f} s; {starts} are allowed in {stretch} s"


def in_order(e: Evidence) -> Found:
    """Of one key a job begins when those before it are over: in the order in which one submitter committed them."""
    for spec, key, ids in _by_key(e, lambda spec: spec.ordered or spec.lined):
        for before, id in pairwise(sorted(ids)):
            begun = next((move.at for move in e.moves[id] if move.after == "running"), None)
            over = next((move.at for move in e.moves[before] if move.after in FINAL), None)
            if begun is None or _submitter(e, before) != _submitter(e, id):
                continue
            if spec.lined and around(e, "rabbitmq", e.moves[before][0].at, begun):
                continue  # the order of a partition is that of its messages
            if over is None or begun < over - BLUR:
                yield id, f"it was claimed before job {before} with the key {key} was over"


def unique(e: Evidence) -> Found:
    """Of one unique key never two jobs that keep it; and who submits a second time is given the first."""
    for spec, key, ids in _by_key(e, lambda spec: spec.unique is not None):
        kept = sorted((e.moves[id][0].at, _free(e, id, spec), id) for id in ids if e.moves[id])
        for (_, free, first), (came, _, id) in pairwise(kept):
            timed = isinstance(spec.unique, float)  # ended early when the clock was set
            if came < free - BLUR and not (timed and around(e, "clock", e.moves[first][0].at, came)):
                yield id, f"it came while job {first} had the unique key {key}"
        for asked in e.asked.get(key, []):
            if asked.got not in ids:
                yield asked.got, f"a submit of the key {key} was given this job, which has another or no row"
    for key, asks in e.asked.items():
        yield from _replaced(e, key, asks)


def _replaced(e: Evidence, key: str, asks: list[Asked]) -> Found:
    """The arguments of the last submit that had been committed when a job began are those it was run with."""
    for asked in asks:
        job = e.jobs.get(asked.got)
        if job is None or not SPECS[job.kind].replaces:
            continue
        saw = [run.saw.get("n", 0) for run in e.runs.get(asked.got, []) if run.attempt == job.attempt]
        if saw and max(saw) < asked.n:
            yield asked.got, f"it ran with the arguments {max(saw)} of the key {key}, which {asked.n} had replaced"


def _free(e: Evidence, id: str, spec: Spec) -> float:
    """When this job's unique key was free again."""
    moves = e.moves[id]
    if isinstance(spec.unique, float):  # from the submit on: its INSERT may have waited
        return min(moves[0].at, _born(id)) + spec.unique - BLUR
    ends = {"running", *FINAL} if spec.unique == "started" else FINAL
    return next((move.at for move in moves if move.after in ends), float("inf"))


def _born(id: str) -> float:
    """When this id was made: in seconds since the epoch, by UUIDv7."""
    try:
        return int(id[:12], 16) / 1000
    except ValueError:
        return float("inf")


def _by_key(e: Evidence, chosen: Callable[[Spec], bool]) -> Iterator[tuple[Spec, str, list[str]]]:
    keys: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for id, job in e.jobs.items():
        if job.kind in SPECS and chosen(SPECS[job.kind]) and id in e.wanted:
            keys[job.kind, f"{job.kind}:{e.wanted[id].arguments[0].get('key')}"].append(id)
    for (kind, key), ids in keys.items():
        yield SPECS[kind], key, ids


def _runs(e: Evidence, ids: list[str]) -> list[Ran]:
    return sorted(((id, run) for id in ids for run in e.runs.get(id, [])), key=lambda ran: ran[1].began)


def _submitter(e: Evidence, id: str) -> str:
    return e.wanted[id].by
