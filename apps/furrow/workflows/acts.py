"""What people do to workflows: cancel, pause, resume, restart. (:mod:`furrow.workflows.forking` repeats one from a node on.)

Each takes an id, several, or a query set of workflows, and returns how many it changed. One that has moved on meanwhile, or
does not exist, is left alone. The rows of a workflow and of those inside it are locked from the outermost inwards, in a
transaction for each; the engine waits for none of these locks.
"""

import json
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping

from django.db import transaction
from django.db.models import Q, QuerySet

from furrow import statements
from furrow.actions.jobs import retry
from furrow.locks.wakeup import wake
from furrow.models import Edge, Job, Node, Workflow
from furrow.models.database import alias, atomic, connection
from furrow.statements import clock
from furrow.states import NodeState, State, WorkflowState
from furrow.workflows import stopping
from furrow.workflows.ends import take_up
from furrow.workflows.moves import look_at
from furrow.workflows.references import Unresolved, resolve
from furrow.workflows.telling import tell_of

#: One workflow, several, or those of a query set.
Workflows = uuid.UUID | Iterable[uuid.UUID] | QuerySet[Workflow]
#: Jobs, and nodes, in one statement.
AT_ONCE = 5_000

_BROKEN = (NodeState.FAILED, NodeState.CANCELLED)


def cancel(workflows: Workflows, *, reason: str = "cancelled by request") -> int:
    """Cancel workflows that have not ended, with those inside them. From now on nothing more of them is let go; the leading
    dispatcher cancels what has not begun and asks running jobs to stop, and they end when these have. Returns how many that
    is."""

    def do(tree: list[Workflow]) -> bool:
        if not _goes_on(tree[0]):
            return False
        stopping.begin(tree[0], reason)
        tell_of(tree[:1], "cancelling", reason=reason[:500])
        return True

    return _each(workflows, do, inside=False)


def pause(workflows: Workflows) -> int:
    """Let nothing more of these workflows go, nor of those inside them; jobs that were let go run on. Returns how many."""

    def do(tree: list[Workflow]) -> bool:
        if not _goes_on(tree[0]) or tree[0].paused_at is not None:
            return False
        going_on = [one.pk for one in tree if _goes_on(one) and one.paused_at is None]
        Workflow.objects.filter(pk__in=going_on).update(paused_at=clock.now())
        tell_of(tree[:1], "paused")
        return True

    return _each(workflows, do)


def resume(workflows: Workflows) -> int:
    """Let paused workflows go on, with those inside them. Returns how many."""

    def do(tree: list[Workflow]) -> bool:
        if tree[0].paused_at is None:
            return False
        Workflow.objects.filter(pk__in=[one.pk for one in tree]).update(paused_at=None)
        _look_at(_nodes(tree, state=NodeState.WAITING, unmet=0))
        tell_of(tree[:1], "resumed")
        return True

    return _each(workflows, do)


def restart(workflows: Workflows) -> int:
    """Take up workflows where they broke, and those inside them: jobs that failed or were cancelled run again, with their
    arguments, and what was skipped because of them waits again. What has begun meanwhile stays as it is. One that is being
    cancelled is left alone until it has ended; of one whose compensations have begun these alone are taken up. Returns how
    many."""

    def do(tree: list[Workflow]) -> bool:
        if any(one.cancel_requested_at is not None and one.state == WorkflowState.RUNNING for one in tree):
            return False
        if not _restart(tree[0], {one.parent: one for one in tree[1:]}):
            return False
        tell_of(tree[:1], "restarted", state=str(WorkflowState.RUNNING), reason="")
        return True

    return _each(workflows, do)


def restart_inside(workflow: uuid.UUID) -> bool:
    """Take up a workflow that has ended, in the engine's transaction, which waits for nobody; ``False``: somebody has locked
    it, or one inside it."""
    tree = _locked(workflow, patient=False)
    if not tree:
        return False
    if not _restart(tree[0], {one.parent: one for one in tree[1:]}):  # there is nothing to take up: it stays ended
        Workflow.objects.filter(pk=workflow).update(cancel_requested_at=None)
    return True


