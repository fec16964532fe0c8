"""Fork: a new workflow that repeats an ended one from a node on. What went well before is not run again."""

import datetime as dt
import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from django.db.models import TextField
from django.db.models.functions import Cast

from furrow import signals, statements
from furrow.errors import ArgumentError, OptionError, WorkflowError, did_you_mean
from furrow.kinds.kind import get_kind
from furrow.kinds.meta import from_json, to_json
from furrow.middleware import Submission, around_submit
from furrow.models import Edge, Job, Node, Workflow
from furrow.models.database import alias, atomic, connection
from furrow.models.job import new_id
from furrow.statements import clock
from furrow.states import Condition, NodeState, State, WorkflowState
from furrow.submission.columns import Ruled
from furrow.submission.submit import written
from furrow.workflows.moves import look_at
from furrow.workflows.telling import tell_of

#: Jobs that are copied at once.
AT_ONCE = 5_000
#: The columns that the copy of a job shares with it, and those of them that are JSON.
_SAME = ("kind", "queue", "priority", "max_attempts", "order_key", "fair_key", "held", "tags", "limits")
_JSON = ("tags", "limits")
_OF_FAILURE = (Condition.FAILURE, Condition.FIRST_FAILURE)


def fork(
    workflow: Workflow | uuid.UUID,
    node: str | uuid.UUID,
    *,
    arguments: Mapping[str, Any] | None = None,
    submitted_by: Any = None,
) -> Workflow:
    """Submit a new workflow that repeats an ended one from a node on: this node and all that comes after it run again, and so
    does what failed or was cancelled elsewhere. All else is reused with its results, and not run again.

    Args:
        node: its name or id.
        arguments: for this node, in place of those of the same names. It must have one job.
        submitted_by: the user who submits. Default: who submitted the other one.

    Raises:
        WorkflowError: the workflow goes on, there is no such node, or it could not run.
        UnknownKind, ArgumentError, OptionError: the node cannot have these arguments. Nothing was written.
    """
    id = workflow.pk if isinstance(workflow, Workflow) else workflow
    with atomic():
        old = Workflow.objects.select_for_update().filter(pk=id).first()
        if old is None:
            raise WorkflowError(f"There is no workflow {id}; those that ended long ago are deleted.")
        if old.state == WorkflowState.RUNNING:
            raise WorkflowError(f"The workflow {old} goes on: wait until it has ended, or cancel it, before you repeat it.")
        user = old.submitted_by_id if submitted_by is None else submitted_by.pk
        copy = _Copy(old, Workflow(pk=new_id(), name=old.name, fork_of=old.pk, submitted_by_id=user))
        start = copy.find(node)
        again = copy.after(start)
        if arguments:
            copy.given = (start.pk, _checked(start, arguments))
        copy.write(again)
    written([])
    return copy.new


