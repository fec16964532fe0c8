"""Lines of jobs to which a lock's key is handed over, while processes are killed: nothing overlaps, nothing is lost."""

from functools import partial
from pathlib import Path

import pytest
from furrow import Attempt, Job, State, submit, submit_many
from furrow.models import Hold

from tests import kinds
from tests.faults.test_limits_under_faults import cut_off
from tests.history import never_together, read
from tests.stack import Stack, all_ended, wait_until

pytestmark = pytest.mark.engine


def succeeded() -> int:
    """How many so far."""
    return Job.objects.filter(state=State.SUCCEEDED).count()


def handed_over() -> int:
    """Jobs that began without a message: nobody ever queued them."""
    return Job.objects.filter(state=State.SUCCEEDED, queued_at=None).count()


def test_pool_processes_and_a_worker_are_killed_in_the_middle_of_lines(bare: Stack, tmp_path: Path) -> None:
    path = str(tmp_path / "history")
    bare.dispatcher()
    worker = bare.worker("one")
    ids = submit_many(kinds.locked, [{"account": n % 2, "path": path, "seconds": 0.005} for n in range(800)])
    for number in (100, 200, 300):
        wait_until(partial(lambda enough: succeeded() >= enough, number), what=f"{number} ended")
        worker.children()[0].kill()
    wait_until(lambda: succeeded() >= 400, what="400 ended")
    worker.kill()
    bare.expire(worker)
    bare.worker("two")
    all_ended()
    assert Job.objects.filter(pk__in=ids, state=State.SUCCEEDED).count() == len(ids)
    assert handed_over() > 100
    never_together(read(path), "account:", cut_off())
    wait_until(lambda: not Hold.objects.exists(), what="all slots were given back")
    assert not Job.objects.exclude(held="").exists()


@pytest.mark.thorough
def test_the_rest_of_a_line_that_takes_longer_than_thought_goes_back(bare: Stack, tmp_path: Path) -> None:
    path = str(tmp_path / "history")
    bare.dispatcher()
    bare.worker("one")
    submit_many(kinds.locked, [{"account": 1, "path": path, "seconds": 0.001} for _ in range(100)])
    wait_until(lambda: succeeded() >= 50, what="it knows how long they take")
    slow = submit(kinds.locked, {"account": 1, "path": path, "seconds": 2.0}, priority=1)
    submit_many(kinds.locked, [{"account": 1, "path": path, "seconds": 0.001} for _ in range(50)])
    all_ended()
    assert set(Job.objects.values_list("state", flat=True)) == {State.SUCCEEDED}
    assert Job.objects.get(pk=slow.pk).attempt == 1
    never_together(read(path), "account:", cut_off())
    counted = [job for job in Job.objects.all() if job.counted_attempts != 1]
    assert not counted  # who went back was not counted


@pytest.mark.thorough
def test_a_worker_that_is_stopped_leaves_its_lines(bare: Stack, tmp_path: Path) -> None:
    path = str(tmp_path / "history")
    bare.dispatcher()
    worker = bare.worker("one")
    submit_many(kinds.locked, [{"account": n % 2, "path": path, "seconds": 0.01} for n in range(300)])
    wait_until(lambda: succeeded() >= 60, what="60 ended")
    worker.stop()
    bare.worker("two")
    all_ended()
    counted = [job.pk for job in Job.objects.all() if (job.state, job.counted_attempts) != (State.SUCCEEDED, 1)]
    assert list(Attempt.objects.filter(job__in=counted).values_list("job", "number", "outcome", "error", "pid")) == []
    never_together(read(path), "account:", cut_off())
