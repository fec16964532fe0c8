"""The campaign's job with steps: functions that leave a trace, a sleep, a signal, a call, and runs that raise in between."""

import random
import uuid
from collections.abc import Callable
from typing import Any

from furrow import RetryPolicy, current_job, job, send_signal, submit
from furrow.prove import leftovers
from furrow.prove.spec import SPECS
from furrow.prove.witness import Witness, witnessed


def retry_of(kind: str) -> RetryPolicy:
    """As the judge knows it."""
    return RetryPolicy(max_attempts=SPECS[kind].attempts, base=0.2, factor=1.5, cap=2.0)


@job(name="prove.says", retry=retry_of("prove.says"))
def says(to: str, token: str) -> None:
    """Send a job the signal that it waits for, or will."""
    with witnessed("prove.says", to=to, token=token):
        send_signal(to, "said", token)


@job(name="prove.steps", retry=retry_of("prove.steps"))
def steps(pause: float) -> dict[str, Any]:
    """Go through steps of each sort. What each function does, and what each step gives, is written down before it goes on."""
    with witnessed("prove.steps", pause=pause) as witness:
        gets: dict[str, Any] = {}

        def get(name: str, value: Any) -> None:
            witness.write("got", step=name, value=value)
            gets[name] = value

        get("first", current_job.step("first", _effect(witness, "first")))
        current_job.sleep(pause)
        _perhaps_raise()
        get("said", current_job.wait_signal("said"))
        get("written", current_job.step("written", transactional=True)(_effect(witness, "written", leftovers.write_row))())
        _perhaps_raise()
        get("called", current_job.call("prove.noop", {"n": 7}))
        get("last", current_job.step("last", _effect(witness, "last")))
        _perhaps_raise()
        witness.returns = gets
    return gets


def _effect(witness: Witness, name: str, also: Callable[[], object] = int) -> Callable[[], str]:
    def effect() -> str:
        token = uuid.uuid4().hex
        witness.write("step", step=name, value=token)
        also()
        return token

    return effect


def _perhaps_raise() -> None:
    if random.random() < 1 / 6:  # noqa: S311 - no secret
        raise ValueError("as asked")


def submit_steps(dice: random.Random) -> list[tuple[str, dict[str, Any]]]:
    """One such job, and one that sends it its signal, before or while it waits; their ids and arguments."""
    pause = {"pause": dice.choice([0.0, 0.2, 2.0])}
    waits = submit(steps, pause)
    word = {"to": waits.pk.hex, "token": uuid.uuid4().hex}
    said = submit(says, word, countdown=dice.choice([None, 0.5, 3.0]))
    return [(waits.pk.hex, pause), (said.pk.hex, word)]
