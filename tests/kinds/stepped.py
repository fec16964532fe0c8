"""Jobs with steps."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.contrib.auth.models import Group
from furrow import Job, State, current_job

from tests.kinds.declared import QUICK, append, job

#: What ``scripted`` and its like do, in the process of a test; a test puts another in its place, as a deployment does.
script: Callable[[], Any] = int


@job(retry=QUICK)
def scripted() -> Any:
    """Do what the test says."""
    return script()


@job(retry=QUICK, transactional=True)
def scripted_in_a_transaction() -> Any:
    """Do what the test says, in the transaction that settles the job."""
    return script()


@job(retry=QUICK)
async def scripted_async() -> Any:
    """Do what the test says."""
    return await script()


@job(retry=QUICK)
def orders(path: str, die: str = "", wait: bool = False) -> dict[str, Any]:
    """An order: charged once, slept over, paid by a signal, shipped. ``die``: where its process is killed, once."""

    def does(name: str) -> str:
        append(path, name)
        if die == f"in {name}" and Path(path).read_text().count(name) == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return f"{name} by attempt {current_job.attempt}"

    charged = current_job.step("charge", does, "charge")
    if die == "after charge" and current_job.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    current_job.sleep(0.1)
    paid = current_job.wait_signal("paid") if wait else None
    shipped = current_job.step("ship", does, "ship")
    return {"charged": charged, "paid": paid, "shipped": shipped}


@job(retry=QUICK)
def charges_in_one_transaction(name: str, path: str) -> None:
    """A step whose writes and whose record are one; its process is killed behind the commit, once."""

    @current_job.step("charge", transactional=True)
    def charge() -> None:
        Group.objects.create(name=name)

    charge()
    append(path, "run")
    if current_job.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)


@job(retry=QUICK)
def outlives_its_run(path: str) -> str:
    """The first run's step returns when the job has succeeded by another."""

    def step() -> str:
        append(path, "in the step")
        attempt = current_job.attempt
        while attempt == 1 and Job.objects.get(pk=str(current_job.id)).state != State.SUCCEEDED:
            time.sleep(0.02)
        return f"step of attempt {attempt}"

    try:
        return str(current_job.step("step", step))
    except BaseException:
        append(path, "refused")
        raise


@job(retry=QUICK)
def calls(numbers: list[int]) -> int:
    """Add numbers by jobs, in two calls; and die once in between."""
    sums = current_job.call_many("kinds.add", [{"a": number} for number in numbers])
    if sum(numbers) % 4 == 0 and current_job.attempt == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return int(current_job.call("kinds.add", {"a": sum(sums), "b": 0}))
