"""What ``celery control`` answers for jobs is true: it does it, or refuses and says what does."""

from pathlib import Path
from typing import Any

import psutil
import pytest
from config.celery import app
from furrow import Job, State, submit
from furrow.states import Outcome
from kombu import Connection

from tests import kinds, services
from tests.stack import Stack, all_ended, wait_until

pytestmark = pytest.mark.engine

NODE = "worker@test"


def answer(command: str, **arguments: Any) -> dict[str, str]:
    """Of the stack's worker."""
    with Connection(services.broker.url) as link:
        told = app.control.broadcast(
            command, arguments=arguments, destination=[NODE], reply=True, timeout=20, limit=1, connection=link
        )
    assert told
    return dict(told[0][NODE])


@pytest.mark.parametrize(
    ("command", "arguments", "instead"),
    [
        ("rate_limit", {"rate_limit": "1/h"}, "@job(rate="),
        ("time_limit", {"soft": 1.0, "hard": 2.0}, "@job(soft_timeout="),
    ],
)
def test_limits_of_celery_are_refused_for_kinds(stack: Stack, command: str, arguments: dict[str, Any], instead: str) -> None:
    refused = answer(command, task_name=kinds.add.name, **arguments)
    assert "is a kind of job" in refused["error"]
    assert instead in refused["error"]
    assert "ok" in answer(command, task_name="celery.backend_cleanup", **arguments)
    assert "unknown task" in answer(command, task_name="no.such.task", **arguments)["error"]


@pytest.mark.parametrize("command", ["revoke", "terminate"])
def test_revoking_a_job_cancels_it_also_while_it_runs(stack: Stack, tmp_path: Path, command: str) -> None:
    mark = tmp_path / "mark"
    runs, waits = submit(kinds.sleeps, {"seconds": 60, "mark": str(mark)}), submit(kinds.sleeps, {"seconds": 0}, countdown=3600)
    wait_until(mark.exists)
    how = {"signal": "TERM"} if command == "terminate" else {}
    told = answer(command, task_id=[str(runs.pk), str(waits.pk), "of an ordinary task"], **how)["ok"]
    assert f"job {runs.pk} is being cancelled" in told
    assert f"job {waits.pk} is being cancelled" in told
    assert "task" in told.rpartition(";")[2]
    all_ended(30)
    assert runs.attempts.get().outcome == Outcome.CANCELLED
    assert Job.objects.get(pk=waits.pk).state == State.CANCELLED
    assert f"job {runs.pk} had ended" in answer(command, task_id=[str(runs.pk)], **how)["ok"]


def test_the_pool_grows_and_shrinks_as_it_says(stack: Stack) -> None:
    (worker,) = [process for process in stack.processes if process.name == "worker"]

    def processes() -> int:
        return sum(child.status() != psutil.STATUS_ZOMBIE for child in worker.children())

    assert "One process must be left of 2" in answer("pool_shrink", n=2)["error"]
    assert "ok" in answer("pool_grow", n=1)
    wait_until(lambda: processes() == 3)
    assert "ok" in answer("pool_shrink", n=1)
    wait_until(lambda: processes() == 2)
    jobs = [submit(kinds.add, {"a": n}) for n in range(20)]
    all_ended(30)
    assert {Job.objects.get(pk=job.pk).state for job in jobs} == {State.SUCCEEDED}
    assert "error" in answer("autoscale", max=3, min=1)
    for command in ("pool_shrink", "pool_grow"):
        assert {"n must be 1 or more." in answer(command, n=n)["error"] for n in (0, -1)} == {True}
    for wrong in ({"max": 0}, {"max": 0, "min": 0}, {"max": 2, "min": -1}):
        assert "max must be 1 or more" in answer("autoscale", **wrong)["error"]
    assert processes() == 2
    assert "error" in answer("pool_restart")
