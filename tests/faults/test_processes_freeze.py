"""Freeze Furrow's processes (SIGSTOP), and let them go on when others have taken over.

On PostgreSQL only: a process that is frozen while it holds SQLite's write lock stops everybody until it goes on, and nothing
but its end helps. docs/guarantees.md says so.
"""

import signal
from pathlib import Path

from apps.jobs.api import Job, State, submit, submit_many
from apps.jobs.models import Leader
from tests import kinds
from tests.stack import Stack, all_ended, wait_until


def test_a_frozen_worker_is_fenced_off(bare: Stack, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    bare.dispatcher()
    frozen = bare.worker("frozen", processes=1)
    job = submit(kinds.sleeps, {"seconds": 2, "mark": str(mark)})
    wait_until(lambda: Job.objects.get(pk=job.pk).state == State.RUNNING and mark.exists())
    frozen.send(signal.SIGSTOP)  # the pool process goes on, and ends its run
    bare.worker("other")
    wait_until(lambda: Job.objects.get(pk=job.pk).state == State.SUCCEEDED, seconds=60)
    other = Job.objects.get(pk=job.pk)
    frozen.send(signal.SIGCONT)
    wait_until(lambda: "lost its lease" in frozen.text)
    after = Job.objects.get(pk=job.pk)
    assert (after.attempt, after.worker, after.finished_at) == (2, other.worker, other.finished_at)
    assert list(job.attempts.order_by("number").values_list("outcome", flat=True)) == ["lost", "succeeded"]
    # It begins a new life and takes work again.
    more = submit_many(kinds.add, [{"a": n} for n in range(20)])
    all_ended()
    assert Job.objects.filter(pk__in=more, state=State.SUCCEEDED).count() == 20


def test_a_frozen_leader_that_wakes_up_stands_by(bare: Stack) -> None:
    first = bare.dispatcher("one")
    wait_until(lambda: "leads" in first.text)
    term = Leader.objects.get(role="dispatcher").term
    first.send(signal.SIGSTOP)
    second = bare.dispatcher("two")
    wait_until(lambda: "leads" in second.text, seconds=20)
    assert Leader.objects.get(role="dispatcher").term == term + 1
    bare.worker()
    ids = submit_many(kinds.add, [{"a": n} for n in range(200)])
    first.send(signal.SIGCONT)
    wait_until(lambda: "Standing by" in first.text)
    all_ended()
    assert Job.objects.filter(pk__in=ids, state=State.SUCCEEDED, attempt=1).count() == 200
