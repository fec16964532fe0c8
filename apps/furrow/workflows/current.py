"""``current_workflow``: a handler's view of the workflow that its job belongs to, to which it may add."""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from django.db import transaction
from django.db.models import F, Max

from furrow.context import Run, _run
from furrow.errors import StaleRun, WorkflowError
from furrow.kinds.kind import Kind
from furrow.locks.wakeup import wake
from furrow.models import Edge, Job, Node, Workflow
from furrow.models.database import alias, atomic
from furrow.states import NodeState, State
from furrow.workflows.builder import LONGEST_NAME, Graph
from furrow.workflows.handles import After, Handle
from furrow.workflows.moves import look_at
from furrow.workflows.references import source
from furrow.workflows.results import Results

#: The names that a run has added by now.
_added: "WeakKeyDictionary[Run, set[str]]" = WeakKeyDictionary()


class CurrentWorkflow:
    """The workflow of the job that the calling code runs in.

    A job may add nodes to its own workflow. What waits for the job waits for them too, to any depth: by the condition by which
    it waits for the job. They begin at once, also while the job runs, unless they wait for something.

    A run that is a second one finds what an earlier one of its job added, by its name: nothing is there twice. So give names,
    or add in the same order. What another job has added is never taken for it: a name that is taken is refused.
    """

    @property
    def id(self) -> uuid.UUID | None:
        """The workflow's id; ``None`` outside of a workflow."""
        node = _node()
        return None if node is None else node.workflow_id

    @property
    def node(self) -> Handle:
        """The node that this job is, or belongs to: to wait for its end.

        Raises:
            WorkflowError: this is no job of a workflow.
        """
        node = _mine()
        return Handle(node.pk, node.name, node.sort != Node.Sort.JOB)

    def results(self, name: str) -> Results[Any]:
        """What the jobs of the node of this name returned.

        Raises:
            WorkflowError: there is none, or this is no job of a workflow.
        """
        found = Node.objects.filter(workflow=_mine().workflow_id, name=name).values_list("pk", flat=True).first()
        if found is None:
            raise WorkflowError(f"The workflow has no node {name!r}.")
        return Results(source(found))

    def add(
        self,
        kind: Kind | str,
        arguments: Mapping[str, Any] | None = None,
        *,
        after: Iterable[Handle | After] = (),
        name: str = "",
        **given: Any,
    ) -> Handle:
        """Add one job; as ``add`` of :func:`furrow.workflow`.

        Raises:
            WorkflowError: this is no job of a workflow; and as there.
            StaleRun: the job is not this run's any more.
        """
        with _Adding() as adding:
            return adding.add(kind, arguments, after=after, name=name, **given)

    def map(
        self,
        kind: Kind | str,
        rows: Iterable[Mapping[str, Any]],
        *,
        shared: Mapping[str, Any] | None = None,
        after: Iterable[Handle | After] = (),
        name: str = "",
        **given: Any,
    ) -> Handle:
        """Add one job for each row, as one node; as ``map`` of :func:`furrow.workflow`.

        Raises:
            WorkflowError, StaleRun: as for :meth:`add`.
        """
        with _Adding() as adding:
            return adding.map(kind, rows, shared=shared, after=after, name=name, **given)


current_workflow = CurrentWorkflow()


class _Adding(Graph):
    """One addition, in one transaction that has the workflow locked."""

    def __init__(self) -> None:
        self._mine = _mine()
        super().__init__(self._mine.workflow)
        self._atomic = atomic()
        #: Nodes that an earlier run has added.
        self._found: set[uuid.UUID] = set()

    def __enter__(self) -> "_Adding":
        self._atomic.__enter__()
        try:
            self.row = Workflow.objects.select_for_update().get(pk=self.row.pk)
            self._refuse_a_stale_run()
        except BaseException as error:
            self._atomic.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(self, sort: Any, error: Any, traceback: Any) -> None:
        try:
            if sort is None:
                self._write()
        except BaseException as problem:
            self._atomic.__exit__(type(problem), problem, problem.__traceback__)
            raise
        self._atomic.__exit__(sort, error, traceback)

    def _refuse_a_stale_run(self) -> None:
        run = _run.get()
        assert run is not None
        if not Job.objects.filter(pk=run.id, state=State.RUNNING, attempt=run.attempt).exists():
            raise StaleRun("the job is not this run's any more: its workflow stays as it is")

    def _waits(self, after: Iterable[Handle | After]) -> list[After]:
        after = after if isinstance(after, Handle | After) else list(after)  # the one is refused
        given = after if isinstance(after, list) else []
        ids = [one.id if isinstance(one, Handle) else one.node for one in given if isinstance(one, Handle | After)]
        self._there |= set(Node.objects.filter(workflow=self.row, pk__in=ids).values_list("pk", flat=True))
        return super()._waits(after)

    def _write(self) -> None:
        for id in self._found:
            self.planned.pop(id, None)
        if not self.planned:
            return
        waiting = Edge.objects.filter(parent=self._mine.pk, met=None)
        nodes = Node.objects.filter(pk__in=waiting.values("child"), state=NodeState.WAITING)
        children = list(waiting.filter(child__in=nodes.values("pk")))
        self.write()
        for id, one in self.planned.items():
            edges = [Edge(workflow=self.row, parent=id, child=e.child, condition=e.condition) for e in children]
            Edge.objects.bulk_create(edges)
            Node.objects.filter(pk__in=[edge.child for edge in children]).update(unmet=F("unmet") + 1)
            look_at([wait.node for wait in one.after])  # they may have ended
        look_at(self.unlinked)
        transaction.on_commit(wake, using=alias(), robust=True)

    def _node(self, name: str, sort: Node.Sort, *, named: bool) -> Node:
        run = _run.get()
        assert run is not None
        added = _added.setdefault(run, set())
        if not named:
            name = plain = self._usual_name(name, run)
            number = 1
            while name in added:
                number += 1
                name = f"{plain}-{number}"
        node = super()._node(name, sort, named=True)
        # Of this job alone: another job of a node that has many finds its own.
        node.pk = uuid.uuid5(uuid.UUID(str(run.id)), name)
        there = Node.objects.filter(workflow=self.row, name=name).values_list("pk", flat=True).first()
        if there is not None and name in added:
            raise WorkflowError(f"This run has added a node {name!r} already: give this one another name.")
        if there not in (None, node.pk):
            raise WorkflowError(f"The workflow has a node {name!r} already: give this one another name.")
        added.add(name)
        node.added_by = self._mine.pk
        node.position = 1 + (Node.objects.filter(workflow=self.row).aggregate(last=Max("position"))["last"] or 0)
        if there is not None:  # an earlier run has added it
            self._found.add(there)
        return node

    def _usual_name(self, name: str, run: Run) -> str:
        """After the job that adds it, by its node's name where that is enough."""
        usual = f"{self._mine.name}/{name}"
        if self._mine.sort == Node.Sort.JOB and len(usual) <= LONGEST_NAME - 8:
            return usual
        return f"{name[: LONGEST_NAME - 48]} of {run.id}"


def _node() -> Node | None:
    run = _run.get()
    if run is None:
        return None
    mine = Job.objects.filter(pk=run.id).values("node")
    return Node.objects.filter(pk__in=mine).select_related("workflow").first()


def _mine() -> Node:
    node = _node()
    if node is None:
        raise WorkflowError("The calling code runs in no job of a workflow, so there is nothing to add to: use workflow(…).")
    return node