class _Copy:
    """A workflow that is copied."""

    def __init__(self, old: Workflow, new: Workflow) -> None:
        self.old, self.new = old, new
        self.nodes = {node.pk: node for node in old.nodes.all()}
        self.edges = list(Edge.objects.filter(workflow=old))
        self.given: tuple[uuid.UUID, dict[str, Any]] | None = None
        self._ids = {id: new_id() for id in self.nodes}

    def find(self, wanted: str | uuid.UUID) -> Node:
        """The node of this name or id."""
        by_name = {node.name: node for node in self.nodes.values()}
        found = self.nodes.get(wanted) if isinstance(wanted, uuid.UUID) else by_name.get(wanted)
        if found is None:
            raise WorkflowError(f"The workflow has no node {wanted}; {did_you_mean(str(wanted), by_name)}.")
        return found

    def after(self, start: Node) -> set[uuid.UUID]:
        """The nodes that run again, with this one."""
        if start.role:
            raise WorkflowError(f"{start.name!r} runs when the workflow fails: fork from another node.")
        handled = {edge.parent for edge in self.edges if edge.met and edge.condition in _OF_FAILURE}
        again = {start.pk}
        for node in self.nodes.values():
            if node.role == Node.Role.COMPENSATION and node.let_go_at and node.compensates:
                again.add(node.compensates)  # it was taken back
            failed = node.state == NodeState.FAILED and node.pk not in handled
            if not node.role and (failed or node.state == NodeState.CANCELLED):
                again.add(node.pk)
        children: dict[uuid.UUID, list[uuid.UUID]] = {}
        for edge in self.edges:
            children.setdefault(edge.parent, []).append(edge.child)
        left = list(again)
        while left:
            new = [child for child in children.get(left.pop(), []) if child not in again]
            again.update(new)
            left += new
        if (reason := self._kept(again).get(start.pk)) is not None:
            raise WorkflowError(f"{start.name!r} cannot run again alone: {reason}. Fork from that node.")
        self._leave_out(again)
        if start.pk not in self.nodes:
            raise WorkflowError(f"{start.name!r} was added by a job that runs again, and will be again: fork from that node.")
        return again

    def _leave_out(self, again: set[uuid.UUID]) -> None:
        """Nodes that jobs have added which run again: they add them again."""
        found = {id for id, node in self.nodes.items() if node.added_by in again}
        while more := {id for id, node in self.nodes.items() if node.added_by in found} - found:
            found |= more
        self.nodes = {id: node for id, node in self.nodes.items() if id not in found}
        self.edges = [edge for edge in self.edges if edge.parent not in found and edge.child not in found]
        again -= found

    def _kept(self, again: set[uuid.UUID]) -> dict[uuid.UUID, str]:
        """Those of the nodes that run again, in truth, not: what they wait for is reused, and cannot be any more."""
        return {
            edge.child: f"it waits for the {edge.condition} of {self.nodes[edge.parent].name!r}, which "
            f"{self.nodes[edge.parent].state}"
            for edge in self.edges
            if edge.child in again and edge.parent not in again and not edge.met
        }

    def write(self, again: set[uuid.UUID], gate: int = 0) -> None:
        """INSERT it. ``gate``: what the first nodes wait for besides."""
        self.new.result_node = self._ids.get(self.old.result_node) if self.old.result_node else None
        self.new.created_at = clock.now()
        self.new.save(force_insert=True, using=alias())
        tell_of([self.new], "submitted")
        roles = {id for id, node in self.nodes.items() if node.role}
        self.edges = [edge for edge in self.edges if edge.child not in roles]
        again = again - roles
        kept, copies = self._kept(again), {id: self._copied(id, id in again | roles) for id in self.nodes}
        for id, reason in kept.items():
            copies[id].state, copies[id].reason, copies[id].finished_at = NodeState.SKIPPED, reason, self.new.created_at
        for id in (again | roles) - kept.keys():
            copies[id].jobs = copies[id].open = self._count(self.nodes[id])
        for id in again - kept.keys():
            copies[id].unmet = gate
        for id in roles:
            copies[id].state, copies[id].role = NodeState.DORMANT, self.nodes[id].role
            subject = self.nodes[id].compensates
            copies[id].compensates = None if subject is None else self._ids[subject]
        edges = [self._edge(edge, again) for edge in self.edges]
        waiting = {edge.child for edge in edges}
        by_id = {node.pk: node for node in copies.values()}
        for id in waiting:
            by_id[id].unmet = 0
        for edge in edges:
            by_id[edge.child].unmet += not edge.met
        Node.objects.bulk_create(by_id.values(), batch_size=1_000)
        Edge.objects.bulk_create(edges, batch_size=1_000)
        for id in sorted((again | roles) - kept.keys(), key=lambda id: self.nodes[id].position):
            self._write_within(self.nodes[id], copies[id])
        look_at(copies[id].pk for id in again if id in kept or not copies[id].unmet)

    def _copied(self, id: uuid.UUID, again: bool) -> Node:
        old = self.nodes[id]
        node = Node(pk=self._ids[id], workflow=self.new, name=old.name, sort=old.sort, kind=old.kind, position=old.position)
        node.closed_at = old.closed_at
        if old.added_by is not None:
            node.added_by = self._ids.get(old.added_by)
        if again:
            node.deferred = self._deferred(old)
            return node
        for name in ("state", "reason", "jobs", "failed", "cancelled", "let_go_at", "finished_at"):
            setattr(node, name, getattr(old, name))
        node.result_of = _source(old)
        return node

    def _deferred(self, old: Node) -> Any:
        """Its references lead to the nodes of the copy."""
        given = self.given[1] if self.given is not None and self.given[0] == old.pk else {}
        left = {name: self._led(part) for name, part in (old.deferred or {}).items() if name not in given}
        return left or None

    def _led(self, part: dict[str, Any]) -> dict[str, Any]:
        for sort in ("result", "lazy", "all"):
            if sort in part:
                return {**part, sort: str(self._ids[uuid.UUID(part[sort])])}
        if "secret" in part:
            return {"secret": self._led(part["secret"])}
        if "object" in part:
            return {"object": {key: self._led(inner) for key, inner in part["object"].items()}}
        return {"array": [self._led(inner) for inner in part["array"]]} if "array" in part else part

    def _edge(self, edge: Edge, again: set[uuid.UUID]) -> Edge:
        parent, child = self._ids[edge.parent], self._ids[edge.child]
        met = None if edge.parent in again else edge.met
        return Edge(workflow=self.new, parent=parent, child=child, condition=edge.condition, met=met)

    # --- What a node consists of --------------------------------------------------------------------------------------

    def _count(self, old: Node) -> int:
        return 1 if old.sort == Node.Sort.WORKFLOW else Job.objects.filter(node=_source(old)).count()

    def _write_within(self, old: Node, node: Node) -> None:
        if old.sort == Node.Sort.WORKFLOW:
            inner = Workflow.objects.filter(parent=_source(old)).first()
            if inner is not None:
                new = Workflow(pk=new_id(), name=inner.name, parent=node.pk, submitted_by_id=self.new.submitted_by_id)
                copy = _Copy(inner, new)
                copy.write(set(copy.nodes), gate=1)
            return
        first = Job.objects.filter(node=_source(old)).values_list(Cast("meta", TextField()), "queue", "kind").first()
        if first is None:
            return

        def insert(meta: dict[str, Any]) -> None:
            given = self.given[1] if self.given is not None and self.given[0] == old.pk else {}
            for ids, texts, own in self._jobs(old, given):
                columns = {"node": node.pk, "state": str(State.WAITING), "submitted_by_id": self.new.submitted_by_id}
                columns["meta"] = to_json(meta) if meta else None
                statements.on(connection).insert_jobs(connection, ids, texts, columns, own)
                for kind in {one["kind"] for one in own}:
                    signals.submitted(kind, [id for id, one in zip(ids, own, strict=True) if one["kind"] == kind])

        around_submit(Submission(first[2], first[1], node.jobs, from_json(first[0])), insert, using=alias())

    def _jobs(self, old: Node, given: dict[str, Any]) -> Iterator[tuple[list[uuid.UUID], list[str], list[dict[str, Any]]]]:
        """Copies of its jobs, in parts: ids, arguments, columns."""
        json_columns = {f"{name}_text": Cast(name, TextField()) for name in (*_JSON, "arguments")}
        rows = Job.objects.filter(node=_source(old)).order_by("pk").annotate(**json_columns)
        names = [f"{name}_text" if name in _JSON else name for name in _SAME]
        last: uuid.UUID | None = None
        while True:
            part = (rows.filter(pk__gt=last) if last else rows).values(
                "pk", "arguments_text", "created_at", "expires_at", *names
            )
            found = list(part[:AT_ONCE])
            texts, own = [], []
            for row in found:
                text = row["arguments_text"]
                columns = dict(zip(_SAME, (row[name] for name in names), strict=True))
                columns["again_of"] = row["pk"]
                columns["expires_at"] = self._expiry(row["created_at"], row["expires_at"])
                if given:
                    text = json.dumps(json.loads(text) | given)
                    columns |= _rules(columns, text)
                texts.append(text)
                own.append(columns)
            if found:
                yield [new_id() for _ in found], texts, own
            if len(found) < AT_ONCE:
                return
            last = found[-1]["pk"]

    def _expiry(self, created_at: dt.datetime, expires_at: dt.datetime | None) -> dt.datetime | None:
        return None if expires_at is None else self.new.created_at + (expires_at - created_at)


def _source(node: Node) -> uuid.UUID:
    """The node that has its jobs."""
    return node.result_of or node.pk


def _checked(node: Node, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Other arguments of a node, as JSON has them."""
    if node.sort != Node.Sort.JOB:
        raise WorkflowError(f"{node.name!r} is no single job: its arguments stay as they are.")
    kind = get_kind(node.kind)
    if unknown := [name for name in arguments if name not in kind.arguments.names]:
        raise ArgumentError(kind.name, dict.fromkeys(unknown, "is not an argument of this kind"))
    others = kind.arguments.without([name for name in kind.arguments.names if name not in arguments])
    checked: dict[str, Any] = json.loads(others.to_json(arguments))
    return checked


def _rules(columns: dict[str, Any], text: str) -> dict[str, Any]:
    """The keys of its kind's rules, which other arguments change."""
    kind = get_kind(columns["kind"])
    ruled = Ruled.of(kind, {}, columns)
    if ruled is None:
        return {}
    if ruled.unique:
        raise OptionError(kind.name, {"unique": "a kind whose jobs are unique cannot be a node"})
    return ruled.own(text)
