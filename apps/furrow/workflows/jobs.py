"""The jobs of a workflow's nodes: their columns, as a submit has them, and the INSERT of many at once."""

import json
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from django.db import IntegrityError

from furrow import signals, statements
from furrow.errors import OptionError, WorkflowError
from furrow.kinds.kind import Kind
from furrow.middleware import Submission, around_submit, chains
from furrow.models import Node, Workflow
from furrow.models.database import alias, connection
from furrow.models.job import new_id
from furrow.states import NodeState, State
from furrow.submission import options
from furrow.submission.columns import Ruled


class Prepared(NamedTuple):
    """The columns that the jobs of a node share."""

    kind: Kind
    columns: dict[str, Any]
    ruled: Ruled | None
    meta: dict[str, Any]

    @classmethod
    def of(cls, kind: Kind, workflow: Workflow, given: dict[str, Any], late: Collection[str]) -> "Prepared":
        """From the options of a submit.

        Raises:
            OptionError: one cannot be.
        """
        if "id" in given:
            raise OptionError(kind.name, {"id": "names one job, and this node has many: leave it out"})
        if "unique" in given:
            raise OptionError(kind.name, {"unique": "is no option of a node, which has a name of its own: leave it out"})
        names = ("queue", "priority", "run_at", "countdown", "expires", "max_attempts", "batch")
        given = dict(given)
        chosen: dict[str, Any] = {name: given.pop(name, None) for name in names}
        tags, meta = given.pop("tags", ()), given.pop("meta", None)
        columns = options.columns(kind, **chosen, submitted_by=None) | options.tags_column(kind, tags)
        columns["submitted_by_id"] = workflow.submitted_by_id
        ruled = Ruled.of(kind, given, columns)  # type: ignore[arg-type]
        if ruled is not None and ruled.unique:
            text = (
                "a kind whose jobs are unique cannot be a node, since its job may be another's: submit it from a node's handler"
            )
            raise OptionError(kind.name, {"unique": text})
        for name in late if ruled is not None else ():
            if ruled is not None and ruled.own(json.dumps({name: "a"})) != ruled.own(json.dumps({name: "b"})):
                text = "is a result of another node, but a key of this kind's rules needs it at the submit: pass its value"
                raise OptionError(kind.name, {name: text})
        return cls(kind, columns, ruled, options.given_meta(kind, meta))

    def write(
        self, node: Node, texts: Sequence[str], rows: "Rows", ids: Sequence[uuid.UUID] | None = None
    ) -> Sequence[uuid.UUID]:
        """The jobs of a node, with these arguments, within the middleware; their ids, which are fresh unless they are given."""
        ids = [new_id() for _ in texts] if ids is None else ids

        def insert(meta: dict[str, Any]) -> None:
            columns = self.columns | options.meta_column(self.kind, meta)
            columns["node"] = node.pk
            if node.state != NodeState.RUNNING:
                columns["state"] = str(State.WAITING)
            own = None if self.ruled is None else [self.ruled.own(text) for text in texts]
            rows.add(ids, texts, columns, own)
            if chains().submit:
                rows.flush()
            signals.submitted(self.kind.name, ids)

        around_submit(Submission(self.kind.name, self.columns["queue"], len(ids), self.meta), insert, using=alias())
        return ids


class Rows:
    """Rows of jobs that are inserted together, by the columns that they have."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, ...], tuple[list[uuid.UUID], list[str], list[Mapping[str, Any]]]] = {}

    def add(
        self,
        ids: Sequence[uuid.UUID],
        texts: Sequence[str],
        columns: Mapping[str, Any],
        own: Sequence[Mapping[str, Any]] | None,
    ) -> None:
        """Jobs that have these columns, and some of their own."""
        for number, (id, text) in enumerate(zip(ids, texts, strict=True)):
            row = columns if own is None else {**columns, **own[number]}
            into = self._rows.setdefault(tuple(row), ([], [], []))
            into[0].append(id)
            into[1].append(text)
            into[2].append(row)

    def flush(self) -> None:
        """INSERT what is there.

        Raises:
            WorkflowError: an id is another job's.
        """
        for ids, texts, rows in self._rows.values():
            try:
                inserted = statements.on(connection).insert_jobs(connection, ids, texts, {}, rows)
            except IntegrityError:
                inserted = 0
            if inserted < len(ids):
                raise WorkflowError("An id=… that was given is the id of another job: leave it out, or use a fresh one.")
        self._rows.clear()
