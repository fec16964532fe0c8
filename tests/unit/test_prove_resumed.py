"""The judge of steps: clean evidence has no violation, and every kind of broken promise is named."""

from collections.abc import Callable

import pytest
from furrow.prove import resumed
from furrow.prove.evidence import Evidence, JobRow, Run, Wanted
from furrow.prove.graphs import Graphs, NodeRow


def clean() -> Evidence:
    """A job whose first run was cut off behind its first step, and of which a zombie called a function once more."""
    e = Evidence()
    e.jobs["j"] = JobRow("prove.steps", "succeeded", 2, "")
    first, second = Run(1, 11, 1, 1.0), Run(2, 12, 1, 5.0, 9.0, "end")
    first.steps = [("step", "first", "t1", 1.1), ("got", "first", "t1", 1.2), ("step", "last", "t3", 8.5)]
    second.steps = [("got", "first", "t1", 5.1), ("got", "said", "w", 6.0), ("step", "written", "t4", 6.5)]
    second.steps += [("got", "written", "t4", 6.6), ("step", "last", "t2", 7.0), ("got", "last", "t2", 7.1)]
    e.runs["j"] = [first, second]
    e.writes["j"] = [2]
    e.wanted["s"] = Wanted([{"to": "j", "token": "w"}], "me")
    node = NodeRow("w", "noop", "map", "succeeded", 0, 1, 0, 0, 0, None)
    e.graphs, e.calls = Graphs({"w": "succeeded"}, {"n": node}, [], {"c": "n"}), {("j", "w")}
    return e


def wrote(e: Evidence, *step: object) -> None:
    """Of the second run."""
    e.runs["j"][1].steps.append(step)  # type: ignore[arg-type]


BROKEN: dict[str, Callable[[Evidence], object]] = {
    "the step first gave 't1', and later 't9'": lambda e: wrote(e, "got", "first", "t9", 8.0),
    "was called in attempt 2, and its result was there": lambda e: wrote(e, "step", "first", "t9", 4.9),
    "which its function has never returned": lambda e: e.runs["j"][0].steps.__delitem__(0),
    "the signal had 'w', and sent was 'x'": lambda e: e.wanted["s"].arguments[0].update(token="x"),
    "wrote is there 2 times": lambda e: e.writes["j"].append(2),
    "wrote is there 0 times": lambda e: e.writes["j"].clear(),
    "it has succeeded, and waits in the step night": lambda e: e.waits.update(j="night"),
    "it was submitted twice": lambda e: e.calls.clear(),
}


def test_clean_evidence_has_no_violation() -> None:
    assert list(resumed.resumed(clean())) == []
    assert clean().called == {"c"}


@pytest.mark.parametrize("text", list(BROKEN))
def test_what_is_broken_is_named(text: str) -> None:
    e = clean()
    if text == "which its function has never returned":
        wrote(e, "step", "first", "t0", 0.9)
    BROKEN[text](e)
    assert any(text in said for _, said in resumed.resumed(e))
