"""The SQL of keys that are handed over: who stands in the line, who has the slot, and what becomes of both."""

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from furrow import statements
from furrow.limits.limit import Limit
from furrow.models import Hold, Job, Queue
from furrow.statements import Claimed, Group, HandOver, Settlement
from furrow.states import Outcome, State

from tests.integration.test_holds import LOCK, _database, admit, end, held, limited, run
from tests.rows import WORKER

pytestmark = pytest.mark.engine
__all__ = ["_database"]

TO = HandOver(keys=10, jobs=3, queues=["default"], kinds=["kinds.add"])


def settle(*ends: Settlement, to: HandOver | None = TO) -> list[Claimed]:
    """Settled in one group commit; returns to whom keys were handed over."""
    group = Group(settlements=ends, limited=[end.id for end in ends], hand_over=to)
    claimed: list[Claimed] = statements.on(connection).write(connection, WORKER, group).claimed
    return claimed


def over(job: Job, state: State = State.SUCCEEDED, outcome: Outcome = Outcome.SUCCEEDED, **fields: Any) -> Settlement:
    """The end of its run."""
    job.refresh_from_db()
    return Settlement(str(job.pk), job.attempt, state, outcome, **fields)


def of(claimed: Sequence[Claimed]) -> list[str]:
    """Their ids."""
    return [job.id for job in claimed]


def ids(*jobs: Job) -> list[str]:
    """The same of rows."""
    return [str(job.pk) for job in jobs]


def holder() -> Job:
    """Who has the only slot."""
    return Job.objects.get(pk=Hold.objects.get().job or "")


def first_of(*jobs: Job) -> Job:
    """The first of these runs; the others wait for its key."""
    assert admit() == [jobs[0]]
    return run(jobs[0])


def test_the_next_ones_stand_in_line_and_the_slot_goes_along_it() -> None:
    jobs = [limited(LOCK) for _ in range(6)]
    first_of(*jobs)
    line = settle(over(jobs[0]))
    assert of(line) == ids(*jobs[1:4])
    assert [(job.kind, job.attempt, job.limited, job.line) for job in line] == [("kinds.add", 1, 1, LOCK.key)] * 3
    assert set(Job.objects.filter(state=State.RUNNING, worker=WORKER).values_list("pk", flat=True)) == {j.pk for j in jobs[1:4]}
    assert holder() == jobs[1]
    assert not settle(over(jobs[1]), over(jobs[2]))  # in the middle of the line nobody else gets the key
    assert holder() == jobs[3]
    assert of(settle(over(jobs[3]))) == ids(*jobs[4:])
    assert not settle(over(jobs[4]), over(jobs[5]))
    assert not Hold.objects.exists()
    assert not held()


def test_a_line_that_is_settled_at_once_frees_the_key() -> None:
    jobs = [limited(LOCK) for _ in range(5)]
    first_of(*jobs)
    settle(over(jobs[0]))
    settle(*map(over, jobs[1:4]), to=None)
    assert not Hold.objects.exists()
    assert admit() == [jobs[4]]


def test_best_priority_first_then_the_longest_due() -> None:
    now = timezone.now()
    late, early = (limited(LOCK, run_at=now - dt.timedelta(seconds=s)) for s in (1, 9))
    urgent = limited(LOCK, priority=1)
    running = limited(LOCK, priority=0)
    later = limited(LOCK, priority=0, run_at=now + dt.timedelta(hours=1))
    first_of(running)
    assert of(settle(over(running))) == ids(urgent, early, late)
    assert held() == {early.pk: LOCK.key, late.pk: LOCK.key}
    later.refresh_from_db()
    assert later.state == State.PENDING


@pytest.mark.parametrize(
    "columns",
    [
        {"kind": "kinds.unknown"},
        {"queue": "other"},
        {"expires_at": dt.datetime(2020, 1, 1, tzinfo=dt.UTC)},
        {"limits": [LOCK.as_json(), Limit("limit:more", 5).as_json()]},
        {"limits": [LOCK._replace(conflict="cancel").as_json()]},
    ],
    ids=["another worker's kind", "another worker's queue", "expired", "one more limit", "would replace others"],
)
def test_who_is_not_for_this_worker_ends_the_line(columns: dict[str, Any]) -> None:
    jobs = [limited(LOCK) for _ in range(4)]
    first_of(*jobs)
    Job.objects.filter(pk=jobs[2].pk).update(**columns)
    assert of(settle(over(jobs[0]))) == ids(jobs[1])
    assert not settle(over(jobs[1]))
    assert not Hold.objects.exists()
    assert held() == {jobs[3].pk: LOCK.key}  # the one before is the dispatcher's


