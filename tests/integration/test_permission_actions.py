"""The actions of the lists: who is offered which, and that nobody else's form does anything. The addresses are in
``test_permission_matrix``."""

from typing import Any

import pytest
from django.contrib import admin
from django.db import transaction
from django.test import Client, RequestFactory
from furrow.actions.bulk import ACTIONS
from furrow.workflows import people

from tests.integration.test_permission_matrix import fingerprint, samples, user_of
from tests.permission_matrix import ROLES

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.filterwarnings("ignore:No directory at"),
    pytest.mark.filterwarnings("ignore:Overriding setting"),
]
samples = samples

#: Who may (letters of ``ROLES``), by table and action.
OFFERED = {
    **{("furrow.job", name): "AR" for name in ACTIONS},
    ("furrow.deadmessage", "replay_selected"): "AR",
    **{("furrow.workflow", name): "AR" for name in people.ACTIONS},
    ("furrow.deadmessage", "delete_chosen"): "ER",
    ("furrow.apitoken", "revoke_selected"): "AER",  # E: those that act as oneself
    **{("furrow.webhook", name): "ER" for name in ("test", "renew", "delete_selected")},
    **{("furrow.schedule", f"{name}_selected"): "AR" for name in ("pause", "resume")},
    ("furrow.schedule", "run_selected"): "R",
    ("furrow.schedule", "delete_selected"): "ER",
    ("auth.user", "delete_selected"): "R",
    ("auth.group", "delete_selected"): "R",
}


def offered(role: str) -> set[tuple[str, str]]:
    request = RequestFactory().get("/")
    request.user = user_of(role)
    lists = admin.site._registry.items()
    return {(model._meta.label_lower, name) for model, of in lists for name in of.get_actions(request)}


@pytest.mark.parametrize("role", list(ROLES))
def test_who_is_offered_what(role: str) -> None:
    expected = {action for action, who in OFFERED.items() if role in who}
    assert offered(role) == expected, "a new action: say in OFFERED who may"


@pytest.mark.parametrize("role", ["S", "V", "M", "A", "E"])
def test_a_form_for_what_is_not_offered_changes_nothing(role: str, samples: dict[str, Any]) -> None:
    client = Client()
    client.force_login(user_of(role))
    before = fingerprint()
    for (label, name), who in OFFERED.items():
        if role in who:
            continue
        with transaction.atomic():
            client.post(f"/admin/{label.replace('.', '/')}/", {"action": name, "_selected_action": str(samples[label])})
            assert fingerprint() == before, (label, name)
            transaction.set_rollback(True)
