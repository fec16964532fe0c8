"""The order of a key survives its worker, the dispatcher and RabbitMQ."""

import os
import random
import signal
from pathlib import Path

import pytest
from furrow import Attempt, Job, State, submit_many
from furrow.models import Worker

from tests import kinds, services
from tests.integration.test_partitions import ENVIRON, active, orders, read
from tests.stack import Stack, all_ended, wait_until

__all__ = ["orders"]

KEYS, EACH = 24, 30


@pytest.mark.thorough
@pytest.mark.engine
@pytest.mark.usefixtures("orders")
@pytest.mark.timeout(500)
def test_the_order_of_each_key_is_kept_whatever_is_killed_or_frozen(bare: Stack, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    dispatcher = bare.dispatcher(**ENVIRON)
    workers = {name: bare.worker(name, processes=2, **ENVIRON) for name in ("one", "two", "three")}
    rows = [
        {"key": f"k{n % KEYS}", "n": n // KEYS, "mark": str(mark), "seconds": random.choice((0.0, 0.02, 0.1))}
        for n in range(KEYS * EACH)
    ]
    ids = submit_many(kinds.keyed, rows, queue="orders", max_attempts=9)

    def ended(number: int) -> bool:
        return Job.objects.filter(state=State.SUCCEEDED).count() >= number

    wait_until(lambda: ended(100), seconds=100)
    victim = next(iter(active().values())).partition("@")[0]
    life = Worker.objects.filter(node=f"{victim}@test").latest("started_at")
    workers.pop(victim).kill()
    wait_until(lambda: ended(250), seconds=100)
    dispatcher.kill()
    bare.dispatcher("second", **ENVIRON)
    wait_until(lambda: ended(350), seconds=100)
    services.broker.kill()
    services.broker.start()
    wait_until(lambda: ended(450), seconds=100)
    wait_until(active, what="RabbitMQ has its consumers again: the jobs may have been in the workers' hands")
    node = next(iter(active().values()))
    frozen = workers[node.partition("@")[0]]
    if not services.ON_SQLITE:  # whoever is frozen with its write lock in hand stops everybody
        os.killpg(frozen.popen.pid, signal.SIGSTOP)
        wait_until(lambda: Worker.objects.filter(node=node, lost=True).exists())
        os.killpg(frozen.popen.pid, signal.SIGCONT)
    all_ended()
    assert Job.objects.filter(pk__in=ids, state=State.SUCCEEDED).count() == len(ids)
    wait_until(lambda: Worker.objects.get(pk=life.pk).lost, what="the killed worker is lost, also if it ran nothing just then")
    # What a frozen process still does when it wakes is stale: the database has taken its jobs from it.
    lives = Worker.objects.filter(node=node).values("pk")
    stale = Attempt.objects.filter(outcome="lost", worker__in=lives).values_list("job", "number")
    history = read(mark, but={(str(id), str(number)) for id, number in stale})
    assert len(history) == KEYS
    check(history)


def check(history: dict[str, list[tuple[str, int]]]) -> None:
    """Of each key: when a job began, all earlier ones had ended, and no later one had begun.

    A run that was cut off says nothing any more, so a job may begin more often than it ends.
    """
    assert history
    for key, events in history.items():
        last = -1
        for what, n in events:
            assert n in (last, last + 1), f"{key}: {n} {what} after {last}"
            if n > last:
                assert what == "began", f"{key}: {n} {what} without a begin"
                assert last < 0 or ("ended", last) in events[: events.index((what, n))], f"{key}: {n} began before {last} ended"
                last = n


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        ([("began", 0), ("began", 1), ("ended", 0)], "1 began before 0 ended"),
        ([("began", 0), ("ended", 0), ("began", 2)], "2 began after 0"),
        ([("began", 0), ("ended", 0), ("began", 1), ("began", 0)], None),
        ([("began", 0), ("ended", 0), ("began", 1), ("ended", 1), ("began", 2), ("began", 0)], "0 began after 2"),
        ([("began", 0), ("failed", 0), ("began", 1)], "1 began before 0 ended"),
    ],
)
def test_the_checker_finds_what_is_out_of_order(broken: list[tuple[str, int]], fault: str | None) -> None:
    if fault is None:  # a job that began again when the next one had
        fault = "0 began after 1"
    with pytest.raises(AssertionError, match=fault):
        check({"k": broken})


@pytest.mark.thorough
@pytest.mark.engine
def test_the_same_jobs_in_a_plain_queue_are_found_out_of_order(bare: Stack, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    bare.dispatcher()
    bare.worker(processes=4)
    submit_many(kinds.keyed, [{"key": "k", "n": n, "mark": str(mark), "seconds": 0.02} for n in range(100)])
    all_ended()
    with pytest.raises(AssertionError):
        check(read(mark))
