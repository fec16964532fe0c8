"""A workflow while it is written down: nodes, what they wait for, and the INSERTs that submit it whole.

One file because a workflow that runs (:mod:`furrow.workflows.current`) and one that is written down add nodes in one way.
"""

import contextlib
import datetime as dt
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from furrow.approvals.asking import ASKS, Question
from furrow.approvals.form import path_of
from furrow.errors import ArgumentError, StepError, WorkflowError, did_you_mean
from furrow.kinds.kind import Kind, get_kind
from furrow.models import Edge, Job, Node, Workflow
from furrow.models.database import alias, atomic
from furrow.models.job import new_id
from furrow.statements import clock
from furrow.states import Condition, NodeState, State
from furrow.steps.sending import WAITS
from furrow.submission.options import Expires, as_uuid, expiry
from furrow.submission.submit import written
from furrow.workflows.checks import is_lazy, refuse_references, texts_of
from furrow.workflows.handles import After, Handle
from furrow.workflows.jobs import Prepared, Rows
from furrow.workflows.moves import look_at
from furrow.workflows.references import inside, template
from furrow.workflows.telling import tell_of

#: The longest name of a workflow or a node.
LONGEST_NAME = 200


@dataclass
class Planned:
    """A node, before it is written."""

    node: Node
    after: list[After]
    prepared: Prepared | None = None
    texts: list[str] = field(default_factory=list)
    #: Of its jobs.
    ids: list[uuid.UUID] = field(default_factory=list)