# --- The rest ---------------------------------------------------------------------------------------------------------


def _goes_on(workflow: Workflow) -> bool:
    """It has not ended, and nobody has cancelled it."""
    return workflow.state == WorkflowState.RUNNING and workflow.cancel_requested_at is None


def _each(workflows: Workflows, do: Callable[[list[Workflow]], bool], *, inside: bool = True) -> int:
    """``inside``: with those inside it."""
    if isinstance(workflows, QuerySet):
        ids = list(workflows.order_by("pk").values_list("pk", flat=True))
    else:
        ids = sorted({workflows} if isinstance(workflows, uuid.UUID) else set(workflows))
    changed = 0
    for id in ids:
        with atomic(savepoint=False):
            tree = _locked(id) if inside else list(Workflow.objects.select_for_update().filter(pk=id))
            changed += bool(tree) and do(tree)
    if changed:
        transaction.on_commit(wake, using=alias(), robust=True)
    return changed


def _locked(id: uuid.UUID, *, patient: bool = True) -> list[Workflow]:
    """A workflow and those inside it, the outermost first, locked until the transaction ends. Not ``patient``: none where
    another has locked one of them."""
    tree, level = list[Workflow](), Workflow.objects.filter(pk=id)
    while rows := list(level.order_by("pk").select_for_update(skip_locked=not patient)):
        if not patient and len(rows) < level.count():
            return []
        tree += rows
        level = Workflow.objects.filter(parent__in=list(_nodes(rows, sort=Node.Sort.WORKFLOW).values_list("pk", flat=True)))
    return tree if patient or not level.exists() else []


def _nodes(workflows: Iterable[Workflow], **having: object) -> QuerySet[Node]:
    return Node.objects.filter(workflow__in=[one.pk for one in workflows], **having).order_by()


def _look_at(nodes: QuerySet[Node]) -> None:
    look_at(nodes.values_list("pk", flat=True).iterator(AT_ONCE))


# --- Restart ----------------------------------------------------------------------------------------------------------


def _restart(workflow: Workflow, inside: Mapping[uuid.UUID | None, Workflow]) -> bool:
    """Its nodes, and those of the workflows that some of them are."""
    nodes = {node.pk: node for node in workflow.nodes.all()}
    edges = list(Edge.objects.filter(workflow=workflow))
    taken_up, late = _taken_up(nodes, edges)
    going_on = [id for id, node in nodes.items() if id in taken_up or node.state == NodeState.RUNNING]
    inner = [_restart(inside[id], inside) for id in going_on if id in inside]
    if not taken_up:
        return any(inner)
    for id in late:
        nodes[id].let_go_at = None
    _write_edges(nodes, edges, taken_up)
    begun = [id for id in taken_up if nodes[id].let_go_at is not None and nodes[id].state != NodeState.SKIPPED]
    waiting = sorted(taken_up - set(begun))
    for part in _parts(begun):
        rows = Node.objects.filter(pk__in=part)
        rows.update(state=NodeState.RUNNING, finished_at=None, reason="")
    for part in _parts(waiting):
        Node.objects.filter(pk__in=part).update(state=NodeState.WAITING, let_go_at=None, finished_at=None, reason="")
    _run_again(begun)
    _wait_again(waiting, late)
    if workflow.state != WorkflowState.RUNNING:
        take_up(workflow, clock.now())
    look_at(taken_up)
    return True


