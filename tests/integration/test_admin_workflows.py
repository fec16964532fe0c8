"""The pages of workflows: the list, one's graph, timeline and table; large ones, hostile names, what is seen by whom."""

import re
from itertools import pairwise
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from furrow import Job, State, workflow
from furrow.actions.jobs import cancel
from furrow.admin.workflows import page as workflow_page
from furrow.models import Edge, Node, Workflow
from furrow.states import NodeState
from furrow.testing import drain
from furrow.workflows.builder import Builder

from tests import kinds
from tests.kinds import flows
from tests.pages import page
from tests.people import login

pytestmark = [
    pytest.mark.engine,
    pytest.mark.usefixtures("nobody_runs"),
    pytest.mark.filterwarnings("ignore:No directory at"),
]
#: What a name may do to a page.
HOSTILE = ["<script>alert(1)</script>", "\u202eabc", "🚀" * 60, "مرحبا بالعالم", "x" * 200]


def show(client: Client, w: Builder | Workflow, query: str = "") -> str:
    id = w.id if isinstance(w, Builder) else w.pk
    return page(client, f"furrow/workflow/{id}/change/{query}")


def boxes(text: str) -> list[str]:
    """What the graph says of each node, in its order."""
    return re.findall(r'<a href="[^"]*" class="fw-node [^>]*aria-label="([^"]*)"', text)


def diamond() -> Builder:
    """Four nodes, of which the third fails and the last waits for its end."""
    with workflow("order 7") as w:
        a = w.add(kinds.add, {"a": 1, "b": 2}, name="first")
        b = w.map(kinds.noop, [{}] * 30, after=[a], name="many")
        c = w.add(kinds.fails, {}, after=[a], name="third", max_attempts=1)
        w.add(kinds.noop, after=[c], name="never")
        w.add(kinds.add, {"a": a.result, "b": 1}, after=[a, b, c.ended], name="last")
    return w


def test_a_workflow_is_listed_with_how_far_it_is(admin_client: Client) -> None:
    assert "No workflows yet" in page(admin_client, "furrow/workflow/")
    assert "with workflow(&quot;order 7&quot;) as w:" in page(admin_client, "furrow/workflow/")
    w = diamond()
    text = page(admin_client, "furrow/workflow/")
    assert "0 of 5 nodes, 0 of 34 jobs" in text
    drain(raise_on_failure=False)
    text = page(admin_client, "furrow/workflow/")
    assert "5 of 5 nodes, 34 of 34 jobs" in text
    assert "1 workflow" in text
    assert f"/admin/furrow/workflow/{w.id}/change/" in text


def test_a_list_is_filtered_and_searched(admin_client: Client, admin_user: Any) -> None:
    with workflow("mine", submitted_by=admin_user) as mine:
        mine.add(kinds.noop)
    with workflow("theirs") as theirs:
        theirs.add(kinds.noop)
    Workflow.objects.filter(pk=theirs.id).update(paused_at=timezone.now())
    for query, seen in (
        ("?by=admin", {"mine"}),
        ("?paused=yes", {"theirs"}),
        ("?paused=no", {"mine"}),
        ("?state=running", {"mine", "theirs"}),
        ("?state=failed", set()),
        ("?q=heir", {"theirs"}),
        (f"?q={mine.id}", {"mine"}),
        ("?at=1h", {"mine", "theirs"}),
    ):
        rows = admin_client.get(f"/admin/furrow/workflow/{query}").context["cl"].result_list
        assert {row.name for row in rows} == seen, query
    assert admin_client.get("/admin/furrow/workflow/?paused=perhaps").status_code == 400


def test_the_graph_and_the_table_say_the_same(admin_client: Client) -> None:
    w = diamond()
    text = show(admin_client, w)
    assert [told.partition(";")[0] for told in boxes(text)] == [
        "first: pending", "many: waiting", "third: waiting", "never: waiting", "last: waiting",
    ]  # fmt: skip
    waits = "Waits for the success of &#x27;first&#x27; (running), the success of &#x27;many&#x27; (waiting) and the end of"
    assert text.count(waits) == 3  # in the graph as its label and its title, and in the table
    assert "0 of 30" in text
    assert text.count('class="fw-line fw-on-success') == 5 + 1  # and in the legend
    assert text.count('class="fw-line fw-on-end') == 1 + 1
    assert "on end" in text
    drain(raise_on_failure=False)
    text = show(admin_client, w)
    assert [told.partition(";")[0] for told in boxes(text)] == [
        "first: succeeded", "many: succeeded", "third: failed", "never: skipped", "last: succeeded",
    ]  # fmt: skip
    assert "&#x27;third&#x27; failed, and this waited for its success" in text
    assert "30 of 30" in text
    job = Job.objects.get(node=Node.objects.get(workflow=w.id, name="third").pk)
    assert f"/admin/furrow/job/{job.pk}/change/" in text
    assert "data-part" not in text  # it changes no more
    assert f"furrow/job/?node={Node.objects.get(workflow=w.id, name='many').pk}" in text


def test_the_result_of_a_workflow_is_shown_whole_or_as_whose_it_is(admin_client: Client) -> None:
    with workflow("outer") as w:
        inner = w.workflow("inner")
        inner.add(flows.order, {"number": 7})
    with workflow("many") as many:
        many.map(kinds.add, [{"a": 1, "b": 1}])
    assert "a workflow" in show(admin_client, w)
    drain()
    text = show(admin_client, w)
    assert "&quot;lines&quot;: [" in text
    assert f"/admin/furrow/workflow/{inner.id}/change/" in text
    assert f'Part of <a href="/admin/furrow/workflow/{w.id}/change/"' in show(admin_client, inner)
    assert "The results of many jobs" in show(admin_client, many)