class Graph:
    """What a workflow consists of so far. Base of :class:`Builder`, and of what a running job adds."""

    def __init__(self, row: Workflow) -> None:
        self.row = row
        self.planned: dict[uuid.UUID, Planned] = {}
        self._names: set[str] = set()
        #: From which number on names are looked for that are not taken.
        self._numbers: dict[str, int] = {}
        #: Nodes that are there already, and may be waited for.
        self._there: set[uuid.UUID] = set()
        self._inner: dict[uuid.UUID, Builder] = {}

    @property
    def id(self) -> uuid.UUID:
        """The workflow's id."""
        return self.row.pk

    def add(
        self,
        kind: Kind | str,
        arguments: Mapping[str, Any] | None = None,
        *,
        after: Iterable[Handle | After] = (),
        name: str = "",
        **given: Any,
    ) -> Handle:
        """Add one job.

        Args:
            kind: a kind, or its name.
            arguments: by name; a value may be, or have inside, ``other.result`` of a node that this one waits for.
            after: what it waits for: nodes (for their success), ``node.ended``, ``node.failed``, ``node.first_failed``.
            name: unique in the workflow. Default: the kind's last name, with a number where that is taken.
            given: options and rules as for :func:`furrow.submit`, but for ``unique``.

        Raises:
            UnknownKind, ArgumentError, OptionError: as for :func:`furrow.submit`.
            WorkflowError: a name that is taken, something to wait for that is of another workflow, a reference to the result
                of a node that it does not wait for.
        """
        kind = kind if isinstance(kind, Kind) else get_kind(kind)
        return self._plan(kind, [{} if arguments is None else arguments], self._waits(after), name, Node.Sort.JOB, given)

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
        """Add one job for each row of arguments, as one node: it succeeds when all of them have, and fails when one did and all
        have ended. There may be none.

        Args:
            rows: arguments by name, without references.
            shared: arguments that all of them get; a value may be ``other.result`` as for :meth:`add`.

        Raises:
            ArgumentError: names the first row at fault, counted from 0.
            UnknownKind, OptionError, WorkflowError: as for :meth:`add`.
        """
        kind = kind if isinstance(kind, Kind) else get_kind(kind)
        shared = dict(shared or {})
        rows = [{**row, **shared} if shared else row for row in rows]
        return self._plan(kind, rows, self._waits(after), name, Node.Sort.MAP, given)

    def workflow(self, name: str, *, after: Iterable[Handle | After] = ()) -> "Builder":
        """Add another workflow as one node: it begins when that may, and the node ends with it, and has its result. Write it
        down before the ``with`` block of this one ends; ``node`` of what is returned is the node."""
        waits = self._waits(after)
        node = self._node(name, Node.Sort.WORKFLOW, named=True)
        node.jobs = node.open = 1
        self.planned[node.pk] = Planned(node, waits)
        by, paused_at = self.row.submitted_by_id, self.row.paused_at
        inner = Builder(Workflow(name=name, parent=node.pk, submitted_by_id=by, paused_at=paused_at))
        self._inner[node.pk] = inner
        inner.node = Handle(node.pk, node.name)
        return inner

    def wait_for(
        self,
        signal: str,
        *,
        timeout: dt.timedelta | float | None = None,
        after: Iterable[Handle | After] = (),
        name: str = "",
    ) -> Handle:
        """Add a node that waits for a signal to the workflow (``send_signal(workflow, "paid", {…})``), whose payload is its
        result. It occupies no process. A signal that comes early is kept.

        Args:
            timeout: seconds, or a timedelta, from when the node may begin; then it fails. ``None``: however long it takes.

        Raises:
            WorkflowError: as for :meth:`add`.
        """
        seconds = timeout.total_seconds() if isinstance(timeout, dt.timedelta) else timeout
        return self.add(WAITS, {"signal": signal, "seconds": seconds}, after=after, name=name or signal[:LONGEST_NAME])

    def sleep(
        self,
        until: dt.timedelta | dt.datetime | float,
        *,
        after: Iterable[Handle | After] = (),
        name: str = "",
    ) -> Handle:
        """Add a node that ends when this span (a timedelta, or seconds) from when it may begin is over, or at this (aware)
        time. It occupies no process.

        Raises:
            ArgumentError, WorkflowError: as for :meth:`add`.
        """
        seconds = until.total_seconds() if isinstance(until, dt.timedelta) else until
        given = {"until": until} if isinstance(until, dt.datetime) else {"seconds": seconds}
        return self.add("furrow.sleep", given, after=after, name=name)

    def approval(
        self,
        title: str,
        *,
        permission: str,
        description: Any = "",
        form: Any = None,
        second_person: bool = False,
        notify: Iterable[str] = (),
        timeout: dt.timedelta | float | None = None,
        rejection: str = "fail",
        after: Iterable[Handle | After] = (),
        name: str = "",
    ) -> Handle:
        """Add a node that waits for a person, who finds it in the admin. It occupies no process. Its result is ``{"approved":
        True, "by": the user's name, "note": …, "answers": {…}}``; a rejection fails it.

        Args:
            title: what is asked, in few words.
            permission: who has it may decide, such as ``"shop.release"``.
            description: what there is to know; may be ``other.result`` of a node that this one waits for.
            form: a pydantic model, a dataclass, or a function, whose type hints make the form of the answers.
            second_person: who submitted the workflow may not decide.
            notify: to whom an e-mail goes: addresses, permissions, groups as ``"group:Release managers"``.
            timeout: seconds, or a timedelta, from when the node may begin; then it fails. ``None``: however long it takes.
            rejection: ``"fail"``, or ``"result"``: then it is a result with ``"approved": False``.

        Raises:
            ArgumentError, WorkflowError: as for :meth:`add`; it cannot be asked so.
        """
        made_by = "" if form is None else path_of(form)
        options: dict[str, Any] = {"second_person": second_person, "notify": notify, "timeout": timeout, "rejection": rejection}
        try:
            asked = Question.of(title, permission, form=made_by, **options)._asdict() | {"description": description}
        except StepError as error:
            raise WorkflowError(str(error)) from None
        return self.add(ASKS, asked, after=after, name=name or title[:LONGEST_NAME])

    def _plan(
        self,
        kind: Kind,
        rows: Sequence[Mapping[str, Any]],
        waits: list[After],
        name: str,
        sort: Node.Sort,
        given: dict[str, Any],
    ) -> Handle:
        first = rows[0] if rows else {}
        late = {key: value for key, value in first.items() if inside(value)} if isinstance(first, Mapping) else {}
        named = {reference.node for value in late.values() for reference in inside(value)}
        direct = {one.node for one in waits}
        before = direct if named <= direct else self._before(waits)
        planned = {id: one.prepared.kind for id in named if (one := self.planned.get(id)) and one.prepared is not None}
        refuse_references(kind, late, before, planned)
        id = given.pop("id", None) if sort == Node.Sort.JOB else None
        prepared = Prepared.of(kind, self.row, given, late)
        arguments = kind.arguments.without(late) if late else kind.arguments
        if late and any(row.get(key) is not value for row in rows for key, value in late.items()):
            raise ArgumentError(kind.name, dict.fromkeys(late, "has references: pass it once, as shared={…}"))
        rows = [{key: value for key, value in row.items() if key not in late} for row in rows] if late else rows
        texts = texts_of(arguments, rows, many=sort == Node.Sort.MAP)
        node = self._node(name or kind.name.rpartition(".")[2], sort, named=bool(name))
        node.kind, node.jobs, node.open = kind.name, len(texts), len(texts)
        if late:
            node.deferred = {key: template(value, lazy=is_lazy(kind, key)) for key, value in late.items()}
            node.deferred |= {key: {"secret": node.deferred[key]} for key in kind.arguments.secret.intersection(late)}
        ids = [new_id() for _ in texts] if id is None else [as_uuid(kind, "id", id)]
        self.planned[node.pk] = Planned(node, waits, prepared, texts, ids)
        return Handle(node.pk, node.name, sort == Node.Sort.MAP)

    def _node(self, name: str, sort: Node.Sort, *, named: bool) -> Node:
        if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
            raise WorkflowError(f"The node's name {name!r} must be a text of 1 to {LONGEST_NAME} characters.")
        if name in self._names:
            if named:
                raise WorkflowError(f"The workflow has a node {name!r} already: give this one another name.")
            number = self._numbers.get(name, 2)
            while f"{name}-{number}" in self._names:
                number += 1
            self._numbers[name] = number + 1
            name = f"{name}-{number}"
        self._names.add(name)
        return Node(workflow=self.row, name=name, sort=sort, position=len(self._names))

    def _waits(self, after: Iterable[Handle | After]) -> list[After]:
        if isinstance(after, Handle | After):
            raise WorkflowError("after=… takes a list of nodes: write after=[…].")
        found: dict[uuid.UUID, After] = {}
        for one in after:
            if isinstance(one, Handle):
                one = After(one.id, one.name, Condition.SUCCESS)
            if not isinstance(one, After):
                raise WorkflowError(f"after=[{one!r}]: give nodes that add() or map() returned, or their .ended or .failed.")
            if one.node not in self.planned and one.node not in self._there:
                known = [planned.node.name for planned in self.planned.values()]
                raise WorkflowError(f"after: {one.name!r} is no node of this workflow; {did_you_mean(one.name, known)}.")
            if one.node in found:
                raise WorkflowError(f"after: {one.name!r} is there twice.")
            found[one.node] = one
        return list(found.values())

    def _before(self, waits: Iterable[After]) -> set[uuid.UUID]:
        """All that has ended when these have."""
        found: set[uuid.UUID] = set()
        left = [one.node for one in waits]
        while left:
            node = left.pop()
            if node not in found:
                found.add(node)
                left += [one.node for one in self.planned[node].after] if node in self.planned else []
        return found

    def write(self, gate: int = 0) -> None:
        """INSERT all that was planned, in the caller's transaction. ``gate``: what the first nodes wait for besides."""
        held = self.row.paused_at is not None or self.row.cancel_requested_at is not None
        for one in self.planned.values():
            one.node.unmet = len(one.after) or gate
            if one.node.role:
                one.after, one.node.unmet, one.node.state = [], 0, NodeState.DORMANT
            elif not one.node.unmet and one.node.sort != Node.Sort.WORKFLOW and one.node.open and not held:
                one.node.state, one.node.let_go_at = NodeState.RUNNING, clock.now()
        planned = list(self.planned.values())
        Node.objects.bulk_create([one.node for one in planned], batch_size=1_000)
        edges = [
            Edge(workflow=self.row, parent=wait.node, child=one.node.pk, condition=wait.condition)
            for one in planned
            for wait in one.after
        ]
        Edge.objects.bulk_create(edges, batch_size=1_000)
        rows = Rows()
        for one in planned:
            if one.prepared is not None and one.texts:
                one.prepared.write(one.node, one.texts, rows, one.ids)
        rows.flush()
        for inner in self._inner.values():
            inner._submit(1)

    @property
    def unlinked(self) -> list[uuid.UUID]:
        """Nodes that wait for nothing, and have no job that could end."""
        return [one.node.pk for one in self.planned.values() if not one.node.unmet and one.node.state == NodeState.WAITING]


