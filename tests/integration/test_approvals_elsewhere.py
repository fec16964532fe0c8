"""Approvals over the HTTP API and on the command line."""

import uuid

import pytest
from furrow import Approval, State
from furrow.models import AuditEntry, Job
from furrow.models.api_token import Scope

from tests.api import Api, fields
from tests.command_line import as_json, jobs, refused
from tests.integration.test_approvals import asked, person, run
from tests.kinds import approved

pytestmark = [pytest.mark.django_db, pytest.mark.engine]


def acts() -> list[tuple[str, str, str]]:
    return list(AuditEntry.objects.exclude(action="create token").order_by("pk").values_list("action", "origin", "who"))


def test_a_program_finds_what_waits_for_its_user_and_decides() -> None:
    approval = asked(form=approved.Release)
    boss = Api(person("boss", "add_group"))
    (shown,) = boss.get("approvals?show=mine").json()["approvals"]
    assert (shown["id"], shown["title"], shown["state"], shown["permission"]) == (
        str(approval.pk),
        "Release?",
        "open",
        "auth.add_group",
    )
    assert "share" in shown["form"]["properties"]
    assert fields(boss.post(f"approvals/{approval.pk}/approve", {"answers": {"share": 0}})).keys() == {"answers.share"}
    assert "did you mean 'mine'?" in fields(boss.get("approvals?show=min"))["show"]
    done = boss.post(f"approvals/{approval.pk}/approve", {"answers": {"share": 5}, "note": "go"}).json()
    assert (done["state"], done["decided_by"], done["answers"]["share"]) == ("approved", "boss", 5)
    late = boss.post(f"approvals/{approval.pk}/reject")
    assert (late.status_code, "it was approved by boss" in late.json()["detail"]) == (409, True)
    assert acts() == [("approve", "API", "boss")]
    run()
    assert Job.objects.get(pk=approval.job_id).state == State.SUCCEEDED


def test_who_lacks_the_permission_or_a_token_for_the_kind_decides_nothing() -> None:
    approval = asked()
    path = f"approvals/{approval.pk}"
    viewer, nobody = Api(person("viewer", "view_approval")), Api(person("nobody"))
    assert [viewer.get(path).status_code, viewer.post(f"{path}/approve").status_code] == [200, 403]
    assert [nobody.get(path).status_code, nobody.get("approvals").status_code] == [403, 403]
    boss, second, third = (person(name, "add_group") for name in ("boss", "second", "third"))
    assert Api(boss, Scope.READ).post(f"{path}/approve").status_code == 403
    other = Api(second, kinds=["kinds.add"])
    assert [other.get(path).status_code, other.post(f"{path}/approve").status_code] == [404, 404]
    assert Api(third, kinds=["furrow.approval"]).post(f"{path}/reject").status_code == 200


def test_the_command_line_lists_and_decides() -> None:
    approval = asked(form=approved.Release)
    person("boss", "add_group")
    person("other")
    assert "Release?" in jobs("approvals")
    assert jobs("approvals", "--show", "decided") == "There is no such approval.\n"
    assert as_json("approvals", "--show", "mine", "--user", "other") == []
    assert "did you mean 'mine'?" in refused("approvals", "--show", "min")
    assert "needs the permission auth.add_group" in refused("approve", approval.pk, "--user", "other")
    assert "share: is missing" in refused("approve", approval.pk, "--user", "boss")
    assert (
        jobs("approve", approval.pk, "--user", "boss", "--answers", '{"share": 5}', "--note", "go") == "Release?: approved.\n"
    )
    assert "it was approved by boss" in refused("reject", approval.pk, "--user", "boss")
    assert "there is none" in refused("reject", uuid.uuid4())
    assert acts() == [("approve", "command line", "boss")]
    assert Approval.objects.get().note == "go"
