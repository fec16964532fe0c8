"""Batches: jobs that are added one after the other, and what follows when all of them have ended."""

import contextlib
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django.db import Error
from django.db.models import F
from django.db.models.functions import Now

from furrow.errors import WorkflowError
from furrow.kinds.kind import Kind, get_kind
from furrow.models import Move, Node, Workflow
from furrow.models.database import atomic
from furrow.states import UNENDED, NodeState
from furrow.submission.submit import written
from furrow.workflows.acts import cancel
from furrow.workflows.builder import Builder
from furrow.workflows.checks import texts_of
from furrow.workflows.handles import After, Handle
from furrow.workflows.jobs import Prepared, Rows
from furrow.workflows.results import Results

#: A kind, or a kind with its arguments.
Callback = Kind | str | tuple[Kind | str, Mapping[str, Any]]


class Batch:
    """A batch, open until it is closed: :func:`furrow.batch` makes one, ``Batch(id)`` is one that is there, from anywhere."""

    def __init__(self, id: uuid.UUID) -> None:
        self.id = id

    def add(self, kind: Kind | str, arguments: Mapping[str, Any] | None = None, **given: Any) -> None:
        """Add one job, in the current transaction; options as for :func:`furrow.submit`, but for ``unique`` and ``id``.

        Raises:
            WorkflowError: the batch is closed, or there is none.
            UnknownKind, ArgumentError, OptionError: as for ``submit``.
        """
        self._add(kind, [{} if arguments is None else arguments], given, many=False)

    def map(self, kind: Kind | str, rows: Iterable[Mapping[str, Any]], **given: Any) -> None:
        """Add one job for each row of arguments.

        Raises:
            WorkflowError, UnknownKind, ArgumentError, OptionError: as for :meth:`add`.
        """
        self._add(kind, list(rows), given, many=True)

    def _add(self, kind: Kind | str, rows: list[Mapping[str, Any]], given: dict[str, Any], *, many: bool) -> None:
        kind = kind if isinstance(kind, Kind) else get_kind(kind)
        texts = texts_of(kind.arguments, rows, many=many)
        with atomic():
            node = self._locked()
            if node.closed_at is not None or node.state not in UNENDED:
                raise WorkflowError(f"The batch {node.workflow.name!r} is closed: nothing can be added to it any more.")
            count = len(texts)
            Node.objects.filter(pk=node.pk).update(jobs=F("jobs") + count, open=F("open") + count)
            inserted = Rows()
            ids = Prepared.of(kind, node.workflow, given, ()).write(node, texts, inserted)
            inserted.flush()
        written(ids if node.state == NodeState.RUNNING else [])

    def close(self) -> bool:
        """Nothing more comes: when all that is there has ended, the callbacks run. Closing twice is closing once; ``False``: it
        was closed."""
        with atomic():
            node = self._locked()
            was_open = node.closed_at is None
            if was_open:
                Node.objects.filter(pk=node.pk).update(closed_at=Now())
                Move.objects.create(node=node.pk, open=-1)
        written([])
        return was_open

    @property
    def results(self) -> Results[Any]:
        """What its jobs returned by now, in the order in which they were added."""
        return Results(self._node().pk)

    def _node(self) -> Node:
        node = Node.objects.filter(workflow=self.id, sort=Node.Sort.BATCH).select_related("workflow").first()
        if node is None:
            raise WorkflowError(f"There is no batch {self.id}.")
        return node

    def _locked(self) -> Node:
        Workflow.objects.select_for_update().filter(pk=self.id).first()
        return self._node()


def open_batch(
    name: str, callbacks: Mapping[str, Callback | None], *, submitted_by: Any = None, id: uuid.UUID | None = None
) -> Batch:
    """A batch that stays open until somebody closes it; ``callbacks`` are those of :func:`batch`, by their names.

    Raises:
        WorkflowError, UnknownKind, ArgumentError, OptionError: something cannot be.
    """
    builder = Builder.of(name, submitted_by, id)
    jobs = builder.open_node("jobs")
    after: dict[str, Handle | After] = {
        "on_success": jobs,
        "on_complete": jobs.ended,
        "on_first_failure": jobs.first_failed,
    }
    for called, waits in after.items():
        if (callback := callbacks.get(called)) is not None:
            kind, arguments = callback if isinstance(callback, tuple) else (callback, {})
            builder.add(kind, arguments, after=[waits], name=called.replace("_", " "))
    builder.result = jobs
    builder.submit()
    return Batch(builder.id)


@contextlib.contextmanager
def batch(
    name: str,
    *,
    on_success: Callback | None = None,
    on_complete: Callback | None = None,
    on_first_failure: Callback | None = None,
    submitted_by: Any = None,
    id: uuid.UUID | None = None,
) -> Iterator[Batch]:
    """Open a batch of jobs; it is closed when the block ends::

        with batch("import", on_success=(report, {"month": 7}), on_first_failure=alert) as b:
            for path in paths:
                b.add(load, {"path": path})

    Each ``add`` is of its own transaction, or of yours; jobs run while more are added. ``Batch(b.id)`` is the same batch
    elsewhere. A job of a batch may add more (:data:`furrow.current_workflow`), and the callbacks wait for that too; they read
    the results with ``current_workflow.results("jobs")``.

    Args:
        on_success: a kind, or a kind and its arguments: when all have succeeded.
        on_complete: when all have ended.
        on_first_failure: as soon as one has failed for good.

    Raises:
        WorkflowError, UnknownKind, ArgumentError, OptionError: something cannot be.
        Exception: what the block raises; the batch is cancelled then.
    """
    given = {"on_success": on_success, "on_complete": on_complete, "on_first_failure": on_first_failure}
    opened = open_batch(name, given, submitted_by=submitted_by, id=id)
    try:
        yield opened
    except BaseException as error:
        try:
            opened.close()
            cancel([opened.id], reason=f"the block that filled the batch raised {type(error).__name__}")
        except Error as problem:  # of a transaction that is broken, which takes the batch back, or of a database that is away
            error.add_note(f"The batch {opened.id} was not cancelled: {problem}")
        raise
    opened.close()
