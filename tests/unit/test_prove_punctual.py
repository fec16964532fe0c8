"""The judge of schedules: clean evidence has no violation, and every kind of broken promise is named."""

from collections.abc import Callable

import pytest
from furrow.prove.evidence import Evidence, JobRow
from furrow.prove.punctual import once
from furrow.prove.ticked import KIND, SPANS, Ticked, TickRow


def clean() -> Evidence:
    """Four times of a schedule, each with its job; a job of another kind."""
    e = Evidence()
    name = next(name for name, span in SPANS.items() if span == 3)
    e.ticked = Ticked({name: [TickRow(3.0 * number, f"j{number}", "fired") for number in range(4)]})
    e.jobs = {f"j{number}": JobRow(KIND, "succeeded", 1, "") for number in range(4)} | {
        "x": JobRow("prove.noop", "failed", 1, "")
    }
    return e


def ticks(e: Evidence) -> list[TickRow]:
    """Those of its schedule."""
    return next(iter(e.ticked.ticks.values()))


def test_clean_evidence_has_no_violation() -> None:
    assert [*once(clean())] == []


BREAKS: dict[str, Callable[[Evidence], object]] = {
    "no tick has it": lambda e: e.jobs.__setitem__("second", JobRow(KIND, "succeeded", 1, "")),
    "it is the job of 2 ticks": lambda e: ticks(e).__setitem__(1, TickRow(3.0, "j0", "fired")),
    "there is no row": lambda e: e.jobs.pop("j2"),
    "it has not ended": lambda e: e.jobs.__setitem__("j2", JobRow(KIND, "queued", 0, "")),
    "left out 1 of its times, the first is 6": lambda e: ticks(e).pop(2),
    "has 2 ticks for the time 6": lambda e: ticks(e).append(TickRow(6.0, "j2", "fired")),
    "ticks without a job": lambda e: ticks(e).__setitem__(2, TickRow(6.0, None, "missed")),
    "is held: no kind": lambda e: e.ticked.held.update(it="no kind"),
}


@pytest.mark.parametrize("said", BREAKS)
def test_a_broken_promise_is_named(said: str) -> None:
    e = clean()
    BREAKS[said](e)
    assert said in " ".join(text for _, text in once(e))
