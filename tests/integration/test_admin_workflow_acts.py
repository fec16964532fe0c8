"""What people do to workflows from the admin: one, chosen ones, all that match; a fork with other arguments; who may."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from furrow import Job, workflow
from furrow.models import AuditEntry, Node, Workflow
from furrow.states import WorkflowState
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
LIST = "/admin/furrow/workflow/"


def run() -> None:
    drain(raise_on_failure=False, with_scheduled=True)


def broken(name: str = "again") -> Builder:
    """Its first node fails at its first attempt, and not at its second."""
    with workflow(name) as w:
        a = w.add(kinds.succeeds_on, {"attempt": 2}, name="a", max_attempts=1)
        w.add(kinds.noop, after=[a], name="b")
    return w


def state(w: Builder) -> str:
    return Workflow.objects.get(pk=w.id).state


def post(client: Client, w: Builder, action: str) -> int:
    return client.post(f"{LIST}{w.id}/{action}/").status_code


def offered(client: Client, w: Builder) -> list[str]:
    found: list[str] = client.get(f"{LIST}{w.id}/change/").context["offered"]
    return found


def test_a_workflow_is_paused_resumed_and_cancelled_from_its_page(admin_client: Client) -> None:
    w = broken()
    assert offered(admin_client, w) == ["cancel", "pause"]
    assert post(admin_client, w, "pause") == 302
    assert offered(admin_client, w) == ["cancel", "resume"]
    assert post(admin_client, w, "resume") == 302
    assert post(admin_client, w, "cancel") == 302
    assert "Being cancelled since" in page(admin_client, f"furrow/workflow/{w.id}/change/")
    run()
    assert state(w) == WorkflowState.CANCELLED
    assert "Nothing was changed" in admin_client.post(f"{LIST}{w.id}/cancel/", follow=True).content.decode()
    assert [entry.action for entry in AuditEntry.objects.order_by("pk")] == ["pause", "resume", "cancel"]
    assert "cancelled by admin" in page(admin_client, f"furrow/workflow/{w.id}/change/")


def test_a_workflow_is_restarted_from_what_failed(admin_client: Client) -> None:
    w = broken()
    run()
    assert (state(w), offered(admin_client, w)) == (WorkflowState.FAILED, ["restart"])
    assert "Restart from what failed" in page(admin_client, f"furrow/workflow/{w.id}/change/")
    assert post(admin_client, w, "restart") == 302
    run()
    assert state(w) == WorkflowState.SUCCEEDED


def test_chosen_workflows_and_all_that_match_are_changed_after_a_question(admin_client: Client) -> None:
    ones = [broken(f"one {n}") for n in range(3)]
    other = broken("other")
    form: dict[str, Any] = {"action": "pause", "_selected_action": [str(ones[0].id)], "select_across": "0"}
    asked = admin_client.post(LIST, form).content.decode()
    assert "1 workflow" in asked
    assert not Workflow.objects.exclude(paused_at=None).exists()
    admin_client.post(LIST, {**form, "confirmed": "yes"})
    assert Workflow.objects.exclude(paused_at=None).get().pk == ones[0].id
    form |= {"select_across": "1", "action": "cancel"}
    assert "3 workflows" in admin_client.post(f"{LIST}?q=one", form).content.decode()
    admin_client.post(f"{LIST}?q=one", {**form, "confirmed": "yes"})
    run()
    assert [state(one) for one in ones] == [WorkflowState.CANCELLED] * 3
    assert state(other) != WorkflowState.CANCELLED
    assert "none of them" in admin_client.post(f"{LIST}?q=one", {**form, "confirmed": "yes"}, follow=True).content.decode()


def test_a_node_runs_again_with_other_arguments_in_a_new_workflow(admin_client: Client) -> None:
    with workflow("sums") as w:
        a = w.add(kinds.add, {"a": 1, "b": 2}, name="a")
        b = w.add(kinds.add, {"a": a.result, "b": 10}, after=[a], name="b")
        w.add(flows.adds_up, {"totals": [1], "more": b.result}, after=[b], name="c")
    assert "Run again from here" not in page(admin_client, f"furrow/workflow/{w.id}/change/")
    run()
    node = Node.objects.get(workflow=w.id, name="b")
    address = f"{LIST}{w.id}/fork/{node.pk}/"
    assert address in page(admin_client, f"furrow/workflow/{w.id}/change/")
    form = admin_client.get(address)
    text = form.content.decode()
    assert "the node that comes" in text
    assert 'value="10"' in text
    assert "As before: a (" in text
    refused = admin_client.post(address, {"b": "x"})
    assert (refused.status_code, Workflow.objects.count()) == (422, 1)
    answer = admin_client.post(address, {"b": "20"})
    new = Workflow.objects.exclude(pk=w.id).get()
    assert answer["Location"] == f"{LIST}{new.pk}/change/"
    run()
    assert Job.objects.get(node=Node.objects.get(workflow=new, name="c").pk).result == 24
    assert "Repeated by" in page(admin_client, f"furrow/workflow/{w.id}/change/")
    text = page(admin_client, f"furrow/workflow/{new.pk}/change/")
    assert "Repeats <a" in text
    assert "Not run again: its result is that of the workflow that this one repeats" in text


def test_a_node_of_many_jobs_runs_again_as_it_was(admin_client: Client) -> None:
    with workflow("many") as w:
        many = w.map(kinds.add, [{"a": n, "b": 1} for n in range(3)], name="many")
        w.add(flows.sums, {"totals": many.results}, after=[many], name="sum")
    run()
    address = f"{LIST}{w.id}/fork/{many.id}/"
    assert "with the arguments that they had" in admin_client.get(address).content.decode()
    assert admin_client.post(address).status_code == 302
    assert Workflow.objects.count() == 2


def test_who_may_act_on_workflows_and_on_the_kinds_in_them(client: Client) -> None:
    with workflow("guarded") as guarded:
        guarded.add(kinds.guarded, {})
    free = broken()
    login(client, "view_workflow", "act_on_workflow")
    assert (offered(client, guarded), offered(client, free)) == ([], ["cancel", "pause"])
    assert (post(client, guarded, "cancel"), post(client, free, "pause")) == (403, 302)
    client.post(LIST, {"action": "cancel", "_selected_action": str(guarded.id), "confirmed": "yes"})
    assert Workflow.objects.get(pk=guarded.id).cancel_requested_at is None
    viewer = Client()
    user = User.objects.create(username="viewer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_workflow"))
    viewer.force_login(user)
    assert (offered(viewer, free), post(viewer, free, "resume")) == ([], 403)
