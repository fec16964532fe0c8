"""People act on workflows: who may, and what the audit log has of it."""

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from furrow import Approval, ArgumentError, InputError, WorkflowError, workflow
from furrow.admin.forms.row_field import missing_rows
from furrow.kinds.kind import Kind
from furrow.models import AuditEntry, Node, Workflow
from furrow.models.audit_entry import Origin
from furrow.testing import drain
from furrow.workflows.acts import cancel
from furrow.workflows.builder import Builder
from furrow.workflows.people import Person, fork, perform

from tests import kinds
from tests.kinds.arguments import greets, guarded
from tests.people import somebody

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]
MAY = ("view_workflow", "act_on_workflow")


def person(*permissions: str, **more: object) -> Person:
    user = somebody(*permissions)
    return Person(user, user, Origin.API, **more)  # type: ignore[arg-type]


def one(name: str = "order 7", kind: Kind = kinds.noop) -> Builder:
    with workflow(name) as w:
        w.add(kind, {"attempt": 1} if kind is kinds.succeeds_on else {}, name="a")
    return w


def test_an_act_is_written_down_with_who_and_what() -> None:
    w, who = one(), person(*MAY, token="mine")
    assert perform("pause", [w.id], who).changed == 1
    assert perform("pause", [w.id], who).changed == 0
    assert perform("cancel", [w.id], who, reason="too late").changed == 1
    drain()
    entries = list(AuditEntry.objects.order_by("pk").values_list("action", "who", "target", "count", "detail", "token"))
    target = f"workflow order 7 {w.id}"
    assert entries == [("pause", "somebody", target, 1, "", "mine"), ("cancel", "somebody", target, 1, "too late", "mine")]
    assert Workflow.objects.get(pk=w.id).reason == "too late"
    cancelled = one()
    perform("cancel", [cancelled.id], who)
    assert Workflow.objects.get(pk=cancelled.id).reason == "cancelled by somebody"


def test_who_may_not_act_on_workflows_or_on_a_kind_inside_changes_nothing() -> None:
    plain, who = one(), person(*MAY)
    with workflow("outer") as outer:
        outer.workflow("inner").add(guarded, name="guarded")
    done = perform("cancel", [plain.id, outer.id], who)
    assert (done.changed, done.forbidden) == (1, [outer.id])
    with pytest.raises(PermissionDenied, match=r"furrow\.submit_job"):
        fork(plain.id, "a", who, missing=missing_rows)
    who.user.user_permissions.clear()
    with pytest.raises(PermissionDenied, match=r"furrow\.act_on_workflow"):
        perform("pause", [outer.id], Person(type(who.user).objects.get(), "x", Origin.API))
    with pytest.raises(InputError, match="did you mean 'cancel'"):
        perform("cancell", [outer.id], Person(None, "shell", Origin.COMMAND_LINE))
    assert perform("pause", [outer.id], Person(None, "shell", Origin.COMMAND_LINE)).changed == 1


def test_a_token_for_some_kinds_acts_on_workflows_of_these_alone() -> None:
    w, other = one(), one("other", kinds.succeeds_on)
    who = person(*MAY, "submit_job", kinds=[kinds.noop.name])
    assert perform("pause", [w.id, other.id], who).forbidden == [other.id]
    perform("cancel", [w.id], who)
    drain()
    new = fork(w.id, "a", who, missing=missing_rows)
    assert (new.submitted_by, AuditEntry.objects.latest("pk").detail) == (who.user, f"from a, as workflow {new.pk}")


def test_a_fork_changes_nothing_of_what_an_approval_asks() -> None:
    with workflow("release") as w:
        w.approval("Release?", permission="auth.add_group", second_person=True, name="go")
    drain()
    cancel(w.id)
    drain()
    who, others = person(*MAY, "submit_job"), {"permission": "furrow.view_workflow", "second_person": False}
    for node in ("go", Node.objects.get().pk):
        with pytest.raises(WorkflowError, match="is an approval"):
            fork(w.id, node, who, missing=missing_rows, arguments=others)
    assert Workflow.objects.count() == 1
    fork(w.id, "go", who, missing=missing_rows)
    drain()
    asked = Approval.objects.latest("created_at")
    assert (asked.permission, asked.second_person, asked.asked_by_id) == ("auth.add_group", True, who.user.pk)


def test_a_fork_is_refused_rows_that_the_person_may_not_see() -> None:
    hidden = User.objects.create(username="hidden")
    with workflow("w") as w:
        w.add(greets, {"user": hidden.pk}, name="a")
    drain(raise_on_failure=False)
    who = person(*MAY, "submit_job")
    for user in (hidden.pk, hidden.pk + 1_000):
        with pytest.raises(ArgumentError, match="may not see any user"):
            fork(w.id, "a", who, missing=missing_rows, arguments={"user": user})
    shell = Person(None, "shell", Origin.COMMAND_LINE)
    with pytest.raises(ArgumentError, match="there is no user"):
        fork(w.id, "a", shell, missing=missing_rows, arguments={"user": hidden.pk + 1_000})
    assert Workflow.objects.count() == 1
    assert fork(w.id, "a", shell, missing=missing_rows, arguments={"user": hidden.pk}).fork_of == w.id
