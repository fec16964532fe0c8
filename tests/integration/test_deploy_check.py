"""``furrow deploy-check``: what this code could not run, and arguments of an older signature."""

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone
from furrow import Approval, Job, workflow
from furrow.management.commands.furrow import load
from furrow.models import Schedule, Step
from furrow.models.step import Sort
from furrow.states import State
from furrow.testing import drain

from tests import kinds
from tests.kinds import deployed, flows
from tests.rows import make

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]
NOW = timezone.now()


def check(*options: str) -> tuple[int, str]:
    """Its exit code, and what it said."""
    said = StringIO()
    try:
        call_command(load("deploy-check"), *options, stdout=said)
    except SystemExit as end:
        return int(str(end.code)), said.getvalue()
    return 0, said.getvalue()


def test_what_fits_is_not_named_whatever_it_waits_for() -> None:
    make(arguments={"a": 1, "b": 2}), make(kind="kinds.bills", arguments={"user": 3})
    make(State.SUCCEEDED, kind="gone.kind"), make(State.RUNNING, arguments={"a": 1})
    with workflow("w") as w:
        a = w.add(flows.order, {"number": 1})
        w.add(kinds.add, {"a": a.result["id"], "b": 1}, after=[a])
    assert check() == (0, "Whatever is in the database would run.\n")


def test_each_sort_of_what_would_not_run_is_named_with_its_number_and_examples() -> None:
    gone = [make(kind="gone.kind") for _ in range(4)]
    other = make(queue="closed", arguments={"a": 1})
    unfit = [make(arguments={"a": "x"}), make(arguments={"b": 1}, state=State.WAITING), make(arguments={"a": "y"})]
    cannot = make(kind="kinds.bills", arguments={"nobody": 1})
    Schedule.objects.create(name="nightly", kind="gone.kind", timing="0 3 * * *")
    Schedule.objects.create(name="hourly", kind="kinds.add", timing="0 * * * *", arguments={"z": 1})
    rows = json.loads(check("--json")[1])["refused"]
    named = {(row["what"], row["name"], row["reason"].split(":")[0]): (row["number"], row["examples"]) for row in rows}
    assert named[("jobs", "gone.kind", "no kind of this name")] == (4, [str(job.pk) for job in gone[:3]])
    assert named[("jobs", "queue closed", "no queue of this name")] == (1, [str(other.pk)])
    assert named[("jobs", "kinds.add", "a")][0] in (1, 2)
    assert sum(row["number"] for row in rows if row["name"] == "kinds.add") == len(unfit)
    assert named[("jobs", "kinds.bills", "arguments")] == (1, [str(cannot.pk)])
    assert ("schedules", "nightly", "there is no kind 'gone.kind' any more") in named
    assert ("schedules", "hourly", "kinds.add") in named
    code, said = check()
    assert code == 1
    assert "gone.kind: 4 jobs would not run" in said
    assert "Not looked at: 3 more jobs." in check("--limit", "1")[1]


def test_arguments_of_an_older_signature_are_made_new() -> None:
    job = make(kind=deployed.bills.name, arguments={"user": 7})
    drain()
    job.refresh_from_db()
    assert (job.state, job.result, job.arguments) == (State.SUCCEEDED, "7 EUR", {"user": 7})


def test_an_upgrade_that_raises_fails_the_job_by_name() -> None:
    make(kind=deployed.bills.name, arguments={"nobody": 7})
    drain(raise_on_failure=False)
    assert "upgrade raised KeyError" in Job.objects.get().error


def test_open_approvals_whose_form_or_permission_is_gone_are_named() -> None:
    job, ended = make(arguments={"a": 1}), make(State.SUCCEEDED, arguments={"a": 1})

    def asked(**columns: str) -> str:
        given = {"permission": "auth.add_group", "form": "", **columns}
        return str(Approval.objects.create(job=job, step="approval", title="Go?", **given).pk)

    asked(form="tests.kinds.approved:Release")
    Approval.objects.create(job=ended, step="approval", title="Gone?", permission="shop.gone", form="gone:Form")
    assert check()[0] == 0
    lost = asked(permission="shop.release")
    code, said = check()
    assert (code, "permission shop.release: 1 approval may wait for ever" in said, lost in said) == (0, True, True)
    formless = [asked(form="tests.kinds.approved:Gone") for _ in range(2)]
    rows = {row["name"]: row for row in json.loads(check("--json")[1])["refused"]}
    assert {*rows} == {"permission shop.release", "form tests.kinds.approved:Gone"}
    assert rows["form tests.kinds.approved:Gone"]["examples"] == formless
    code, said = check()
    assert (code, "form tests.kinds.approved:Gone: 2 approvals could not be decided" in said) == (1, True)


def test_steps_that_do_not_stand_in_the_code_are_warned_of() -> None:
    for name in ("add 17", "add", "gone_with_the_release"):
        Step.objects.create(job=make(arguments={"a": 1}), name=name, sort=Sort.STEP, position=1, attempt=1, started_at=NOW)
    Step.objects.create(job=make(State.SUCCEEDED), name="ended_long_ago", sort=Sort.STEP, position=1, attempt=1, started_at=NOW)
    Step.objects.create(
        job=make(arguments={"a": 1}), name="of_another_sort", sort=Sort.SLEEP, position=1, attempt=1, started_at=NOW
    )
    code, said = check()
    assert code == 0
    assert "kinds.add, step gone_with_the_release" in said
    assert said.count(", step ") == 1
