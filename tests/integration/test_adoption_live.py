"""Celery tasks that are jobs, in a real worker."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery, chain, current_app
from celery.exceptions import TimeLimitExceeded
from celery.result import AsyncResult
from django.db.models.functions import Now
from furrow import Job
from furrow.kinds.kind import find_kind
from furrow.models import DeadMessage, Reply, Workflow
from furrow.worker.celery.honoured import is_celerys

from tests import services
from tests.kinds import adopted
from tests.stack import Stack, all_ended, wait_until


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


@pytest.fixture
def elsewhere(live_db: None) -> Iterator[Celery]:
    """A process of before the adoption, or a client in another language."""
    with Celery("elsewhere", broker=services.broker.url, backend="rpc://", set_as_current=False) as client:
        yield client
    Reply.objects.all().delete()
    DeadMessage.objects.all().delete()


def test_messages_of_older_processes_become_jobs(stack: Stack, elsewhere: Celery) -> None:
    sent = {
        "plain": elsewhere.send_task("adopted.add", [2], {"y": 3}, headers={"tenant": "acme"}, shadow="nicer"),
        "own id": elsewhere.send_task("adopted.add", [5], task_id="nightly report"),
        "limits": elsewhere.send_task("adopted.add", [6], time_limit=50, soft_time_limit=40, priority=9),
        "retried": elsewhere.send_task("adopted.asks", retries=2),
        "wrong": elsewhere.send_task("adopted.add", [1, 2, 3]),
        "chain": chain(elsewhere.signature("adopted.add", [1]), elsewhere.signature("adopted.add", [10])).delay(),
    }
    assert sent["plain"].get(timeout=60) == 5
    assert sent["own id"].get(timeout=60) == 6
    assert sent["limits"].get(timeout=60) == 7
    assert sent["retried"].get(timeout=60)["retries"] == 2
    assert sent["chain"].get(timeout=60) == 12
    with pytest.raises(Exception, match="positional argument"):
        sent["wrong"].get(timeout=60)
    job = Job.objects.get(pk=sent["plain"].id)
    assert (job.arguments, job.meta["celery"]["headers"], job.meta["celery"]["shadow"]) == (
        {"x": 2, "y": 3},
        {"tenant": "acme"},
        "nicer",
    )
    assert adopted.add.AsyncResult("nightly report").get(timeout=1) == 6
    assert not DeadMessage.objects.exists()
    assert Workflow.objects.count() == 1
    wait_until(lambda: not Reply.objects.exists(), what="all were told")


def test_messages_that_jobs_cannot_be_are_run_by_celery() -> None:
    kind = find_kind("adopted.add")
    assert kind is not None

    def carries(**embedded: Any) -> bool:
        return is_celerys(kind, SimpleNamespace(payload=[[1], {}, embedded], headers={}, properties={}))

    assert not carries()
    assert not carries(callbacks=[dict(adopted.add.s())])
    assert carries(chord=dict(adopted.add.s()))
    assert carries(callbacks=[{"task": "mail.send", "args": [], "kwargs": {}, "options": {}}])


@pytest.mark.engine
def test_any_process_finds_a_result_by_its_id(live_db: None) -> None:
    result = adopted.add.delay(1)
    found = AsyncResult(result.id)
    assert found.state == "PENDING"
    Job.objects.filter(pk=result.id).update(state="succeeded", result=7, finished_at=Now())
    assert found.get(timeout=5) == 7
    assert current_app.AsyncResult(result.id).state == "SUCCESS"
    found.forget()
    assert AsyncResult(result.id).result is None