def test_a_paused_queue_gets_no_line() -> None:
    jobs = [limited(LOCK) for _ in range(2)]
    first_of(*jobs)
    Queue.objects.update_or_create(name="default", defaults={"paused_at": timezone.now()})
    assert not settle(over(jobs[0]))
    assert not held()


@pytest.mark.parametrize(
    "limit", [Limit("limit:a", 2), Limit("rate:a", 1, period=60.0), Limit("order:a", ordered=True)], ids=str
)
def test_only_locks_are_handed_over(limit: Limit) -> None:
    jobs = [limited(limit) for _ in range(4)]
    sent = admit()
    assert sent[0] == jobs[0]
    assert not settle(over(run(jobs[0])))


def test_not_more_keys_than_there_is_room_for() -> None:
    jobs = {key: [limited(Limit(f"lock:{key}")) for _ in range(2)] for key in "abc"}
    for job in admit():
        run(job)
    line = settle(*(over(pair[0]) for pair in jobs.values()), to=TO._replace(keys=2, jobs=1))
    assert len(line) == 2
    assert Hold.objects.count() == 2
    assert len(admit()) == 1  # the third one's next job is the dispatcher's


def test_who_wanted_the_key_meanwhile_and_got_it_keeps_it() -> None:
    first, second = (limited(LOCK) for _ in range(2))
    first_of(first, second)
    statements.on(connection).settle(connection, [over(first)])  # as a transactional handler does
    newer = limited(LOCK, priority=0)
    Job.objects.filter(pk=second.pk).update(held=LOCK.key)
    assert admit() == [newer]
    group = Group(settlements=[over(first)], limited=ids(first), hand_over=TO)
    assert not statements.on(connection).write(connection, WORKER, group).claimed
    assert holder() == newer


GONE: list[Callable[[Job], None]] = [
    lambda job: end(job, State.PENDING, Outcome.INTERRUPTED),
    lambda job: statements.on(connection).release_jobs(connection, WORKER, ids(job)),
]


@pytest.mark.parametrize("goes_back", GONE, ids=["handed back", "released"])
@pytest.mark.parametrize("place", [1, 2], ids=["with the slot", "in line"])
def test_who_goes_back_waits_again_and_the_line_goes_on(goes_back: Callable[[Job], None], place: int) -> None:
    jobs = [limited(LOCK) for _ in range(3)]
    first_of(*jobs)
    settle(over(jobs[0]))
    jobs[place].refresh_from_db()
    goes_back(jobs[place])
    other = jobs[3 - place]
    assert admit() == []
    assert not settle(over(other), to=None) or place == 1
    assert admit() == [jobs[place]]
    assert Hold.objects.get().job == jobs[place].pk


def test_a_whole_line_that_goes_back_lets_one_go() -> None:
    jobs = [limited(LOCK) for _ in range(4)]
    first_of(*jobs)
    settle(over(jobs[0]))
    settle(*(over(job, State.PENDING, Outcome.INTERRUPTED) for job in jobs[1:4]), to=None)
    (sent,) = admit()
    assert sent in jobs[1:4]
    assert [job for job in jobs if run(job).state == State.RUNNING] == [sent]


def test_one_that_is_tried_again_leaves_the_line() -> None:
    jobs = [limited(LOCK) for _ in range(3)]
    first_of(*jobs)
    settle(over(jobs[0]))
    settle(over(jobs[2], State.PENDING, Outcome.FAILED, delay=0.0))
    assert not held()  # by no key: it asks for its slot when it is due
    assert admit() == []
    assert held() == {jobs[2].pk: LOCK.key}
    assert of(settle(over(jobs[1]))) == ids(jobs[2])
