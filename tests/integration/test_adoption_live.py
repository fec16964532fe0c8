"""Celery tasks that are jobs, in a real worker."""

from typing import Any

import pytest
from celery.exceptions import TimeLimitExceeded
from furrow import Job
from furrow.kinds.kind import find_kind

from tests.kinds import adopted
from tests.stack import Stack, all_ended


def test_tasks_run_in_pool_processes_as_celery_runs_them(stack: Stack) -> None:
    assert find_kind("adopted.add") is not None
    sent: dict[str, Any] = {
        "add": adopted.add.delay(2, y=3),
        "asks": adopted.asks.delay(),
        "again": adopted.again.delay(2),
        "slow": adopted.slow.delay(),
        "limited": adopted.add.apply_async((1,), time_limit=40, soft_time_limit=30),
        "too_slow": adopted.too_slow.delay(),
        "killed": adopted.kills_itself.delay(),
    }
    all_ended()
    got = {name: result.get(timeout=10, propagate=False) for name, result in sent.items()}
    assert (got["add"], got["again"], got["slow"], got["limited"], got["killed"]) == (5, 2, "SoftTimeLimitExceeded", 2, 1)
    assert (got["asks"]["made"], got["asks"]["hostname"], got["asks"]["retries"]) == (1, "worker@test", 0)
    with pytest.raises(TimeLimitExceeded):
        sent["too_slow"].get(timeout=1)
    assert Job.objects.get(pk=sent["again"].id).attempt == 3
