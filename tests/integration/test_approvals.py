"""Approvals: a job waits for a person. Jobs run in the test's process (``drain``)."""

import re
import uuid
from importlib import import_module
from pathlib import Path
from smtplib import SMTPRecipientsRefused
from typing import Any

import pytest
from celery import current_app
from django.contrib.auth.models import Group, Permission, User
from django.core import mail
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.utils import timezone
from furrow import (
    Approval,
    ApprovalTimeout,
    InputError,
    Job,
    State,
    WorkflowError,
    cancel,
    current_job,
    decide,
    retry,
    retry_from,
    send_signal,
    statements,
    submit,
    wait,
    workflow,
)
from furrow.actions.jobs import delete
from furrow.approvals import mailing
from furrow.approvals.deciding import count_for, for_user, open_approvals
from furrow.diagnosis.explain import situation, why
from furrow.kinds.kind import _kinds
from furrow.kinds.secret import MASK
from furrow.models import Attempt, Node, Signal, Workflow
from furrow.states import NodeState
from furrow.testing import advance, drain
from furrow.workflows import acts
from pytest_django import Settings

from tests import kinds, services
from tests.kinds import approved
from tests.rows import HOUR, make

pytestmark = [pytest.mark.django_db, pytest.mark.engine]

MAY = "auth.add_group"


def person(name: str, *permissions: str) -> User:
    """Somebody with these permissions, by their codenames."""
    user = User.objects.create(username=name, is_staff=True, email=f"{name}@example.com")
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


@pytest.fixture
def boss() -> User:
    """Who may decide."""
    return person("boss", "add_group")


def run() -> None:
    """Whatever is due."""
    drain(raise_on_failure=False)


def asked(**options: Any) -> Approval:
    """A workflow's approval, which a job follows whatever becomes of it."""
    with workflow("release", submitted_by=options.pop("submitted_by", None)) as w:
        built = w.add(kinds.add, {"a": 1}, name="built")
        go = w.approval("Release?", permission=MAY, after=[built], name="go", **options)
        w.add("kinds.note", {"text": go.result["by"]}, after=[go], name="released")
        w.add("kinds.note", {"text": "no"}, after=[go.failed], name="told")
    run()
    return Approval.objects.get()


def states() -> dict[str, str]:
    return dict(Node.objects.values_list("name", "state"))


def result(name: str) -> Any:
    return Job.objects.get(node=Node.objects.get(name=name).pk).result


def test_an_approval_lets_its_workflow_go_on_with_who_decided_and_the_answers(boss: User) -> None:
    approval = asked(form=approved.Release, description="Version 7")
    assert states()["go"] == NodeState.RUNNING
    assert (approval.description, approval.node) == ("Version 7", Node.objects.get(name="go").pk)
    row = decide(approval, by=boss, approved=True, note="looks good", answers={"share": 5})
    assert row.answers == {"share": 5, "when": "tonight", "notes": ""}
    run()
    assert states() == {"built": "succeeded", "go": "succeeded", "released": "succeeded", "told": "skipped"}
    assert result("go") == {"approved": True, "by": "boss", "note": "looks good", "answers": row.answers}
    assert result("released") == "boss"


def test_a_rejection_fails_the_node_at_once_or_is_a_result(boss: User) -> None:
    approval = asked()
    decide(approval, by=boss, approved=False, note="not today")
    run()
    assert states() == {"built": "succeeded", "go": "failed", "released": "skipped", "told": "succeeded"}
    assert Job.objects.get(pk=approval.job_id).error == "ApprovalRejected: “Release?” was rejected by boss: not today"
    with workflow("release") as w:
        go = w.approval("Again?", permission=MAY, rejection="result")
        w.add("kinds.note", {"text": go.result["note"]}, after=[go], name="note")
    run()
    decide(Approval.objects.get(title="Again?"), by=boss, approved=False, note="no")
    run()
    assert result("note") == "no"


def test_a_restart_asks_again_what_was_rejected_but_a_rescue_does_not(boss: User) -> None:
    first = asked()
    decide(first, by=boss, approved=False)
    run()
    Attempt.objects.filter(job=first.job_id, error_type="ApprovalRejected").update(outcome="lost", error_type="")
    retry(first.job_id)  # as a rescue does: that run died behind the decision, and told nobody
    run()
    assert (Approval.objects.count(), states()["go"]) == (1, "failed")
    assert acts.restart([Workflow.objects.get().pk]) == 1
    run()
    second = open_approvals().get()
    assert (second.pk != first.pk, second.step) == (True, "approval 2")
    decide(second, by=boss, approved=True)
    run()
    assert states()["released"] == "succeeded"
    retry(second.job_id)  # an earlier run has behind it what was decided
    run()
    assert Approval.objects.count() == 2
    assert Job.objects.get(pk=second.job_id).state == State.SUCCEEDED


