"""The pages of approvals: the inbox, one approval with its form, the decision."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from furrow import Approval
from furrow.models import AuditEntry
from furrow.testing import drain

from tests.integration.test_approvals import asked, person, states
from tests.kinds import approved
from tests.pages import page

pytestmark = [pytest.mark.django_db, pytest.mark.engine, pytest.mark.filterwarnings("ignore:No directory at")]

LIST = "furrow/approval/"


def as_user(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def decide(client: Client, approval: Approval, **data: Any) -> Any:
    return client.post(f"/admin/{LIST}{approval.pk}/decide/", data)


def test_who_has_the_permission_finds_it_fills_the_form_and_approves() -> None:
    boss = as_user(person("boss", "add_group", "view_job"))
    assert "No approvals yet" in page(as_user(person("other", "view_approval")), LIST)
    approval = asked(form=approved.Release, description="Version 7")
    inbox = page(boss, f"{LIST}?show=mine")
    assert ">Release?</b>" in inbox
    assert "?show=mine" in page(boss)  # the sidebar
    shown = page(boss, f"{LIST}{approval.pk}/change/")
    for text in ("Version 7", "What there is to say of a release.", 'name="answer-share"', "Result of built", "At least 1"):
        assert text in shown, text
    refused = decide(boss, approval, decision="approve", note="kept", **{"answer-share": "200", "answer-when": "now"})
    assert refused.status_code == 422
    assert "less than or equal to 100" in refused.content.decode()
    assert ">kept</textarea>" in refused.content.decode()
    done = decide(boss, approval, decision="approve", note="go", **{"answer-share": "5", "answer-when": "now"})
    assert done.status_code == 302
    approval.refresh_from_db()
    assert (approval.approved, approval.note, approval.answers["share"]) == (True, "go", 5)
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.who, entry.target, entry.job) == ("approve", "boss", "approval Release?", approval.job_id)
    drain(raise_on_failure=False)
    assert states()["released"] == "succeeded"
    assert "approved by boss" in page(boss, f"{LIST}{approval.pk}/change/")
    assert "No results found" in page(boss, f"{LIST}?show=mine")
    assert ">Release?</b>" in page(boss, f"{LIST}?show=decided")


def test_a_rejection_needs_no_answers_and_the_second_is_told_who_was_first() -> None:
    boss, late = as_user(person("boss", "add_group")), as_user(person("late", "add_group"))
    approval = asked(form=approved.Release)
    assert decide(boss, approval, decision="reject", note="no").status_code == 302
    shown = late.post(f"/admin/{LIST}{approval.pk}/decide/", {"decision": "reject"}, follow=True).content.decode()
    assert "it was rejected by boss at" in shown
    assert AuditEntry.objects.count() == 1


def test_nobody_decides_by_looking_nor_without_the_permission() -> None:
    boss = person("boss", "add_group")
    approval = asked(second_person=True, submitted_by=boss)
    client = as_user(boss)
    assert client.get(f"/admin/{LIST}{approval.pk}/decide/?decision=approve").status_code == 405
    assert decide(client, approval, decision="approve").status_code == 403
    assert "second person" in page(client, f"{LIST}{approval.pk}/change/")
    viewer = as_user(person("viewer", "view_approval"))
    assert "it needs the permission auth.add_group" in page(viewer, f"{LIST}{approval.pk}/change/")
    assert decide(viewer, approval, decision="approve").status_code == 403
    assert as_user(person("nobody")).get(f"/admin/{LIST}{approval.pk}/change/").status_code == 403
    assert Approval.objects.get().decided_at is None


def test_a_form_that_the_code_lacks_is_said() -> None:
    boss = as_user(person("boss", "add_group"))
    approval = asked()
    Approval.objects.update(form="shop.forms:Gone")
    assert "this version of the code has no" in page(boss, f"{LIST}{approval.pk}/change/")
    answer = decide(boss, approval, decision="approve")
    assert (answer.status_code, "this version of the code has no" in answer.content.decode()) == (422, True)
    assert decide(boss, approval, decision="reject", note="no form").status_code == 302
    assert Approval.objects.get().approved is False
