"""Workflows, while what moves them is killed."""

from functools import partial

from django.db.models import QuerySet
from furrow import Job, workflow
from furrow.models import Move, Node, Workflow
from furrow.states import NodeState, State, WorkflowState

from tests import kinds
from tests.kinds import flows
from tests.stack import Stack, wait_until


def test_every_node_runs_once_whoever_is_killed(bare: Stack) -> None:
    dispatcher, other, worker = bare.dispatcher(), bare.dispatcher(), bare.worker()
    flowing = []
    for number in range(3):
        with workflow(f"w{number}") as w:
            first = w.add(kinds.add, {"a": number, "b": 1}, name="first")
            many = w.map(kinds.add, [{"a": n} for n in range(150)], shared={"b": first.result}, after=[first], name="many")
            before = w.add(flows.sums, {"totals": many.results}, after=[many], name="join")
            for link in range(6):
                before = w.add(kinds.add, {"a": before.result, "b": 1}, after=[before], name=f"link {link}")
        flowing.append(w.id)
    ended = Job.objects.filter(state=State.SUCCEEDED)
    for process, at in ((dispatcher, 20), (worker, 150), (other, 300)):
        wait_until(partial(_at_least, ended, at), what=f"{at} jobs have ended")
        process.kill()
        bare.worker() if process is worker else bare.dispatcher()
    running = Workflow.objects.filter(state=WorkflowState.RUNNING)
    wait_until(lambda: not running.exists(), seconds=120, what="the workflows have ended")
    assert set(Workflow.objects.values_list("state", flat=True)) == {WorkflowState.SUCCEEDED}
    assert set(Node.objects.values_list("state", "unmet", "open")) == {(NodeState.SUCCEEDED, 0, 0)}
    sums = [sum(range(150)) + 150 * (number + 1) for number in range(3)]
    last = Node.objects.filter(name="link 5").values("pk")
    assert list(Job.objects.filter(node__in=last).order_by("pk").values_list("result", flat=True)) == [s + 6 for s in sums]
    assert not Move.objects.exists()


def _at_least(jobs: "QuerySet[Job]", number: int) -> bool:
    return jobs.count() >= number
