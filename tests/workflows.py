"""What became of a workflow, for tests. Jobs run in the test's process."""

from furrow import (
    Job,
)
from furrow.models import Node, Workflow
from furrow.testing import drain
from furrow.workflows.builder import Builder


def nodes(w: Builder) -> dict[str, str]:
    """The states of its nodes, by name."""
    return dict(Node.objects.filter(workflow=w.id).values_list("name", "state"))


def state(w: Builder) -> str:
    return Workflow.objects.get(pk=w.id).state


def result(w: Builder, name: str) -> object:
    return Job.objects.get(node=Node.objects.get(workflow=w.id, name=name).pk).result


def run() -> None:
    drain(raise_on_failure=False, with_scheduled=True)
