"""Ordinary Celery tasks, watched in a real worker and in who calls them."""

from collections.abc import Iterator

import pytest
from furrow import Job
from furrow.models import WatchedCall, WatchedTask
from furrow.watch import listening
from furrow.watch.recorder import recorder

from tests import kinds
from tests.stack import Stack, wait_until

NAME = "tests.kinds.ordinary"


@pytest.fixture
def watching(bare: Stack) -> Iterator[Stack]:
    """This process and a worker watch."""
    listening.listen()
    yield bare
    listening.stop()
    bare.stop()
    recorder.flush()
    WatchedCall.objects.all().delete()
    WatchedTask.objects.all().delete()


def test_what_is_published_here_and_run_in_a_worker_is_one_row_and_runs_as_ever(watching: Stack) -> None:
    watching.worker(FURROW_ADOPT="watch")
    sent = [kinds.ordinary.delay(number) for number in range(20)]
    recorder.flush()
    assert [result.get(timeout=60) for result in sent] == [2 * number for number in range(20)]
    wait_until(lambda: WatchedTask.objects.filter(name=NAME, succeeded=20).exists(), what="the worker's sightings")
    task = WatchedTask.objects.get(name=NAME)
    assert (task.published, task.began, task.failed, task.waited) == (20, 20, 0, 20)
    assert task.longest_run > 0
    rows = WatchedCall.objects.filter(task=NAME, runs=1, outcome="SUCCESS", worker="worker@test", published_at__isnull=False)
    assert {row.key for row in rows} == {f"{result.id}:0" for result in sent}
    assert not Job.objects.exists()
