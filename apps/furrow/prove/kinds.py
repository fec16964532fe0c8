"""The campaign's kinds. Registered only in its private processes (``FURROW_MODULES`` names this module there)."""

import hashlib
import os
import random
import signal
import time
from datetime import timedelta
from typing import Annotated, Any

import pydantic
from django.core.files.storage import default_storage

from furrow import (
    Abort,
    Occurred,
    Results,
    Schedule,
    Secret,
    Snooze,
    Unique,
    UploadedPath,
    current_job,
    current_workflow,
    external_kind,
    job,
    subscribe,
)
from furrow.prove import leftovers, stepped
from furrow.prove.spec import EITHER, KEPT, SPECS, STARTS, STRETCH
from furrow.prove.stepped import retry_of as _retry
from furrow.prove.ticked import KIND, SPANS
from furrow.prove.witness import witnessed

steps, says = stepped.steps, stepped.says


@job(name="prove.noop", retry=_retry("prove.noop"))
def noop(n: int = 0) -> dict[str, Any]:
    """Do nothing but leave a trace; no two return the same."""
    with witnessed("prove.noop", n=n) as witness:
        witness.returns = answer = {"job": witness.id, "n": n}
    return answer


@job(name="prove.bridged", retry=_retry("prove.bridged"))
def bridged(message: str) -> None:
    """Get a message of the bridge's queue."""
    with witnessed("prove.bridged", message=message):
        pass


@job(
    name=KIND,
    retry=_retry(KIND),
    schedule=[Schedule(f"@every {span}s", name=name, catch_up="all") for name, span in SPANS.items()],
)
def ticks() -> None:
    """Be submitted by schedules."""
    with witnessed(KIND):
        pass


@subscribe(EITHER, name="prove.hears", retry=_retry("prove.hears"))
def hears(event: Occurred) -> None:
    """Hear of an event that a submitter published."""
    with witnessed("prove.hears", event=event.id):
        pass


class Text(pydantic.BaseModel):
    """Count the words of a text, slowly, in another program: docs/other_languages has it."""

    text: str
    seconds: float = 0


class Words(pydantic.BaseModel):
    """How many there are."""

    words: int


count = external_kind("words.count", arguments=Text, result=Words, retry=_retry("words.count"))


@job(name="prove.brief", retry=_retry("prove.brief"), queue="prove")
def brief(milliseconds: float) -> None:
    """Take some milliseconds."""
    with witnessed("prove.brief", milliseconds=milliseconds):
        time.sleep(milliseconds / 1000)


@job(name="prove.long", retry=_retry("prove.long"), queue="prove")
def long(seconds: float) -> str:
    """Take seconds, and say how far it is."""
    with witnessed("prove.long", seconds=seconds) as witness:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            current_job.progress(max(0.0, 1 - left / seconds))
            time.sleep(min(0.1, left))
        witness.returns = answer = "done"
    return answer


@job(name="prove.flaky", retry=_retry("prove.flaky"))
def flaky() -> None:
    """Raise in a third of the runs."""
    with witnessed("prove.flaky"):
        if random.random() < 1 / 3:  # noqa: S311 - no secret
            raise ValueError("as asked")


@job(name="prove.fails", retry=_retry("prove.fails"))
def fails() -> None:
    """Raise in every run; the job ends failed."""
    with witnessed("prove.fails"):
        raise ValueError("as asked")


@job(name="prove.aborts", retry=_retry("prove.aborts"))
def aborts() -> None:
    """Fail at once, whatever attempts are left."""
    with witnessed("prove.aborts"):
        raise Abort("as asked")


@job(name="prove.snoozes", retry=_retry("prove.snoozes"))
def snoozes(times: int) -> None:
    """Ask to be run again, so many times."""
    with witnessed("prove.snoozes", times=times):
        if current_job.attempt <= times:
            raise Snooze(0.2, "as asked")


@job(name="prove.logs", retry=_retry("prove.logs"))
def logs(count: int) -> None:
    """Log so many lines, and raise in some of the runs."""
    with witnessed("prove.logs", count=count) as witness:
        for n in range(count):
            witness.log(f"{witness.id}: line {n} of attempt {witness.attempt}")
        if random.random() < 0.2:  # noqa: S311 - no secret
            raise ValueError("as asked")


@job(name="prove.joins", retry=_retry("prove.joins"))
def joins(answers: Results[dict[str, Any]]) -> dict[str, Any]:
    """Join many jobs of its workflow: how many results there are, and what they come to."""
    with witnessed("prove.joins", answers=answers.node.hex) as witness:
        numbers = [answer["n"] for answer in answers if answer is not None]
        witness.returns = answer = {"jobs": len(numbers), "sum": sum(numbers)}
    return answer


@job(name="prove.links", retry=_retry("prove.links"))
def links(before: dict[str, Any]) -> dict[str, Any]:
    """Be a link of a chain: get the result of the one before."""
    with witnessed("prove.links", before=before) as witness:
        witness.returns = answer = {"job": witness.id, "n": before.get("n", 0) + 1}
    return answer


@job(name="prove.grows", retry=_retry("prove.grows"))
def grows(n: int) -> dict[str, Any]:
    """Add to its own workflow, and raise after that in a third of the runs."""
    with witnessed("prove.grows", n=n) as witness:
        first = current_workflow.add(noop, {"n": n}, name="grown first")
        current_workflow.add(noop, {"n": n + 1}, after=[first], name="grown second")
        current_workflow.map(noop, [{"n": n + 2}, {"n": n + 3}], name="grown many")
        if random.random() < 1 / 3:  # noqa: S311 - no secret
            raise ValueError("as asked")
        witness.returns = answer = {"job": witness.id, "n": n}
    return answer


