"""Jobs whose results others will ask for are not deleted by hand."""

import pytest
from furrow import Job, JobFailed, State, current_job, send_signal, submit, workflow
from furrow.actions.jobs import delete
from furrow.models import Node, Workflow
from furrow.testing import drain
from furrow.workflows.forking import fork
from furrow.workflows.results import Results

from tests import kinds
from tests.kinds import stepped

pytestmark = [pytest.mark.django_db, pytest.mark.engine]


def ended() -> list[Job]:
    return list(Job.objects.filter(kind="kinds.add", state=State.SUCCEEDED).order_by("pk"))


def test_jobs_of_a_workflow_that_goes_on_are_not_deleted_nor_those_inside() -> None:
    with workflow("order") as w:
        many = w.map(kinds.add, [{"a": 1}, {"a": 2}], name="many")
        inner = w.workflow("inner")
        inner.add(kinds.add, {"a": 3})
        assert inner.node is not None
        go = w.wait_for("go", after=[many, inner.node])
    alone = submit(kinds.add, {"a": 4})
    drain()
    assert len(ended()) == 4
    assert delete([one.pk for one in ended()]) == 1
    assert not Job.objects.filter(pk=alone.pk).exists()
    send_signal(w.id, "go")
    drain()
    assert Node.objects.get(name=go.name).state == "succeeded"
    assert delete(Job.objects.filter(state=State.SUCCEEDED)) == 4


def test_what_a_handler_called_is_not_deleted_before_it_has_read_the_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        stepped, "script", lambda: current_job.call_many("kinds.add", [{"a": 1}, {"a": 2}]) and current_job.wait_signal("go")
    )
    job = submit(stepped.scripted)
    drain(raise_on_failure=False)
    assert Workflow.objects.get().state == "succeeded"
    assert delete([one.pk for one in ended()]) == 0
    drain(raise_on_failure=False)
    job.refresh_from_db()
    assert job.error == "waits for the signal 'go'"
    assert delete([one.pk for one in ended()]) == 2


def test_results_of_which_some_are_gone_are_refused_and_not_moved_up() -> None:
    with workflow("sums") as w:
        many = w.map(kinds.add, [{"a": 1}, {"a": 2}, {"a": 3}], name="many")
        w.add("kinds.note", {"text": many.results}, after=[many], name="join")  # fails: it takes a text
    drain(raise_on_failure=False)
    assert Job.objects.get(kind="kinds.note").error.startswith("ArgumentError")
    node = Node.objects.get(name="many")
    assert list(Results(node.pk)) == [2, 3, 4]
    assert delete(ended()[0].pk) == 1
    with pytest.raises(JobFailed, match="1 of 3 results are gone"):
        list(Results(node.pk))
    fork(w.id, "join")
    drain(raise_on_failure=False)
    assert "1 of 3 results are gone" in Job.objects.filter(kind="kinds.note").latest("pk").error
