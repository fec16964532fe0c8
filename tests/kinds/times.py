"""Jobs that take a time: timeouts, sleepers, logs and progress, what waits for a person."""

import asyncio
import os
import signal
import time
from typing import Any, Literal

from furrow import SoftTimeout, current_job

from tests.kinds.declared import ONCE, QUICK, append, job, logger


@job(retry=ONCE, soft_timeout=0.3)
def soft_sleeper(seconds: float, swallow: bool = False) -> str:
    """Sleep; the soft timeout is 0.3 s."""
    try:
        time.sleep(seconds)
    except Exception:
        return "swallowed"
    except SoftTimeout:
        if swallow:
            return "cleaned up"
        raise
    return "slept"


@job(retry=ONCE, timeout=1.0)
def hard_sleeper(seconds: float) -> str:
    """Sleep; killed after a second."""
    time.sleep(seconds)
    return "slept"


@job
def sleeps(seconds: float, mark: str = "", until: str = "") -> str:
    """Sleep, then until somebody makes a file of this name if one is given; and say in a file when it began."""
    if mark:
        append(mark, "began")
    time.sleep(seconds)
    while until and not os.path.exists(until):
        time.sleep(0.02)
    if mark:
        append(mark, "ended")
    return "slept"


@job(retry=ONCE)
def stubborn(seconds: float, how: Literal["checks", "sleeps", "deaf"], mark: str = "") -> str:
    """Take this long: asking whether to stop, asleep in Python, or deaf to everything but SIGKILL."""
    if how == "deaf":
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    if mark:
        append(mark, "began")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if how == "checks":
            current_job.check()
        time.sleep(0.02)
    return "done"


@job
def talks(lines: int = 3, steps: int = 4) -> None:
    """Log and report progress."""
    for number in range(lines):
        current_job.log("line %d", number)
    logger.warning("through logging")
    for step in range(steps + 1):
        current_job.progress(step / steps, f"step {step}")


@job(retry=ONCE)
def floods(lines: int, width: int, for_seconds: float = 0.0) -> None:
    """Log so many lines of so many characters, and report progress without a pause for so long."""
    for number in range(lines):
        current_job.log(f"{number} " + "x" * width)
    end = time.monotonic() + for_seconds
    while time.monotonic() < end:
        current_job.progress(0.5, "y" * 200)
    for _ in range(1_000):
        current_job.progress(1.0)


@job(retry=ONCE)
def chatters(lines: int, pause: float) -> None:
    """Log a line now and then, every other one a warning."""
    for number in range(lines):
        current_job.log(f"line {number} {'odd' if number % 2 else 'even'}", level=30 if number % 2 else 20)
        time.sleep(pause)


@job(retry=ONCE, soft_timeout=0.3)
def yields(seconds: float, then: Literal["returns", "alarms", "own handler"] = "returns") -> Any:
    """Yield, sleep, and yield again; the soft timeout is 0.3 s."""
    if then == "alarms":
        signal.alarm(1)
    if then == "own handler":
        for number in (signal.SIGALRM, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)
    yield 1
    time.sleep(seconds)
    yield 2


@job(retry=ONCE, soft_timeout=0.3)
async def waits_for_its_soft_timeout(how: Literal["sleeps", "task group", "spins"]) -> str:
    """Async: say which exception ended the wait."""
    try:
        if how == "spins":
            while True:
                pass
        if how == "sleeps":
            await asyncio.sleep(60)
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(60))
            await asyncio.sleep(60)
    except* SoftTimeout as error:
        await asyncio.sleep(0.01)
        return_value = type(error.exceptions[0]).__name__
    return return_value


@job(retry=QUICK)
def emits(chunks: int, first_fails: bool = False, until: str = "", waits_after: int = -1) -> int:
    """Emit so many numbered texts; after some of them wait until somebody makes a file of this name."""
    for number in range(chunks):
        current_job.emit(f"chunk {number};")
        while number == waits_after and not os.path.exists(until):
            time.sleep(0.02)
    if first_fails and current_job.attempt == 1:
        raise RuntimeError("the first one fails")
    return chunks
