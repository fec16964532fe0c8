"""Who may see, submit and act: what :mod:`furrow.actions.permissions` decides."""

import pytest
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.core.management.base import CommandError
from furrow import Job
from furrow.actions.permissions import forbidden_kinds, may_act, may_submit, may_view
from furrow.command.actor import find_actor
from furrow.kinds.kind import BUILT_IN, all_kinds

from tests import kinds
from tests.api import Api

pytestmark = pytest.mark.django_db


def somebody(*names: str) -> User:
    """A user with these permissions."""
    user = User.objects.create(username=f"somebody {names}", is_staff=True)
    for name in names:
        app, _, codename = name.partition(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    return User.objects.get(pk=user.pk)


def decisions(user: object) -> tuple[bool, ...]:
    """View, submit (a plain kind, a guarded one), act (on a plain kind, on a guarded one)."""
    return (
        may_view(user),
        may_submit(user, kinds.add),
        may_submit(user, "kinds.guarded"),
        may_act(user, "kinds.add"),
        may_act(user, kinds.guarded),
    )


ALL = ("furrow.view_job", "furrow.submit_job", "furrow.act_on_job")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), (False, False, False, False, False)),
        (("furrow.view_job",), (True, False, False, False, False)),
        (("furrow.submit_job",), (False, True, False, False, False)),
        (("furrow.act_on_job",), (False, False, False, False, False)),
        (("auth.change_group",), (False, False, False, False, False)),
        (ALL, (True, True, False, True, False)),
        ((*ALL, "auth.change_group"), (True, True, True, True, True)),
    ],
)
def test_decisions(names: tuple[str, ...], expected: tuple[bool, ...]) -> None:
    assert decisions(somebody(*names)) == expected


def test_the_ends_of_the_scale() -> None:
    nobodies = [None, AnonymousUser(), User(username="gone", is_superuser=True, is_active=False)]
    assert {decisions(user) for user in nobodies} == {(False,) * 5}
    assert decisions(User(username="root", is_superuser=True)) == (True,) * 5


def test_the_kinds_that_a_bulk_statement_leaves_out() -> None:
    assert forbidden_kinds(somebody(*ALL)) == ["furrow.webhook", "kinds.guarded"]
    assert forbidden_kinds(somebody("auth.change_group")) == ["furrow.bulk_action", "furrow.webhook"]
    assert forbidden_kinds(None) == ["furrow.bulk_action", "furrow.webhook", "kinds.guarded"]


def test_a_kind_that_is_not_registered_asks_for_nothing_of_its_own() -> None:
    assert may_act(somebody(*ALL), "kinds.long_gone")


def test_nobody_submits_the_engines_own_kinds() -> None:
    everybody = User.objects.create(username="root", is_superuser=True)
    own = [kind for kind in all_kinds() if kind.name.startswith(BUILT_IN)]
    assert {"furrow.approval", "furrow.webhook", "furrow.bulk_action"} <= {kind.name for kind in own}
    assert [kind.name for kind in own if may_submit(everybody, kind) or may_submit(everybody, kind.name)] == []
    asks = {"title": "Go?", "permission": "auth.add_group", "form": "this:s"}
    whole = {"name": "w", "nodes": [{"kind": "furrow.approval", "name": "go", "arguments": asks}]}
    root = Api(everybody)
    for path, body in (("jobs", {"kind": "furrow.approval", "arguments": asks}), ("workflows", whole)):
        answer = root.post(path, body)
        assert (answer.status_code, "of its own kinds by itself" in answer.content.decode()) == (403, True), path
    for kind in own:
        with pytest.raises(CommandError, match="of its own kinds by itself"):
            find_actor("").must_submit(kind)
    assert not Job.objects.exists()
