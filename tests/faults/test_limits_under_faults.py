"""Processes are killed and Redis loses its memory while keys are held: nothing overlaps, and nothing waits for ever."""

from pathlib import Path

import pytest
import redis
from django.conf import settings
from furrow import Attempt, Job, State, submit_many
from furrow.models import Hold

from tests import kinds
from tests.history import Broken, at_most, in_order, never_together, read
from tests.stack import Stack, all_ended, wait_until

pytestmark = pytest.mark.engine


def cut_off() -> frozenset[tuple[str, int]]:
    """Runs that ended with their process."""
    runs = Attempt.objects.filter(outcome__in=["lost", "crashed", "interrupted"]).values_list("job", "number")
    return frozenset((str(job), number) for job, number in runs)


@pytest.mark.thorough
def test_kills_and_an_empty_redis_while_keys_are_held(bare: Stack, tmp_path: Path) -> None:
    path = str(tmp_path / "history")
    first, worker = bare.dispatcher("first"), bare.worker("one")
    bare.dispatcher("second")
    bare.worker("two")
    ids = [
        *submit_many(kinds.locked, [{"account": n % 3, "path": path, "seconds": 0.15} for n in range(60)]),
        *submit_many(kinds.crowded, [{"tenant": "t", "path": path, "seconds": 0.15} for n in range(60)]),
        *submit_many(kinds.in_order, [{"customer": n % 5, "n": n, "path": path} for n in range(60)]),
    ]

    def done(number: int) -> None:
        wait_until(lambda: Job.objects.filter(state=State.SUCCEEDED).count() >= number, what=f"{number} ended")

    done(20)
    worker.kill()
    bare.expire(worker)
    redis.Redis.from_url(settings.FURROW["REDIS_URL"]).flushall()
    bare.worker("three")
    done(60)
    first.kill()
    bare.expire(first)
    done(100)
    bare.processes[3].children()[0].kill()
    all_ended()
    assert Job.objects.filter(pk__in=ids, state=State.SUCCEEDED).count() == len(ids)
    history, died = read(path), cut_off()
    never_together(history, "account:", died)
    assert at_most(history, "tenant:", died) <= 5
    in_order([event for event in history if (event.job, event.attempt) not in died], "customer:")
    wait_until(lambda: not Hold.objects.exists(), what="all slots were given back")
    assert not Job.objects.exclude(held="").exists()


@pytest.mark.thorough
def test_the_judge_finds_out_jobs_without_limits(bare: Stack, tmp_path: Path) -> None:
    """The same handlers, submitted without their kinds' rules."""
    path = str(tmp_path / "history")
    bare.dispatcher()
    bare.worker("one", processes=3)
    submit_many(kinds.locked, [{"account": 1, "path": path, "seconds": 0.2} for _ in range(9)], lock=None)
    submit_many(kinds.in_order, [{"customer": 1, "n": n, "path": path, "fails": n % 2} for n in range(6)], ordered=None)
    all_ended()
    history = read(path)
    with pytest.raises(Broken):
        never_together(history, "account:")
    with pytest.raises(Broken):
        in_order(history, "customer:")
