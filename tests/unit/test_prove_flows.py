"""The judge of workflows: clean evidence has no violation, and every kind of broken promise is named."""

from collections.abc import Callable

import pytest
from furrow.prove import flows
from furrow.prove.evidence import Evidence, JobRow, Move, Run
from furrow.prove.graphs import EdgeRow, Graphs, NodeRow


def clean() -> Evidence:
    """Two jobs and their join, and a node that was skipped."""
    e = Evidence()
    node = NodeRow("w", "many", "map", "succeeded", 0, 2, 0, 0, 0, None)
    nodes = {
        "many": node,
        "join": node._replace(name="join", jobs=1),
        "alarm": node._replace(name="alarm", jobs=1, state="skipped", unmet=1, cancelled=1),
    }
    edges = [EdgeRow("many", "join", "success", True), EdgeRow("many", "alarm", "failure", False)]
    e.graphs = Graphs({"w": "succeeded"}, nodes, edges, {"a": "many", "b": "many", "j": "join", "x": "alarm"})
    for id, at, result in (("a", 1.0, {"n": 3}), ("b", 2.0, {"n": 4}), ("j", 5.0, {"jobs": 2, "sum": 7})):
        e.jobs[id] = JobRow("prove.joins" if id == "j" else "prove.noop", "succeeded", 1, "", result=result)
        e.moves[id] = [Move(at, "queued", "running", 0, 1, "w"), Move(at + 1, "running", "succeeded", 1, 1, "w")]
    e.jobs["x"] = JobRow("prove.noop", "cancelled", 0, "")
    return e


def _node(e: Evidence, name: str, **changes: object) -> None:
    e.graphs.nodes[name] = e.graphs.nodes[name]._replace(**changes)  # type: ignore[arg-type]


def _doubled(e: Evidence) -> None:
    e.jobs["j"] = e.jobs["j"]._replace(result={"jobs": 3, "sum": 7})


def _early(e: Evidence) -> None:
    e.moves["j"][0] = e.moves["j"][0]._replace(at=1.5)


def _ran(e: Evidence) -> None:
    e.runs["x"].append(Run(1, 1, 1, 1.0))


def _hangs(e: Evidence) -> None:
    e.graphs.workflows["w"] = "running"
    _node(e, "join", state="waiting", unmet=1)


def _uncounted(e: Evidence) -> None:
    e.graphs.left = 2


BROKEN: dict[str, Callable[[Evidence], None]] = {
    "it joined": _doubled,
    "before many of its workflow was over": _early,
    "it ran, and its node alarm was skipped": _ran,
    "has not ended; not ended: join": _hangs,
    "2 moves left": _uncounted,
    "counts 2 jobs, 1 open": lambda e: _node(e, "many", open=1),
    "and waited for 1 more node": lambda e: _node(e, "join", unmet=1),
    "that it was told None": lambda e: e.graphs.edges.__setitem__(0, e.graphs.edges[0]._replace(met=None)),
}


def test_clean_evidence_has_no_violation() -> None:
    assert list(flows.judged(clean())) == []


@pytest.mark.parametrize("text", BROKEN)
def test_what_is_broken_is_named(text: str) -> None:
    e = clean()
    BROKEN[text](e)
    assert any(text in found for _, found in flows.judged(e))