def test_the_live_part_comes_until_the_workflow_has_ended(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow_page, "COARSE", 1e12)
    w = diamond()
    address = f"/admin/furrow/workflow/{w.id}/live/"
    first = admin_client.get(address)
    assert admin_client.get(address, {"mark": first["X-Mark"]}).status_code == 204
    assert "X-Last" not in first
    drain(raise_on_failure=False)
    last = admin_client.get(address, {"mark": first["X-Mark"]})
    assert (last.status_code, last["X-Last"]) == (200, "yes")


def test_a_paused_workflow_says_so_where_it_waits(admin_client: Client) -> None:
    with workflow("paused") as w:
        a = w.add(kinds.noop, name="a")
        w.add(kinds.noop, after=[a], name="b")
    Node.objects.filter(workflow=w.id, name="b").update(unmet=0)
    Edge.objects.filter(workflow=w.id).update(met=True)
    Workflow.objects.filter(pk=w.id).update(paused_at=timezone.now())
    text = show(admin_client, w)
    assert "what runs goes on, nothing more is let go" in text
    assert "b: waiting; The workflow was paused" in text


def test_ten_thousand_nodes_in_a_chain_are_shown_where_it_is(admin_client: Client) -> None:
    w = Workflow.objects.create(name="long")
    nodes = [Node(workflow=w, name=f"n{n}", kind="kinds.noop", position=n, unmet=1, jobs=1, open=1) for n in range(1, 10_001)]
    Node.objects.bulk_create(nodes)
    Edge.objects.bulk_create(Edge(workflow=w, parent=a.pk, child=b.pk) for a, b in pairwise(nodes))
    text = show(admin_client, w)
    assert (len(boxes(text)), text.count('<tr id="node-')) == (300, 300)
    assert "300 of 10,000 nodes" in text
    assert len(text) < 1_000_000
    Node.objects.filter(workflow=w, position=7_000).update(state=NodeState.FAILED, finished_at=timezone.now())
    text = show(admin_client, w)
    assert "n7000: failed" in text
    assert "Earlier nodes" in text
    assert "Later nodes" in text
    assert "n9999: waiting" in show(admin_client, w, "?from=9900")
    assert f"/admin/furrow/workflow/{w.pk}/change/" in page(admin_client, "furrow/workflow/")


def test_a_hundred_thousand_jobs_are_one_box(admin_client: Client) -> None:
    with workflow("wide") as w:
        many = w.map(kinds.noop, [{}] * 3, name="many")
        w.add(kinds.noop, after=[many])
    Node.objects.filter(pk=many.id).update(jobs=100_000, open=40_000, failed=7)
    text = show(admin_client, w)
    assert "60,000 of 100,000" in text
    assert "40,000 of 100,000 jobs to go, 7 failed" in text
    assert len(boxes(text)) == 2


def test_nodes_that_are_alike_are_one_box_and_a_row_each(admin_client: Client) -> None:
    with workflow("alike") as w:
        first = w.add(kinds.noop, name="first")
        ones = [w.add(kinds.noop, after=[first]) for _ in range(20)]
        w.add(kinds.noop, after=ones, name="last")
    text = show(admin_client, w)
    assert boxes(text)[1] == "20 nodes of kind kinds.noop: 20 waiting"
    assert (len(boxes(text)), text.count('<tr id="node-')) == (3, 22)
    assert text.count('class="fw-line fw-on-success') == 2 + 1


def test_names_do_nothing_to_a_page(admin_client: Client) -> None:
    for name in HOSTILE:
        with workflow(name) as w:
            a = w.add(kinds.noop, name=name)
            w.add(kinds.noop, after=[a.ended])
        cancel(Job.objects.filter(node=a.id))
        for text in (show(admin_client, w), page(admin_client, "furrow/workflow/")):
            assert "<script>alert(1)" not in text
            assert "\u202e" not in text


def test_jobs_are_found_by_their_workflow_and_by_their_node(admin_client: Client) -> None:
    w = diamond()
    many = Node.objects.get(workflow=w.id, name="many")
    rows = admin_client.get(f"/admin/furrow/job/?workflow={w.id}").context["cl"]
    assert rows.result_count == 34
    assert admin_client.get(f"/admin/furrow/job/?node={many.pk}").context["cl"].result_count == 30
    assert admin_client.get("/admin/furrow/job/?node=x").status_code == 400


def test_the_page_of_a_job_leads_to_its_workflow(admin_client: Client) -> None:
    w = diamond()
    job = Job.objects.get(node=Node.objects.get(workflow=w.id, name="last").pk)
    assert job.state == State.WAITING
    text = page(admin_client, f"furrow/job/{job.pk}/change/")
    assert f'<a href="/admin/furrow/workflow/{w.id}/change/">order 7</a>' in text
    assert "node last" in text


def test_who_may_see_workflows_and_no_jobs_sees_none(client: Client) -> None:
    w = diamond()
    drain(raise_on_failure=False)
    somebody = login(client, "view_workflow")
    text = show(somebody, w)
    assert "/admin/furrow/job/" not in text
    assert "it fails" not in text
    assert "third: failed" in text
    assert client.get("/admin/furrow/workflow/x/change/").status_code == 404
