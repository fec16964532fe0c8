"""What limits promise, with real dispatchers and workers: see docs/limits.md."""

import uuid
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import pytest
from furrow import Job, State, submit, submit_many
from furrow.models import Hold

from tests import kinds
from tests.history import Event, at_most, in_order, never_together, read
from tests.stack import Stack, all_ended, wait_until
from tests.thorough import first_of

pytestmark = pytest.mark.engine


def succeeded(ids: Collection[uuid.UUID]) -> bool:
    return Job.objects.filter(pk__in=ids, state=State.SUCCEEDED).count() == len(ids)


@pytest.mark.dialect
def test_locks_limits_rates_and_order_hold_over_three_workers(bare: Stack, tmp_path: Path) -> None:
    bare.dispatcher()
    for name in ("one", "two", "three"):
        bare.worker(name, processes=2)
    path = str(tmp_path / "history")
    ids = [
        *submit_many(kinds.locked, [{"account": n % 3, "path": path, "seconds": 0.01} for n in range(60)]),
        *submit_many(kinds.crowded, [{"tenant": "t", "path": path, "seconds": 0.1} for n in range(60)]),
        *submit_many(kinds.rated, [{"path": path} for _ in range(9)]),
        *submit_many(
            kinds.in_order,
            [{"customer": n % 4, "n": n, "path": path, "fails": 2 if n == 5 else 0} for n in range(40)],
            max_attempts=5,
        ),
    ]
    all_ended()
    assert succeeded(ids)
    history = read(path)
    never_together(history, "account:")
    assert at_most(history, "tenant:") == 5
    in_order(history, "customer:")
    starts = sorted(job.started_at for job in Job.objects.filter(kind="kinds.rated") if job.started_at)
    assert len(starts) == 9
    gaps = [(later - earlier).total_seconds() for earlier, later in zip(starts, starts[2:], strict=False)]
    assert min(gaps) >= 1.0, gaps
    wait_until(lambda: not Hold.objects.exists(), what="all slots were given back")
    assert not Job.objects.exclude(held="").exists()
    assert Counter(event.what for event in history if isinstance(event, Event))["begin"] == 129


@pytest.mark.parametrize(("starts", "period"), first_of([(4, 1.0), (20, 0.2)]))
def test_a_rate_is_never_exceeded_and_its_slots_are_taken_early(bare: Stack, starts: int, period: float) -> None:
    bare.dispatcher()
    bare.worker(processes=2)
    ids = [submit(kinds.noop, rate=f"{starts}/{period:g}s").pk for _ in range(5 * starts)]
    if period >= 1:
        wait_until(Hold.objects.filter(not_before__isnull=False).exists, what="a slot was taken before it was free")
    all_ended()
    assert succeeded(list(ids))
    began = sorted(job.started_at for job in Job.objects.filter(pk__in=ids) if job.started_at)
    gaps = [(later - earlier).total_seconds() for earlier, later in zip(began, began[starts:], strict=False)]
    assert min(gaps) >= period, gaps


def test_a_tenants_jobs_do_not_wait_for_thousands_of_anothers(bare: Stack) -> None:
    """By count: since the one that came last was there, at most a few windows of the many went before it."""
    many = submit_many(kinds.shared, [{"tenant": "large", "n": n} for n in range(8_000)])
    bare.dispatcher()
    bare.worker(processes=1)
    wait_until(lambda: Job.objects.filter(pk__in=many[:2000], state=State.SUCCEEDED).count() > 200)
    one = submit(kinds.shared, {"tenant": "small"})
    wait_until(lambda: Job.objects.get(pk=one.pk).state == State.SUCCEEDED)
    came, began = Job.objects.values_list("created_at", "started_at").get(pk=one.pk)
    before = Job.objects.filter(pk__in=many, started_at__gt=came, started_at__lt=began).count()
    assert before < 5_000, before


def test_a_program_that_only_inserts_gets_its_kinds_limits(bare: Stack, tmp_path: Path) -> None:
    path = str(tmp_path / "history")
    for n in range(12):
        Job.objects.create(kind="kinds.locked", arguments={"account": n % 2, "path": path, "seconds": 0.02})
    bare.dispatcher()
    bare.worker(processes=3)
    all_ended()
    assert {job.limits[0]["key"] for job in Job.objects.all() if job.limits} == {"lock:account:0", "lock:account:1"}
    never_together(read(path), "account:")


def test_a_queues_own_limit(bare: Stack, tmp_path: Path) -> None:
    path = str(tmp_path / "history")
    limits = "other=2"
    bare.dispatcher(FURROW_QUEUE_LIMITS=limits)
    bare.worker(processes=4, FURROW_QUEUE_LIMITS=limits)
    rows = [{"tenant": "t", "path": path, "seconds": 0.1} for _ in range(12)]
    submit_many(kinds.crowded, rows, queue="other", concurrency=None, concurrency_key=None)
    all_ended()
    assert at_most(read(path), "tenant:") == 2