class Builder(Graph):
    """A workflow that is being written down, and submitted when its ``with`` block ends; see :func:`workflow`."""

    def __init__(self, row: Workflow) -> None:
        super().__init__(row)
        self._result: Handle | None = None

    @classmethod
    def of(cls, name: str, submitted_by: Any, id: uuid.UUID | None, expires: Expires = None) -> "Builder":
        """An empty one.

        Raises:
            WorkflowError: it cannot have this name, submitter or time.
        """
        if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
            raise WorkflowError(f"The workflow's name {name!r} must be a text of 1 to {LONGEST_NAME} characters.")
        if submitted_by is not None and not hasattr(submitted_by, "pk"):
            raise WorkflowError(f"submitted_by={submitted_by!r} must be a user.")
        try:
            expires_at = expiry(expires)
        except ValueError as error:
            raise WorkflowError(f"expires={error}.") from None
        user = getattr(submitted_by, "pk", None)
        return cls(Workflow(pk=id or new_id(), name=name, submitted_by_id=user, expires_at=expires_at))

    def open_node(self, name: str) -> Handle:
        """Add a node without jobs, which ends when it was closed and all that was added to it meanwhile has ended."""
        node = self._node(name, Node.Sort.BATCH, named=True)
        node.open = 1
        self.planned[node.pk] = Planned(node, [])
        return Handle(node.pk, name, many=True)

    @property
    def result(self) -> Handle | None:
        """The node whose result is the workflow's. Set it; default: the last that was added and that no other waits for."""
        return self._result

    @result.setter
    def result(self, node: Handle) -> None:
        if not isinstance(node, Handle) or node.id not in self.planned:
            raise WorkflowError(f"result: {node!r} is no node of this workflow.")
        self._result = node

    def compensate(
        self, node: Handle, kind: Kind | str, arguments: Mapping[str, Any] | None = None, *, name: str = "", **given: Any
    ) -> Handle:
        """Add a job that takes back what ``node`` did. It runs when the workflow has failed or was cancelled, if that node had
        succeeded: after all else has ended, one after the other, the last to have succeeded first. Its arguments may have
        ``node.result``.

        Raises:
            UnknownKind, ArgumentError, OptionError, WorkflowError: as for :meth:`add`.
        """
        kind = kind if isinstance(kind, Kind) else get_kind(kind)
        waits = self._waits([node])
        name = name or f"{node.name[: LONGEST_NAME - 14]}: compensation"
        handle = self._plan(kind, [{} if arguments is None else arguments], waits, name, Node.Sort.JOB, given)
        planned = self.planned[handle.id].node
        planned.role, planned.compensates = Node.Role.COMPENSATION, node.id
        return handle

    def on_failure(
        self, kind: Kind | str, arguments: Mapping[str, Any] | None = None, *, name: str = "on failure", **given: Any
    ) -> Handle:
        """Add a job that runs when the workflow has failed or was cancelled, after its compensations.

        Raises:
            UnknownKind, ArgumentError, OptionError, WorkflowError: as for :meth:`add`.
        """
        kind = kind if isinstance(kind, Kind) else get_kind(kind)
        handle = self._plan(kind, [{} if arguments is None else arguments], [], name, Node.Sort.JOB, given)
        self.planned[handle.id].node.role = Node.Role.ON_FAILURE
        return handle

    #: The node of another workflow that this one is.
    node: Handle | None = None

    def submit(self) -> None:
        """Write all of it, in the current transaction."""
        with atomic():
            self._submit(0)
        written(list(Job.objects.filter(node__in=self.planned, state=State.PENDING).values_list("pk", flat=True)))

    def _submit(self, gate: int) -> None:
        if not self.planned:
            raise WorkflowError(f"The workflow {self.row.name!r} has no node: add one.")
        plain = {id: one for id, one in self.planned.items() if not one.node.role}
        if not plain:
            raise WorkflowError(f"The workflow {self.row.name!r} has nothing but what runs when it fails: add a node.")
        waited_for = {wait.node for one in plain.values() for wait in one.after}
        self.row.result_node = self._result.id if self._result else [id for id in plain if id not in waited_for][-1]
        self.row.created_at = clock.now()
        self.row.save(force_insert=True, using=alias())
        tell_of([self.row], "submitted")
        self.write(gate)
        look_at(self.unlinked)


@contextlib.contextmanager
def workflow(name: str, *, submitted_by: Any = None, id: uuid.UUID | None = None, expires: Expires = None) -> Iterator[Builder]:
    """Write down a workflow, and submit it whole when the block ends, in the current transaction::

        with workflow("order 7") as w:
            paid = w.add(charge, {"order": 7})
            sent = w.add(ship, {"order": 7, "receipt": paid.result["id"]}, after=[paid])
            w.add(mail, {"order": 7}, after=[paid, sent])
        w.id

    Args:
        name: shown to people; need not be unique.
        submitted_by: the user who submits.
        id: the workflow's id. Default: a fresh UUIDv7.
        expires: seconds, a timedelta, or an aware time: a workflow that has not ended by then is cancelled.

    Raises:
        WorkflowError, UnknownKind, ArgumentError, OptionError: something cannot be; nothing was written.
    """
    builder = Builder.of(name, submitted_by, id, expires)
    yield builder
    builder.submit()
