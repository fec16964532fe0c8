"""No job waits behind a long one while a process is free somewhere."""

from collections import Counter
from pathlib import Path

import pytest
from furrow import Job, State, submit, submit_many

from tests import kinds
from tests.stack import Stack, wait_until

pytestmark = pytest.mark.engine


def test_short_jobs_do_not_wait_behind_a_long_one_while_another_worker_is_free(bare: Stack) -> None:
    bare.dispatcher()
    bare.worker("one", processes=1)
    bare.worker("two", processes=1)
    long = submit(kinds.sleeps, {"seconds": 170})
    wait_until(lambda: Job.objects.get(pk=long.pk).state == State.RUNNING)
    short = submit_many(kinds.noop, [{"n": n} for n in range(300)])
    wait_until(lambda: Job.objects.filter(pk__in=short, state=State.SUCCEEDED).count() == 300)
    assert Job.objects.get(pk=long.pk).state == State.RUNNING


def test_a_worker_that_was_busy_consumes_again(bare: Stack, tmp_path: Path) -> None:
    bare.dispatcher()
    bare.worker(processes=1)
    long = submit(kinds.sleeps, {"seconds": 2, "until": str(goes_on := tmp_path / "goes on")})
    wait_until(lambda: Job.objects.get(pk=long.pk).state == State.RUNNING)
    short = submit_many(kinds.noop, [{"n": n} for n in range(50)])
    goes_on.touch()
    wait_until(lambda: Job.objects.filter(pk__in=short, state=State.SUCCEEDED).count() == 50)
    assert Job.objects.get(pk=long.pk).state == State.SUCCEEDED
    assert not Job.objects.filter(pk__in=short, excused__gt=1).exists()


def test_jobs_claimed_ahead_of_one_that_turns_out_long_go_to_another_process(bare: Stack) -> None:
    bare.dispatcher()
    bare.worker(processes=2)
    # The kind is known to be short; then one run is not.
    submit_many(kinds.sleeps, [{"seconds": 0} for _ in range(200)])
    wait_until(lambda: Job.objects.filter(state=State.SUCCEEDED).count() == 200)
    ids = submit_many(kinds.sleeps, [{"seconds": 170 if n == 5 else 0} for n in range(300)])
    wait_until(lambda: Job.objects.filter(pk__in=ids, state=State.SUCCEEDED).count() == 299)
    assert Job.objects.get(pk=ids[5]).state == State.RUNNING


@pytest.mark.thorough
def test_a_worker_that_joins_gets_its_share_of_what_the_first_has_not_begun(bare: Stack, tmp_path: Path) -> None:
    bare.dispatcher()
    bare.worker("one", processes=1)
    joined = tmp_path / "joined"
    ids = submit_many(kinds.sleeps, [{"seconds": 0.05} for _ in range(60)])
    wait_until(lambda: Job.objects.filter(pk__in=ids, state=State.SUCCEEDED).count() >= 20)
    ids += submit_many(kinds.sleeps, [{"seconds": 0.05, "until": str(joined)} for _ in range(240)])
    bare.worker("two", processes=1)
    joined.touch()
    wait_until(lambda: Job.objects.filter(pk__in=ids, state=State.SUCCEEDED).count() == 300)
    shares = Counter(Job.objects.filter(pk__in=ids).values_list("worker", flat=True))
    assert len(shares) == 2
    assert min(shares.values()) >= 30