def _taken_up(nodes: dict[uuid.UUID, Node], edges: list[Edge]) -> tuple[set[uuid.UUID], set[uuid.UUID]]:
    """Those that failed or were cancelled, and what was skipped because of them alone. Where compensations have begun: of these
    alone. And those of them that failed since a result was missing which may come now: they wait for it again."""
    found = {node.pk for node in nodes.values() if node.state in _BROKEN and node.result_of is None and not node.role}
    if any(node.role == Node.Role.COMPENSATION and node.let_go_at for node in nodes.values()):
        found = set()  # what has been taken back would be missing
    found |= {node.pk for node in nodes.values() if node.state in _BROKEN and node.role and node.let_go_at}
    lacking = {id for id in found if _lacked_a_result(nodes[id])}
    found -= lacking
    children: dict[uuid.UUID, list[uuid.UUID]] = {}
    kept_by: dict[uuid.UUID, set[uuid.UUID]] = {}
    for edge in edges:
        children.setdefault(edge.parent, []).append(edge.child)
        if edge.met is False:
            kept_by.setdefault(edge.child, set()).add(edge.parent)
    left, late = list(found), set[uuid.UUID]()
    while left or lacking:
        if not left:  # no parent of theirs runs again
            left = [id for id in lacking if _filled_in(nodes[id])]
            lacking = set()
            found.update(left)
            continue
        for child in children.get(left.pop(), []):
            if child in lacking:
                lacking.discard(child)
                late.add(child)
            elif child in found or nodes[child].state != NodeState.SKIPPED or not kept_by.get(child, set()) <= found:
                continue
            found.add(child)
            left.append(child)
    return found, late


def _write_edges(nodes: dict[uuid.UUID, Node], edges: list[Edge], taken_up: set[uuid.UUID]) -> None:
    """Of what was taken up nothing is known any more, to those that have not begun."""

    def waits(node: Node) -> bool:
        if node.pk in taken_up:
            return node.let_go_at is None or node.state == NodeState.SKIPPED
        return node.state == NodeState.WAITING

    forgotten = [edge for edge in edges if edge.parent in taken_up and edge.met is not None and waits(nodes[edge.child])]
    for part in _parts([edge.pk for edge in forgotten]):
        Edge.objects.filter(pk__in=part).update(met=None)
    more: dict[uuid.UUID, int] = {}
    for edge in forgotten:
        more[edge.child] = more.get(edge.child, 0) + (edge.met is True)
    for id, count in more.items():
        if count:
            Node.objects.filter(pk=id).update(unmet=nodes[id].unmet + count)


def _lacked_a_result(node: Node) -> bool:
    """It failed before it ran, since references led to nothing."""
    lacks = bool(node.deferred) and node.state == NodeState.FAILED
    return lacks and Job.objects.filter(node=node.pk, state=State.FAILED, attempt=0).exists()


def _filled_in(node: Node) -> bool:
    """A node that failed since references led to nothing gets its arguments now; ``False``: they still lead to nothing."""
    try:
        known = json.dumps(resolve(node))
    except Unresolved:
        return False
    statements.on(connection).fill_in(connection, node.pk, known, State.FAILED)
    return True


def _run_again(nodes: list[uuid.UUID]) -> None:
    for part in _parts(nodes):
        for ids in _jobs(part, Q(state__in=(State.FAILED, State.CANCELLED))):
            retry(ids)


def _wait_again(nodes: list[uuid.UUID], late: Collection[uuid.UUID]) -> None:
    """``late``: those of them whose jobs failed for want of a result."""
    for part in _parts(nodes):
        for ids in _jobs(part, Q(state=State.CANCELLED) | Q(state=State.FAILED, node__in=late)):
            back = Job.objects.filter(pk__in=ids)
            back.update(state=State.WAITING, finished_at=None, error="", cancel_requested_at=None)


def _jobs(nodes: list[uuid.UUID], which: Q) -> Iterable[list[uuid.UUID]]:
    """The ids of their jobs, in parts."""
    rows = Job.objects.filter(which, node__in=nodes).order_by()
    while part := list(rows.values_list("pk", flat=True)[:AT_ONCE]):
        yield part


def _parts(ids: list[int] | list[uuid.UUID]) -> Iterable[list]:  # type: ignore[type-arg]
    for at in range(0, len(ids), AT_ONCE):
        yield ids[at : at + AT_ONCE]
