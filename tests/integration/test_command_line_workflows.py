"""``furrow jobs workflow``: workflows drawn and acted on in a terminal."""

import datetime as dt
import re
from itertools import pairwise
from typing import Any

import pytest
from furrow import Job, workflow
from furrow.command import graph
from furrow.models import AuditEntry, Workflow
from furrow.testing import drain

from tests import kinds
from tests.command_line import as_json, exit_code, jobs, refused
from tests.people import somebody

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]


def drawn(text: str) -> list[str]:
    """The lines of the graph, without spans of time and needless blanks."""
    lines = text.split("\n\n", 1)[1].splitlines()
    return [re.sub(r"\s{2,}", " ", re.sub(r"[\d.]+ m?s( ago)?\b|just now", "…", line.strip())) for line in lines]


def test_a_workflow_is_drawn_as_a_tree_with_states_and_why_nodes_wait() -> None:
    with workflow("order 7") as w:
        a = w.add(kinds.add, {"a": 1, "b": 2}, name="a")
        b = w.map(kinds.succeeds_on, [{"attempt": 1}, {"attempt": 9}], max_attempts=1, after=[a], name="b")
        w.add(kinds.noop, after=[a, b], name="c")
        w.add(kinds.noop, after=[b.failed], name="alarm", countdown=3600)
    jobs("workflow", "show", w.id)
    assert drawn(jobs("workflow", "show", w.id)) == [
        "a running let go …; Due, but no dispatcher is running; due …",
        "└─ b (of 2 jobs) waiting waits for the success of 'a', which is running",
        "├─ c waiting waits for the success of 'a', which is running, the success of 'b', which is waiting",
        "└─ alarm waiting waits for the failure of 'b', which is waiting",
    ]
    drain(raise_on_failure=False)
    lines = drawn(jobs("workflow", "show", w.id))
    assert lines[0] == "a succeeded …"
    assert (
        lines[1] == "└─ b (of 2 jobs) failed …; 1 failed; 2 of 2 jobs have ended"
        or lines[1] == "└─ b (of 2 jobs) failed …; 1 failed"
    )
    assert lines[2] == "├─ c skipped 'b' failed, and this waited for its success"
    assert lines[3].startswith("└─ alarm running")
    assert "workflow  order 7" in re.sub("workflow +", "workflow  ", jobs("show", Job.objects.get(kind=kinds.add.name).pk))
    assert [node["name"] for node in as_json("workflow", "show", w.id)["nodes"]] == ["a", "b", "c", "alarm"]


def test_many_nodes_that_are_alike_are_folded_and_a_long_chain_stays_narrow() -> None:
    def node(name: str, kind: str = "k") -> dict[str, Any]:
        counts = dict.fromkeys(("jobs", "open", "failed", "cancelled"), 1)
        told = {"seconds": None, "let_go_at": None, "why": "", "workflow": None, "role": "", "sort": "job"}
        return {"name": name, "kind": kind, "state": "waiting", **counts, **told}

    def edges(*pairs: tuple[str, str]) -> list[dict[str, Any]]:
        return [{"parent": parent, "child": child, "condition": "success", "met": None} for parent, child in pairs]

    names = [f"n{number}" for number in range(40)]
    fan = {"nodes": [node("a"), *map(node, names)], "edges": edges(*(("a", name) for name in names))}
    now = dt.datetime.now(dt.UTC)
    assert [line.branch + line.name for line in graph._lines(fan, now)] == [
        "a",
        *(f"├─ n{number}" for number in range(5)),
        "└─ … 35 more nodes of k",
    ]
    names = [f"n{number}" for number in range(5_000)]
    chain = {"nodes": list(map(node, names)), "edges": edges(*pairwise(names))}
    lines = list(graph._lines(chain, now))
    assert (len(lines), max(len(line.branch) for line in lines)) == (5_000, 3)


def test_workflows_are_listed_and_acted_on(db: None) -> None:
    with workflow("order 7") as w:
        a = w.add(kinds.add, {"a": 1, "b": 2}, name="a")
        w.add(kinds.noop, after=[a], name="b")
    assert jobs("workflow", "pause", w.id) == "pause: 1 changed.\n"
    assert "paused" in jobs("workflow", "list", "--state", "paused", "--search", "ORDER")
    assert exit_code("workflow", "pause", w.id) == 1
    assert as_json("workflow", "resume", w.id)["changed"] == 1
    assert jobs("workflow", "cancel", w.id, "--reason", "too late") == "cancel: 1 changed.\n"
    assert "cancelling" in jobs("workflow", "list")
    assert "goes on" in refused("workflow", "fork", w.id, "a")
    drain()
    assert jobs("workflow", "restart", w.id) == "restart: 1 changed.\n"
    drain()
    new = as_json("workflow", "fork", w.id, "a", "--json-args", '{"b": 5}')
    assert Workflow.objects.get(pk=new["id"]).fork_of == w.id
    acts = AuditEntry.objects.order_by("pk").values_list("action", flat=True)
    assert list(acts) == ["pause", "resume", "cancel", "restart", "fork"]


def test_a_signal_to_a_workflow_goes_to_the_nodes_that_wait_for_it(db: None) -> None:
    with workflow("order 7") as w:
        w.wait_for("paid")
    drain()
    assert "none of" not in (told := refused("signal", w.id, "payed"))
    assert "did you mean 'paid'" in told
    assert "furrow.act_on_workflow" in refused("signal", w.id, "paid", "--user", somebody("view_workflow").username)
    assert jobs("signal", w.id, "paid", '"card"') == "signal: the job goes on.\n"
    drain()
    assert Workflow.objects.get().state == "succeeded"
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.target, entry.detail, entry.origin) == (
        "signal",
        f"workflow order 7 {w.id}",
        "paid",
        "command line",
    )


def test_what_cannot_be_is_refused() -> None:
    with workflow("order 7") as w:
        w.add(kinds.noop, name="a")
    user = somebody("view_workflow")
    assert "no workflow" in refused("workflow", "show", "01a205c0-f458-76a1-9ac2-f6a18457f66a")
    assert "is no state of a workflow" in refused("workflow", "list", "--state", "runing")
    assert "takes the id of a workflow and the name of a node" in refused("workflow", "fork", w.id)
    assert "Which workflow?" in refused("workflow", "cancel")
    assert "furrow.act_on_workflow" in refused("workflow", "cancel", w.id, "--user", user.username)
    user.user_permissions.clear()
    assert "furrow.view_workflow" in refused("workflow", "list", "--user", user.username)