def test_one_person_decides_and_the_other_is_told_who_was_first(boss: User) -> None:
    approval = asked()
    decide(approval, by=boss, approved=True)
    with pytest.raises(InputError, match=r"approval: it was approved by boss at 20"):
        decide(approval, by=person("late", "add_group"), approved=False)
    assert Signal.objects.count() == 1


def test_what_has_ended_or_is_too_late_cannot_be_decided(boss: User) -> None:
    approval = asked(timeout=3600)
    assert [approval] == list(open_approvals())
    cancel(approval.job_id)
    with pytest.raises(InputError, match="its job has ended: cancelled"):
        decide(approval, by=boss, approved=True)
    assert not open_approvals().exists()
    retry(approval.job_id)
    assert open_approvals().exists()
    Approval.objects.update(timeout_at=timezone.now())
    with pytest.raises(InputError, match="its time was over at"):
        decide(approval, by=boss, approved=True)


def test_what_its_job_has_given_up_cannot_be_decided(boss: User, monkeypatch: pytest.MonkeyPatch) -> None:
    def asks() -> str:
        try:
            current_job.approval("Go on?", permission=MAY, timeout=60)
        except ApprovalTimeout:
            current_job.wait_signal("more")
        return "never"

    monkeypatch.setattr(approved, "script", asks)
    submit("kinds.asks")
    run()
    advance(120)
    run()
    Approval.objects.update(timeout_at=timezone.now() + HOUR)  # as where the database's clock was set back meanwhile
    with pytest.raises(InputError, match="its job has gone on"):
        decide(Approval.objects.get(), by=boss, approved=True)
    assert not Signal.objects.exists()


def test_nobody_decides_in_time() -> None:
    asked(timeout=3600)
    advance(3601)
    run()
    assert states() == {"built": "succeeded", "go": "failed", "released": "skipped", "told": "succeeded"}


def test_only_who_has_the_permission_and_did_not_ask_may_decide(boss: User) -> None:
    approval = asked(second_person=True, submitted_by=boss)
    with pytest.raises(PermissionDenied, match="needs a second person"):
        decide(approval, by=boss, approved=True)
    other, root = person("other"), User.objects.create(username="root", is_superuser=True)
    with pytest.raises(PermissionDenied, match=r"needs the permission auth\.add_group"):
        decide(approval, by=other, approved=True)
    second = person("second", "add_group")
    assert [count_for(user) for user in (boss, other, second, root)] == [0, 0, 1, 1]
    assert [for_user(user, open_approvals()).count() for user in (boss, other, second, root)] == [0, 0, 1, 1]
    decide(approval, by=second, approved=True)


def test_no_signal_decides(boss: User) -> None:
    approval = asked()
    with pytest.raises(InputError, match="an approval is decided"):
        send_signal(approval.job_id, f"furrow.approval {approval.pk}", {"approved": True, "by": "boss", "note": ""})


@pytest.mark.parametrize(
    ("form", "answers", "kept"),
    [
        (approved.Refund, {"amount": 3}, {"amount": 3.0, "since": None, "tags": []}),
        (approved.reason, {"text": "so"}, {"text": "so", "urgent": False}),
    ],
)
def test_a_form_is_a_dataclass_or_a_function(form: Any, answers: Any, kept: Any, boss: User) -> None:
    approval = asked(form=form)
    assert approval.schema["properties"].keys() == kept.keys()
    assert decide(approval, by=boss, approved=True, answers=answers).answers == kept


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ({"share": 0}, "share: input should be greater than or equal to 1"),
        ({}, "share: is missing"),
        ({"share": 1, "x": 1}, "x: is not an argument of"),
        ({"share": 100, "when": "now"}, "all servers at once only at night"),
    ],
)
def test_answers_that_do_not_fit_are_refused(answers: Any, problem: str, boss: User) -> None:
    approval = asked(form=approved.Release)
    with pytest.raises(InputError, match=problem):
        decide(approval, by=boss, approved=True, answers=answers)
    assert Approval.objects.get().decided_at is None
    assert decide(approval, by=boss, approved=False).answers is None  # a rejection needs none


def test_what_cannot_be_asked_is_refused_while_it_is_written_down() -> None:
    for options, problem in {
        "permission": "must be a permission's name",
        "form": "at the top of a module",
        "notify": "must be an address",
        "rejection": "must be one of fail, result",
        "timeout": "must be a timedelta",
    }.items():
        bad: Any = {"permission": "release", "form": lambda x: x, "notify": ["Ann"], "rejection": "no", "timeout": -1}[options]
        with pytest.raises(WorkflowError, match=problem), workflow("w") as w:
            w.approval(**{"title": "Go?", "permission": MAY, options: bad})
    assert not Workflow.objects.exists()


# --- In a handler -------------------------------------------------------------------------------------------------------------


def test_a_handler_asks(boss: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approved, "script", lambda: current_job.approval("Go?", permission=MAY, form=approved.reason))
    for kind in ("kinds.asks", "kinds.asks_async"):
        job = submit(kind)
        run()
        approval = Approval.objects.get(job=job.pk)
        decide(approval, by=boss, approved=True, answers={"text": "so"} if approval.form else None)
        run()
        job.refresh_from_db()
        assert (job.state, job.result["by"]) == (State.SUCCEEDED, "boss")


