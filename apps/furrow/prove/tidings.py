"""Events: what is told of jobs and of transactions, outside, to subscribers and to webhooks, must be what happened. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from furrow.plural import counted
from furrow.prove.blame import Found, around, emptied
from furrow.prove.evidence import Evidence, Move
from furrow.prove.overheard import EventRow
from furrow.prove.spec import LOUD, QUIET
from furrow.states import FINAL

#: Seconds that an event may wait for whoever hears of it, before a fault that takes it; and after one that a crashed database
#: may still have forgotten what it tells.
WAITED, FORGOT = 120.0, 10.0
#: Faults in which PostgreSQL may end without having written all to its disk.
CRASHES = frozenset({"kill_postgres", "power_loss", "fill_disk_of_postgres"})
#: Seconds by which the campaign sets the database's clock, at most.
STEP = 60.0
#: How a run is told that another one follows.
_BACK = frozenset({"retried", "snoozed", "interrupted", "rescued"})
#: How a queued job that is pending again may be told: only if its time was put off.
_PUT_OFF = frozenset({"snoozed"})


def moved(e: Evidence) -> Found:
    """Each move of a job has its event, by number and without gaps; each event arrives, a job's in their order."""
    words: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for row in e.events.values():
        if row.job:
            words[row.job].append((row.number or 0, row.name.rpartition(".")[2]))
    for id, job in e.jobs.items():
        if job.kind in e.told:
            told = sorted(words[id])
            if [number for number, _ in told] != list(range(1, len(told) + 1)):
                yield id, f"its events have the numbers {[number for number, _ in told]}"
            if not _tell([word for _, word in told], e.moves[id]):
                yield id, f"its events are {', '.join(word for _, word in told) or 'none'}, and it moved otherwise"
    yield from _arrived(e)
    reached: defaultdict[str, int] = defaultdict(int)
    known: set[int] = set()
    for heard in e.heard:
        if heard.job and heard.number is not None and heard.id not in known:
            if heard.number < reached[heard.job] and not _crashed(e, heard.at):
                yield heard.job, f"its event {heard.number} arrived for the first time after its event {reached[heard.job]}"
            reached[heard.job] = max(reached[heard.job], heard.number)
        known.add(heard.id)


def committed(e: Evidence) -> Found:
    """An event is told after the commit of what it tells: it is readable then. Of what is rolled back there is none; of what is
    committed there is."""
    told = set(e.tokens) | {heard.token for heard in e.heard if heard.token}
    for submit in e.submits:
        for token in submit.mute + (submit.events if submit.outcome == "rolled back" else []):
            if token in told:
                yield None, f"event {token} was published in what was rolled back ({submit.way}), and is told"
        there = submit.outcome == "committed" or any(id in e.jobs for id in submit.ids)
        for token in submit.events if submit.outcome != "rolled back" else ():
            if (token in e.tokens) != there:
                job = submit.ids[0] if submit.ids else None
                yield job, f"event {token} of its transaction ({submit.way}) is {'not ' if there else ''}there"
    for token in e.tokens.keys() - {token for submit in e.submits for token in submit.events}:
        yield None, f"event {token} is there, and nobody had committed it"
    for heard in e.heard:
        if _crashed(e, heard.at):
            continue
        row = e.events.get(heard.id)
        if row is None or (row.name, row.job, row.number) != (heard.name, heard.job, heard.number):
            yield heard.job or None, f"{heard.name} was heard as event {heard.id}, and the database has no such event"
        elif heard.readable is False:
            yield heard.job or None, f"{heard.name} (event {heard.id}) was heard before what it tells could be read"


def subscribed(e: Evidence) -> Found:
    """Of each event that a subscriber wants there is one job, which ends."""
    for id, row in _said(e, LOUD, QUIET):
        jobs = e.hearers.get(id, [])
        if not jobs and not _gone(e, row):
            yield None, f"event {id} ({row.name}) is no job of its subscriber"
        yield from _one(e, id, row, jobs)
    for id in e.hearers.keys() - e.events.keys():
        yield e.hearers[id][0], f"it is of event {id}, which is not there"


def delivered(e: Evidence) -> Found:
    """Each event that a webhook wants arrives there, signed, under one id, and has one delivery, which succeeds."""
    for id, row in _said(e, LOUD):
        jobs, posts = e.deliveries.get(id, []), e.posted.get(id, [])
        if not jobs:
            yield None, f"event {id} ({row.name}) has no delivery"
        yield from _one(e, id, row, jobs)
        for job in jobs:
            if e.jobs[job].state != "succeeded":
                yield job, f"the delivery of event {id} is {e.jobs[job].state}"
        if not any(post.answer in ("well", "slow") for post in posts):
            yield None, f"event {id} ({row.name}) did not arrive at its webhook"
    for id, posts in e.posted.items():
        for post in posts:
            if post.id != f"evt_{id}" or id not in e.events:
                yield None, f"a webhook was sent event {id} under the id {post.id}"
            if not post.good:
                yield None, f"a webhook was sent event {id} with a wrong signature"


def _one(e: Evidence, event: int, row: EventRow, jobs: Sequence[str]) -> Found:
    for job in jobs[1:]:
        yield job, f"event {event} ({row.name}) is {counted(len(jobs), 'job')}"
    for job in jobs:
        if e.jobs[job].state not in FINAL:
            yield job, f"it has not ended: it is {e.jobs[job].state}"


def _arrived(e: Evidence) -> Found:
    heard = {one.id for one in e.heard}
    for id, row in e.events.items():
        if row.published is None:
            yield row.job or None, f"event {id} ({row.name}) was not published"
        elif id not in heard and not _gone(e, row):
            yield row.job or None, f"event {id} ({row.name}, number {row.number}) was published, and did not arrive"


def _said(e: Evidence, *names: str) -> Iterable[tuple[int, EventRow]]:
    return ((id, row) for id, row in e.events.items() if row.name in names)


def _tell(words: list[str], moves: Sequence[Move]) -> bool:
    """Whether these words tell these moves. Beside them there may be progress, and what was put off while it waited."""
    left = [word for word in words if word != "progress"]
    for move in moves:
        expected = _words(move)
        while left and left[0] == "snoozed" and "snoozed" not in expected:
            left.pop(0)
        if left and left[0] in expected:
            left.pop(0)
        elif expected and expected != _PUT_OFF:
            return False
    return all(word == "snoozed" for word in left)


def _words(move: Move) -> frozenset[str]:
    """What this move may be called; none: it is not told."""
    if move.before is None:
        return frozenset({"submitted"})
    if move.after is None or move.after == move.before:
        return frozenset()
    if move.after == "running":
        return frozenset({"began"})
    if move.after == "queued" or move.after in FINAL:
        return frozenset({move.after})
    if move.after == "pending" and move.before == "running":
        return _BACK
    return _PUT_OFF if move.before == "queued" else frozenset()


def _gone(e: Evidence, row: EventRow) -> bool:
    """Whether it may have been in RabbitMQ when that lost its data. It was published by the database's clock."""
    at = row.published or 0.0
    blur = STEP if around(e, "clock", at - STEP, at + STEP) else 0.0
    return emptied(e, at - blur, at + WAITED + blur)


def _crashed(e: Evidence, at: float) -> bool:
    """Whether a database that crashed may have forgotten what was heard then: claims do not wait for the disk."""
    return any(
        fault.kind in CRASHES and fault.began - FORGOT <= at <= (fault.recovered or fault.healed) + WAITED for fault in e.faults
    )
