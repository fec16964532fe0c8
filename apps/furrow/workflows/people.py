"""People act on workflows: by permission, and written down in the audit log. Every page and command calls this; code that calls
:mod:`furrow.workflows.acts` itself is trusted."""

import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from django.core.exceptions import PermissionDenied
from django.db.models import Q

from furrow.actions import permissions
from furrow.actions.audit import audit
from furrow.approvals.asking import ASKS
from furrow.errors import ArgumentError, InputError, WorkflowError, did_you_mean
from furrow.kinds.kind import Kind, get_kind
from furrow.models import Job, Node, Workflow
from furrow.models.audit_entry import Origin
from furrow.models.database import atomic
from furrow.steps.sending import send_signal
from furrow.workflows import acts, forking

#: Why nothing was changed.
LOCKED = "another transaction has locked the workflow, as that of a job that adds to it. Try again."
#: Workflows of one transaction, and of one entry in the audit log.
AT_ONCE = 100


@dataclass(frozen=True)
class Person:
    """Who acts, and from where."""

    #: ``None``: the shell's own account, which may do everything.
    user: Any
    #: What the audit log has: the user, or the account's name.
    by: Any
    origin: Origin
    token: str = ""
    #: The kinds that a token is for; empty: all.
    kinds: Collection[str] = ()

    def may_act(self) -> bool:
        """May act on workflows whose kinds ask for nothing more."""
        return self.user is None or permissions.may_act_on_workflows(self.user)


class Done(NamedTuple):
    """What came of an action."""

    changed: int
    #: Workflows that have jobs of kinds on which the person may not act.
    forbidden: list[uuid.UUID]
    #: Workflows whose rows another transaction had locked, as that of a handler that adds to one.
    locked: list[uuid.UUID]


class Action(NamedTuple):
    """Something to do to workflows."""

    do: Callable[..., int]
    #: What it does, and why it changes nothing.
    text: str
    otherwise: str


ACTIONS: Mapping[str, Action] = {
    "cancel": Action(
        acts.cancel, "cancel all that has not ended; running jobs are asked to stop", "had ended, or is being cancelled"
    ),
    "pause": Action(
        acts.pause, "let nothing more go; jobs that were let go run on", "had ended, or is paused or being cancelled"
    ),
    "resume": Action(acts.resume, "go on after a pause", "was not paused"),
    "restart": Action(
        acts.restart,
        "run again what failed or was cancelled, and what waited for it",
        "has nothing that failed or was cancelled, is being cancelled, or has been taken back (fork it)",
    ),
}


def perform(action: str, workflows: Collection[uuid.UUID], who: Person, *, reason: str = "") -> Done:
    """Do it to these workflows; what has other kinds in it than the person may act on is left alone, and so is what another
    has locked. ``reason``: of a cancel.

    Raises:
        InputError: there is no such action.
        PermissionDenied: the person may not act on workflows.
    """
    if action not in ACTIONS:
        raise InputError({"action": f"{action!r} is unknown; {did_you_mean(action, ACTIONS)}"})
    _refuse(who)
    ids = sorted(set(workflows))
    barred = forbidden(ids, who)
    more = {"reason": reason or f"cancelled by {who.by}"} if action == "cancel" else {}
    changed, left, locked = 0, [id for id in ids if id not in barred], list[uuid.UUID]()
    for at in range(0, len(left), AT_ONCE):
        part = left[at : at + AT_ONCE]
        with atomic():
            rows = Workflow.objects.filter(pk__in=part).order_by("pk").values_list("pk", flat=True)
            free = list(rows.select_for_update(skip_locked=True))
            locked += set(rows).difference(free) if len(free) < len(part) else ()
            count = ACTIONS[action].do(free, **more)
            if count:
                _write_down(action, free, who, count, reason)
            changed += count
    return Done(changed, sorted(barred), sorted(locked))


class Missing(Protocol):
    """What is wrong with arguments that name rows, by argument, for each of these: there is no such row that the user may see
    (:func:`furrow.admin.forms.row_field.missing_rows`, a room above)."""

    def __call__(self, kind: Kind, user: Any, given: Iterable[Mapping[str, Any]], /) -> list[dict[str, str]]: ...