@job(name="prove.writes", retry=_retry("prove.writes"))
def writes() -> None:
    """Write a row and commit it, like a handler with a transaction of its own."""
    with witnessed("prove.writes"):
        leftovers.write_row()


@job(name="prove.transactional", retry=_retry("prove.transactional"), transactional=True)
def transactional() -> None:
    """Write a row in the transaction that also settles the job: exactly one, however often it runs."""
    with witnessed("prove.transactional"):
        leftovers.write_row()


@job(name="prove.overdue", retry=_retry("prove.overdue"), queue="prove", timeout=SPECS["prove.overdue"].timeout)
def overdue() -> None:
    """Take longer than allowed, at first."""
    with witnessed("prove.overdue"):
        time.sleep(60 if current_job.attempt == 1 else 0)


@job(name="prove.dies", retry=_retry("prove.dies"), queue="prove")
def dies(times: int) -> None:
    """Kill its own process, so many times."""
    with witnessed("prove.dies", times=times):
        if current_job.attempt <= times:
            os.kill(os.getpid(), signal.SIGKILL)


@job(name="prove.reads", retry=_retry("prove.reads"))
def reads(file: UploadedPath) -> str:
    """Read a file that was kept for it."""
    with witnessed("prove.reads", file=file) as witness, default_storage.open(file) as content:
        witness.returns = answer = hashlib.sha256(content.read()).hexdigest()
    return answer


@job(name="prove.secret", retry=_retry("prove.secret"))
def secret(pin: Annotated[str, Secret]) -> str:
    """Use a secret; what is returned does not tell it."""
    with witnessed("prove.secret", pin=pin) as witness:
        witness.returns = answer = hashlib.sha256(pin.encode()).hexdigest()
    return answer


@job(name="prove.alone", retry=_retry("prove.alone"), queue="prove", lock="prove:{key}")
def alone(key: int, milliseconds: float) -> None:
    """Take some milliseconds; one at a time of each key."""
    with witnessed("prove.alone", key=key, milliseconds=milliseconds):
        time.sleep(milliseconds / 1000)


@job(
    name="prove.few",
    retry=_retry("prove.few"),
    queue="prove",
    concurrency=SPECS["prove.few"].slots,
    concurrency_key="few:{key}",
)
def few(key: int, milliseconds: float) -> None:
    """Take some milliseconds; some at a time of each key."""
    with witnessed("prove.few", key=key, milliseconds=milliseconds):
        time.sleep(milliseconds / 1000)


@job(name="prove.paced", retry=_retry("prove.paced"), rate=f"{STARTS}/{STRETCH:g}s", rate_key="paced:{key}")
def paced(key: int) -> None:
    """Start not too often."""
    with witnessed("prove.paced", key=key):
        pass


@job(name="prove.ordered", retry=_retry("prove.ordered"), ordered="ordered:{key}")
def ordered(key: str, n: int) -> None:
    """One after the other, over retries; a quarter of the runs raise."""
    with witnessed("prove.ordered", key=key, n=n):
        if random.random() < 1 / 4:  # noqa: S311 - no secret
            raise ValueError("as asked")


@job(name="prove.lined", retry=_retry("prove.lined"), queue="prove_lined")
def lined(key: str, n: int) -> None:
    """One after the other, in a queue with partitions."""
    with witnessed("prove.lined", key=key, n=n):
        pass


@job(name="prove.fair", retry=_retry("prove.fair"), queue="prove", fair="tenant:{tenant}")
def fair(tenant: int) -> None:
    """Take turns."""
    with witnessed("prove.fair", tenant=tenant):
        pass


@job(name="prove.once", retry=_retry("prove.once"), unique=Unique("{key}", until="done"))
def once(key: str, n: int) -> int:
    """One until it is done; who submits another gets the first."""
    with witnessed("prove.once", key=key, n=n) as witness:
        witness.returns = n
    return n


@job(name="prove.only", retry=_retry("prove.only"), unique=Unique("{key}", until="done", conflict="raise"))
def only(key: str, n: int) -> int:
    """One until it is done; who submits another is refused."""
    with witnessed("prove.only", key=key, n=n) as witness:
        witness.returns = n
    return n


@job(name="prove.lasting", retry=_retry("prove.lasting"), unique=Unique("{key}", until=timedelta(seconds=KEPT)))
def lasting(key: str, n: int) -> int:
    """One within so many seconds."""
    with witnessed("prove.lasting", key=key, n=n) as witness:
        witness.returns = n
    return n


@job(name="prove.debounced", retry=_retry("prove.debounced"), unique=Unique("{key}", until="started", conflict="replace"))
def debounced(key: str, n: int) -> int:
    """One until it has started, with the latest arguments."""
    with witnessed("prove.debounced", key=key, n=n) as witness:
        witness.returns = n
    return n


@job(name="prove.looks", retry=_retry("prove.looks"))
def looks() -> None:
    """Write down how it finds its process, and leave it so."""
    with witnessed("prove.looks") as witness:
        witness.look(leftovers.look())


@job(name="prove.leaves", retry=_retry("prove.leaves"))
def leaves(what: str) -> None:
    """Write down how it finds its process, and leave it changed; some of the runs raise."""
    with witnessed("prove.leaves", what=what) as witness:
        witness.look(leftovers.look())
        leftovers.WAYS[what]()
        if random.random() < 0.2:  # noqa: S311 - no secret
            raise ValueError("as asked")


@job(name="prove.forks", retry=_retry("prove.forks"))
def forks(then: str) -> int:
    """Start a child that leaves the handler in this way, wait for it, and return its exit code."""
    with witnessed("prove.forks", then=then) as witness:
        witness.returns = answer = leftovers.CHILDREN[then]()
        if answer >= 0:  # else it was killed
            witness.look({f"exit code of a child that {then}": answer})
    return answer
