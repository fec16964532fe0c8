"""Workflows over the HTTP API: look at them, submit one, act on one."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from furrow import workflow
from furrow.models import AuditEntry, Signal, Workflow
from furrow.testing import drain
from furrow.workflows.builder import Builder

from tests import kinds
from tests.api import Api, fields
from tests.kinds import flows
from tests.people import somebody

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]
ALL = ("view_job", "submit_job", "view_workflow", "act_on_workflow")


@pytest.fixture
def api(db: None) -> Api:
    """Who may look at workflows, submit and act."""
    return Api(somebody(*ALL))


def two(name: str = "order 7") -> Builder:
    with workflow(name) as w:
        a = w.add(kinds.add, {"a": 1, "b": 2}, name="a")
        w.map(kinds.add, [{"a": 1}] * 3, shared={"b": a.result}, after=[a], name="b")
    return w


def test_workflows_are_listed_and_one_is_shown_with_nodes_edges_and_why_they_wait(api: Api) -> None:
    first, second = two(), two("import")
    listed = api.get("workflows?limit=1").json()
    assert [one["id"] for one in listed["workflows"]] == [str(second.id)]
    assert [one["name"] for one in api.get(listed["next"].removeprefix("/api/")).json()["workflows"]] == ["order 7"]
    assert [one["name"] for one in api.get("workflows?q=ORDER&state=running").json()["workflows"]] == ["order 7"]
    assert "did you mean 'running'?" in fields(api.get("workflows?state=runing"))["state"]
    shown = api.get(f"workflows/{first.id}").json()
    assert [(node["name"], node["state"], node["jobs"]) for node in shown["nodes"]] == [
        ("a", "running", 1),
        ("b", "waiting", 3),
    ]
    assert shown["nodes"][1]["why"] == "waits for the success of 'a', which is running"
    assert shown["edges"] == [{"parent": "a", "child": "b", "condition": "success", "met": None}]
    assert api.get(f"workflows/{shown['nodes'][0]['id']}").status_code == 404
    job = api.get(f"jobs/{shown['nodes'][0]['job']}").json()
    assert job["workflow"] == {"id": str(first.id), "name": "order 7", "node": "a"}
    waiting = api.get("jobs?state=waiting&limit=1").json()["jobs"][0]["id"]
    why = api.get(f"jobs/{waiting}").json()["why"]["text"]
    assert why == "In the workflow “import”: waits for the success of 'a', which is running"


def test_a_workflow_is_submitted_whole_and_once(api: Api) -> None:
    given = {
        "name": "order 8",
        "expires": 3600,
        "nodes": [
            {"name": "a", "kind": "kinds.order", "arguments": {"number": 7}},
            {
                "name": "b",
                "kind": "kinds.add",
                "arguments": {"b": 1},
                "results": {"a": {"node": "a", "path": ["lines", 1, "price"]}},
                "after": ["a"],
                "priority": 1,
            },
            {"name": "many", "kind": "kinds.add", "rows": [{"a": 1}, {"a": 2}], "arguments": {"b": 5}, "after": ["b"]},
            {"kind": "kinds.sums", "results": {"totals": {"node": "many"}}, "after": [{"node": "many", "condition": "end"}]},
            {"kind": "kinds.noop", "after": [{"node": "a", "condition": "failure"}]},
        ],
        "result": "sums",
    }
    answer = api.post("workflows", given, Idempotency_Key="k")
    assert (answer.status_code, answer.json()["result_node"]) == (201, "sums")
    assert api.post("workflows", given, Idempotency_Key="k").json()["id"] == answer.json()["id"]
    drain()
    shown = api.get(f"workflows/{answer.json()['id']}").json()
    assert {node["name"]: node["state"] for node in shown["nodes"]}.items() >= {"sums": "succeeded", "noop": "skipped"}.items()
    job = next(node["job"] for node in shown["nodes"] if node["name"] == "sums")
    assert (api.get(f"jobs/{job}/result").json()["result"], Workflow.objects.count()) == (13, 1)
    assert AuditEntry.objects.get(action="submit").target == f"workflow order 8 {answer.json()['id']}: 6 jobs"


@pytest.mark.parametrize(
    ("node", "field", "text"),
    [
        ({"kind": "kinds.add", "arguments": {"a": "x", "b": 1}}, "nodes.1.a", "integer"),
        (
            {"kind": "kinds.add", "arguments": {"a": 1, "b": 1}, "after": ["c"]},
            "nodes.1.after.0",
            "no node 'c' before this one",
        ),
        ({"kind": "kinds.add", "arguments": {"b": 1}, "results": {"a": {"node": "a"}}}, "nodes.1", "does not wait for"),
        ({"kind": "kinds.noop", "name": "a"}, "nodes.1", "has a node 'a' already"),
        ({"kind": "kinds.noop", "queue": "nowhere"}, "nodes.1.queue", "'nowhere'"),
        ({"kind": "kinds.map", "rows": [1]}, "nodes.1.kind", "kinds.map"),
        ({"kind": "kinds.add", "rows": [{"a": 1, "b": 1}, {"a": "x", "b": 1}]}, "nodes.1.rows.1.a", "integer"),
        ({"kind": "furrow.wait", "arguments": {"signal": "furrow.approval x"}}, "nodes.1.arguments.signal", "Furrow's own"),
        ({"kind": "kinds.noop", "compensation": {"kind": "kinds.nop"}}, "nodes.1.compensation.kind", "kinds.noop"),
        ({"kind": "kinds.add", "rows": [], "compensation": {"kind": "kinds.noop"}}, "nodes.1.compensation", "has rows"),
        ({"kind": "kinds.add", "rows": [1]}, "nodes.1.rows.0", "must be an object"),
    ],
)
def test_a_node_that_cannot_be_is_refused_by_its_place_and_nothing_is_written(
    api: Api, node: dict[str, Any], field: str, text: str
) -> None:
    answer = api.post(
        "workflows", {"name": "w", "nodes": [{"kind": "kinds.order", "name": "a", "arguments": {"number": 1}}, node]}
    )
    assert (answer.status_code, Workflow.objects.exists()) == (422, False), answer.json()
    assert text in fields(answer)[field]


def test_what_waits_what_takes_back_and_what_follows_a_failure_are_submitted_too(api: Api) -> None:
    given: dict[str, Any] = {
        "name": "order 9",
        "nodes": [
            {"name": "a", "kind": "kinds.add", "arguments": {"a": 1, "b": 2}},
            {"name": "paid", "kind": "furrow.wait", "arguments": {"signal": "paid"}, "after": ["a"]},
            {"name": "later", "kind": "furrow.sleep", "arguments": {"seconds": 0}, "after": ["paid"]},
            {"name": "b", "kind": "kinds.fails", "arguments": {}, "max_attempts": 1, "after": ["later"]},
        ],
        "on_failure": {"kind": "kinds.note", "arguments": {"text": "it failed"}},
    }
    given["nodes"][0]["compensation"] = {"kind": "kinds.add", "arguments": {"b": 1}, "results": {"a": {"node": "a"}}}
    here = f"workflows/{api.post('workflows', given).json()['id']}"
    assert "did you mean 'paid'" in fields(api.post(f"{here}/signals", {"name": "payed"}))["name"]
    drain()
    sent = api.post(f"{here}/signals", {"name": "paid", "payload": {"by": "card"}}, Idempotency_Key="k")
    assert (sent.status_code, sent.json()) == (201, {"delivered": True})
    assert api.post(f"{here}/signals", {"name": "paid", "payload": {"by": "card"}}, Idempotency_Key="k").json() == sent.json()
    drain(raise_on_failure=False)
    shown = api.get(here).json()
    states = {node["name"]: node["state"] for node in shown["nodes"]}
    went = ("a", "paid", "later", "a: compensation", "on failure")
    assert states == {**dict.fromkeys(went, "succeeded"), "b": "failed"}
    entry = AuditEntry.objects.get(action="signal")
    assert (entry.target, entry.detail, entry.token) == (f"workflow order 9 {shown['id']}", "paid", str(api.token))


def test_a_batch_is_opened_filled_and_closed(api: Api) -> None:
    after = {"on_success": {"kind": "kinds.noop"}, "on_first_failure": {"kind": "kinds.note", "arguments": {"text": "no"}}}
    opened = api.post("open-batches", {"name": "import", **after}, Idempotency_Key="k")
    nodes = ["jobs", "on success", "on first failure"]
    assert (opened.status_code, [node["name"] for node in opened.json()["nodes"]]) == (201, nodes)
    here = f"workflows/{opened.json()['id']}"
    rows = {"kind": "kinds.add", "rows": [{"a": 1}, {"a": 2}], "priority": 1}
    for _ in range(2):  # the second time it is the same answer
        assert api.post(f"{here}/jobs", rows, Idempotency_Key="rows").json() == {"workflow": opened.json()["id"], "added": 2}
    drain()
    assert api.get(here).json()["state"] == "running"
    assert "integer" in fields(api.post(f"{here}/jobs", {"kind": "kinds.add", "rows": [{"a": 1}, {"a": "x"}]}))["rows.1.a"]
    other = Api(User.objects.create(username="all", is_superuser=True))
    assert [other.post(f"{here}/{act}", given).status_code for act, given in (("jobs", rows), ("close", None))] == [403, 403]
    assert api.post(f"{here}/close").status_code == api.post(f"{here}/close").status_code == 200
    drain()
    assert api.get(here).json()["state"] == "succeeded"
    refused = api.post(f"{here}/jobs", rows)
    assert (refused.status_code, "is closed" in refused.json()["detail"]) == (409, True)
    assert api.post(f"workflows/{two().id}/close").status_code == 409
    assert "on_complete.kind" in fields(api.post("open-batches", {"name": "x", "on_complete": {"kind": "kinds.nop"}}))
    acts = AuditEntry.objects.exclude(action="create token").order_by("pk").values_list("action", "target", "count")
    target = f"batch import {opened.json()['id']}"
    assert list(acts) == [("submit", target, 2), ("add", target, 2), ("close", target, 1)]


def test_a_signal_to_a_workflow_needs_the_permission_and_its_kinds(db: None) -> None:
    with workflow("order 7") as w:
        w.wait_for("paid")
        w.add(kinds.guarded, {"n": 1})
    viewer = Api(somebody("view_job", "view_workflow"))
    assert viewer.post(f"workflows/{w.id}/signals", {"name": "paid"}).status_code == 403
    may = User.objects.create(username="may")
    may.user_permissions.set(Permission.objects.filter(codename__in=ALL))
    assert Api(may).post(f"workflows/{w.id}/signals", {"name": "paid"}).status_code == 403
    assert not Signal.objects.exists()


def test_acts_change_a_workflow_or_say_why_they_do_not(api: Api) -> None:
    w = two()
    path = f"workflows/{w.id}"
    assert api.post(f"{path}/pause").json()["paused_at"]
    assert [one["id"] for one in api.get("workflows?state=paused").json()["workflows"]] == [str(w.id)]
    drain()
    assert api.get(path).json()["nodes"][1]["why"] == "its workflow is paused: resume it"
    assert api.post(f"{path}/resume").status_code == 200
    assert api.post(f"{path}/resume").json()["detail"] == "Nothing was changed: it was not paused."
    assert api.post(f"{path}/cancel", {"reason": "too late"}).json()["reason"] == "too late"
    drain()
    assert (api.get(path).json()["state"], api.post(f"{path}/cancel").status_code) == ("cancelled", 409)
    assert api.post(f"{path}/restart").json()["state"] == "running"
    refused = api.post(f"{path}/fork", {"node": "a"})
    assert (refused.status_code, "goes on" in refused.json()["detail"]) == (409, True)
    drain()
    forked = api.post(f"{path}/fork", {"node": "a", "arguments": {"b": 9}})
    assert (forked.status_code, forked.json()["fork_of"]) == (201, str(w.id))
    assert "arguments.b" in fields(api.post(f"{path}/fork", {"node": "a", "arguments": {"b": "x"}}))
    acts = Api(User.objects.create(username="acts", is_superuser=True), "act")
    refused = acts.post(f"{path}/fork", {"node": "a", "arguments": {"b": 9}})
    assert (refused.status_code, "lacks the scope submit" in refused.json()["detail"]) == (403, True)
    done = AuditEntry.objects.exclude(action="create token").order_by("pk").values_list("action", flat=True)
    assert list(done) == ["pause", "resume", "cancel", "restart", "fork"]


def test_a_token_sees_and_acts_on_workflows_of_its_kinds_alone_and_needs_the_permission() -> None:
    w = two()
    with workflow("other") as other:
        other.add(flows.order, {"number": 1})
    user = somebody(*ALL)
    api = Api(user, kinds=[kinds.add.name])
    assert [one["name"] for one in api.get("workflows").json()["workflows"]] == ["order 7"]
    assert [api.get(f"workflows/{one.id}").status_code for one in (w, other)] == [200, 404]
    assert api.post(f"workflows/{other.id}/cancel").status_code == 404
    for kind in ("kinds.order", "furrow.wait", "furrow.approval"):
        assert api.post("workflows", {"name": "w", "nodes": [{"kind": kind}]}).status_code == 403
    user.user_permissions.remove(user.user_permissions.get(codename="act_on_workflow"))
    assert api.post(f"workflows/{w.id}/cancel").status_code == 403
    user.user_permissions.clear()
    assert api.get("workflows").status_code == 403