def fork(
    workflow: uuid.UUID,
    node: str | uuid.UUID,
    who: Person,
    *,
    missing: Missing,
    arguments: Mapping[str, Any] | None = None,
) -> Workflow:
    """Repeat a workflow from a node on, as :func:`furrow.workflows.forking.fork`.

    Args:
        missing: how to tell whether the person may see the rows that other arguments name.

    Raises:
        PermissionDenied: the person may not act on it, or submit jobs.
        WorkflowError, UnknownKind, ArgumentError, OptionError: as there.
    """
    _refuse(who)
    if who.user is not None and not permissions.may_submit(who.user):
        raise PermissionDenied(f"{who.by} may not submit jobs: that needs {permissions.SUBMIT}.")
    if forbidden([workflow], who):
        raise PermissionDenied(f"{who.by} may not act on some kinds of this workflow's jobs.")
    if arguments and _asks_people(workflow, node):
        raise WorkflowError(f"{node} is an approval: who may decide it, and on what, stays as the workflow has it.")
    if arguments:
        _refuse_unseen(workflow, node, who, arguments, missing)
    with atomic():
        new = forking.fork(workflow, node, arguments=arguments, submitted_by=who.user)
        audit(
            "fork",
            by=who.by,
            origin=who.origin,
            token=who.token,
            target=f"workflow {new.name} {workflow}",
            detail=f"from {node}, as workflow {new.pk}",
        )
    return new


def _refuse_unseen(
    workflow: uuid.UUID, node: str | uuid.UUID, who: Person, arguments: Mapping[str, Any], missing: Missing
) -> None:
    """Raises ArgumentError, as a submit is refused: rows that the person may not see, or that are not there."""
    named = Q(pk=node) if isinstance(node, uuid.UUID) else Q(name=node)
    name = Node.objects.filter(named, workflow=workflow, sort=Node.Sort.JOB).values_list("kind", flat=True).first()
    if name and (wrong := missing(get_kind(name), who.user, [arguments])[0]):
        raise ArgumentError(name, wrong)


def signal(workflow: uuid.UUID, name: str, payload: Any, who: Person) -> bool:
    """Send a signal to the nodes of a workflow that wait for it, as :func:`furrow.send_signal`; whether one waits right now.

    Raises:
        PermissionDenied: the person may not act on it.
        InputError: as there.
    """
    _refuse(who)
    if forbidden([workflow], who):
        raise PermissionDenied(f"{who.by} may not act on some kinds of this workflow's jobs.")
    with atomic():
        delivered = send_signal(workflow, name, payload, by=str(who.by))
        row = Workflow.objects.only("name").get(pk=workflow)
        target = f"workflow {row.name} {workflow}"
        audit("signal", by=who.by, origin=who.origin, token=who.token, target=target, detail=name)
    return delivered


def forbidden(workflows: Collection[uuid.UUID], who: Person) -> set[uuid.UUID]:
    """Those that have, or have inside, jobs of kinds on which this person may not act."""
    lacking = [] if who.user is None else permissions.forbidden_kinds(who.user)
    if not (lacking or who.kinds):
        return set()
    outermost = {id: id for id in workflows}
    level = list(outermost)
    while level:
        nodes = dict(Node.objects.filter(workflow__in=level, sort=Node.Sort.WORKFLOW).values_list("pk", "workflow_id"))
        inner = Workflow.objects.filter(parent__in=nodes).values_list("pk", "parent")
        found = {id: outermost[nodes[parent]] for id, parent in inner if parent is not None}
        outermost |= found
        level = list(found)
    own = Node.objects.filter(workflow__in=outermost)
    batches = dict(own.filter(sort=Node.Sort.BATCH).values_list("pk", "workflow_id"))
    rows = set(own.exclude(kind="").values_list("workflow_id", "kind").distinct())
    jobs = Job.objects.filter(node__in=batches).order_by().values_list("node", "kind").distinct()
    rows |= {(batches[node], kind) for node, kind in jobs if node is not None}
    return {outermost[id] for id, kind in rows if kind in lacking or (who.kinds and kind not in who.kinds)}


def _asks_people(workflow: uuid.UUID, node: str | uuid.UUID) -> bool:
    """The node is an approval, whose arguments say who may decide."""
    named = Q(pk=node) if isinstance(node, uuid.UUID) else Q(name=node)
    return Node.objects.filter(named, workflow=workflow, kind=ASKS).exists()


def _refuse(who: Person) -> None:
    if not who.may_act():
        needed = f"{permissions.VIEW_WORKFLOW} and {permissions.ACT_ON_WORKFLOW}"
        raise PermissionDenied(f"{who.by} may not act on workflows: that needs {needed}.")


def _write_down(action: str, ids: list[uuid.UUID], who: Person, count: int, reason: str) -> None:
    name = Workflow.objects.filter(pk=ids[0]).values_list("name", flat=True).first()
    target = f"workflow {name} {ids[0]}" if len(ids) == 1 else "workflows " + ", ".join(map(str, ids))
    audit(action, by=who.by, origin=who.origin, token=who.token, target=target, count=count, detail=reason)