def test_a_job_that_runs_again_from_the_step_asks_anew_what_was_decided(boss: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approved, "script", lambda: current_job.approval("Go?", permission=MAY)["note"])
    job = submit("kinds.asks")
    run()
    retry_from(job.pk, "approval")
    run()
    decide(Approval.objects.get(), by=boss, approved=True, note="first")  # asked once: nobody had decided
    run()
    retry_from(job.pk, "approval")
    run()
    decide(open_approvals().get(), by=boss, approved=True, note="second")
    run()
    job.refresh_from_db()
    assert job.result == "second"


def test_what_a_handler_asks_shows_no_secret_of_its_job(monkeypatch: pytest.MonkeyPatch) -> None:
    def asks(word: str, text: str = "") -> Any:
        return current_job.approval(f"Use {word}?", permission=MAY, description=f"It is {word}.")

    monkeypatch.setattr(_kinds["kinds.keeps"], "handler", asks)
    submit("kinds.keeps", {"word": "hunter2hunter2"})
    run()
    approval = Approval.objects.get()
    assert (approval.title, approval.description) == (f"Use {MASK}?", f"It is {MASK}.")


# --- E-mail, and what is said -------------------------------------------------------------------------------------------------


def test_mails_go_once_to_addresses_and_to_who_has_a_permission_or_is_in_a_group(boss: User, settings: Settings) -> None:
    settings.FURROW = {**settings.FURROW, "SITE_URL": "https://jobs.example.com"}
    member = person("member")
    member.groups.add(Group.objects.create(name="Release managers"))
    approval = asked(notify=["ops@example.com", MAY, "group:Release managers"], description="Version 7")
    assert sorted(one.to[0] for one in mail.outbox) == ["boss@example.com", "member@example.com", "ops@example.com"]
    assert f"https://jobs.example.com/admin/furrow/approval/{approval.pk}/change/" in str(mail.outbox[0].body)
    retry(Job.objects.get(kind="furrow.approval_mail").pk)
    run()
    assert len(mail.outbox) == 3


def test_a_mail_server_that_is_away_holds_up_no_approval(boss: User, settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", 1, 1
    approval = asked(notify=["ops@example.com"])
    assert Job.objects.get(kind="furrow.approval_mail").state == State.PENDING  # tried again
    decide(approval, by=boss, approved=True)
    run()
    assert states()["released"] == "succeeded"


def test_an_address_that_is_refused_keeps_no_mail_from_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []

    def send(subject: str, body: str, sender: None, to: list[str]) -> None:
        if to == ["gone@example.com"]:
            raise SMTPRecipientsRefused({to[0]: (550, b"no such user")})
        sent.extend(to)

    monkeypatch.setattr(mailing, "send_mail", send)
    asked(notify=["zoe@example.com", "gone@example.com", "ann@example.com"])
    mails = Job.objects.get(kind="furrow.approval_mail")
    assert (sent, mails.state) == (["ann@example.com", "zoe@example.com"], State.PENDING)
    advance(3_600)
    run()
    assert len(sent) == 2


def test_why_it_waits_names_the_permission() -> None:
    approval = asked()
    job, now = Job.objects.get(pk=approval.job_id), timezone.now()
    reason = why(job, situation(job, now), now)
    assert reason is not None
    assert reason.text == "Waits for the approval “Release?” by somebody with the permission auth.add_group"


def test_an_approval_is_deleted_with_its_job() -> None:
    approval = asked()
    cancel(approval.job_id)
    run()
    delete(approval.job_id)
    assert not Approval.objects.exists()
    with pytest.raises(InputError, match="there is none"):
        decide(uuid.uuid4(), by="a program", approved=True)


def test_an_approval_is_pruned_with_its_job() -> None:
    job = make(State.CANCELLED)
    Approval.objects.create(job=job, step="approval", title="Go?", permission=MAY)
    Job.objects.update(finished_at=timezone.now() - 2 * HOUR)
    assert statements.on(connection).prune(connection, State.CANCELLED, 3600, 10, 1e6) == 1
    assert not Approval.objects.exists()


def test_the_example_of_the_guide_runs(boss: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (services.ROOT / "docs/approvals.md").read_text()
    example = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)[0]
    (tmp_path / "approvals_of_the_guide.py").write_text(example)
    monkeypatch.syspath_prepend(tmp_path)
    guide = import_module("approvals_of_the_guide")
    try:
        w = guide.ship("7", boss)
        run()
        approval = Approval.objects.get()
        assert approval.description == "shop-7.tar.gz"
        decide(approval, by=person("ann", "change_group"), approved=True, answers={"share": 5})
        run()
        assert wait(w, timeout=1) == "shop-7.tar.gz to 5 %, approved by ann"
    finally:
        for kind in (guide.build, guide.release, guide.clean_up):
            _kinds.pop(kind.name)
            current_app.tasks.pop(kind.name)
