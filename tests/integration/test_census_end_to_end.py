"""A census on the real parts: dispatcher, RabbitMQ, worker, database."""

import io
import json
import os
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from furrow import Job, Outcome, State, submit

from tasks import census
from tests.stack import Stack, wait_until

pytestmark = [pytest.mark.engine]


def take_census(*arguments: str) -> dict[str, Any]:
    """What ``manage.py census --json`` prints."""
    out = io.StringIO()
    call_command("census", "--json", *arguments, stdout=out, stderr=io.StringIO())
    printed: dict[str, Any] = json.loads(out.getvalue())
    return printed


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Forty good files in four packages, and one of each kind of bad one."""
    for n in range(40):
        path = tmp_path / f"package{n % 4}" / f"module{n}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"def f(x):\n    if x:\n        return {n // 8}\n")
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "syntax.py").write_text("x = 1\nprint 'x'\n")
    (bad / "latin.py").write_bytes(b"x = 1\n\ny = '\xe4'\n")
    (bad / "deep.py").write_bytes(b"x = " + b"-" * 100_000 + b"1")
    (bad / "folder.py").mkdir()
    (bad / "dangling.py").symlink_to("nowhere.py")
    os.mkfifo(bad / "pipe.py")
    Path(f"{bad}/name\udcff.py").touch()
    return tmp_path


def test_every_file_is_measured_or_fails_with_its_reason(stack: Stack, tree: Path) -> None:
    printed = take_census(str(tree))
    report = printed["report"]
    assert (printed["jobs"], printed["failed"], report["total"]["files"]) == (46, 6, 40)
    assert {row["package"]: (row["files"], row["failed"], row["functions"]) for row in report["packages"]} == {
        **{f"package{n}": (10, 0, 10) for n in range(4)},
        "bad": (0, 6, 0),
    }
    assert {failure["reason"]: failure["count"] for failure in report["failures"]} == {
        "not a file": 2,
        "not Python": 1,
        "not text": 1,
        "not found": 1,
        "too deeply nested": 1,
    }
    errors = {example["path"]: example["error"] for failure in report["failures"] for example in failure["examples"]}
    assert errors[f"{tree}/bad/syntax.py"].startswith(f"NotPython: {tree}/bad/syntax.py:2: ")
    assert errors[f"{tree}/bad/latin.py"].startswith(f"NotText: {tree}/bad/latin.py:3: byte 0xe4 is not utf-8")
    assert len(report["skipped"]) == 1
    assert printed["jobs_per_second"] > 0
    assert 0 <= printed["wait_p50_ms"] <= printed["wait_p99_ms"]


def test_a_bad_file_fails_its_job_at_the_first_attempt(stack: Stack, tree: Path) -> None:
    batch = take_census(str(tree / "bad"))["batch"]
    jobs = Job.objects.filter(batch=batch, kind="census.measure")
    assert {(job.state, job.attempt) for job in jobs} == {(State.FAILED, 1)}
    assert all(job.attempts.get().error_type for job in jobs)


def test_the_report_waits_for_a_late_file_without_using_up_attempts(stack: Stack, tree: Path) -> None:
    batch = uuid.uuid4()
    submit(census.measure, {"path": str(tree / "package0/module0.py"), "package": "p"}, batch=batch, countdown=3)
    last = submit(census.report, {"batch": batch}, batch=batch, max_attempts=1)
    wait_until(lambda: Job.objects.filter(pk=last.pk, state=State.SUCCEEDED).exists(), what="the report")
    last.refresh_from_db()
    assert last.result["total"]["files"] == 1
    assert last.progress == 1.0
    assert last.excused == last.attempt - 1 >= 1
    outcomes = list(last.attempts.order_by("number").values_list("outcome", flat=True))
    assert outcomes == [*[Outcome.SNOOZED] * last.excused, Outcome.SUCCEEDED]


def test_a_file_may_vanish_between_listing_and_running(bare: Stack, tree: Path) -> None:
    out = io.StringIO()
    call_command("census", "--json", "--no-wait", str(tree / "package0"), stdout=out, stderr=io.StringIO())
    (tree / "package0/module0.py").unlink()
    bare.dispatcher()
    bare.worker()
    printed = take_census("--follow", json.loads(out.getvalue())["batch"])
    (failure,) = printed["report"]["failures"]
    assert (failure["reason"], failure["count"]) == ("not found", 1)
    assert printed["report"]["total"]["files"] == 9


@pytest.mark.thorough
def test_the_census_survives_its_worker_and_its_dispatcher(bare: Stack, tree: Path) -> None:
    """Killed in the middle, both: nothing is lost, nothing is counted twice."""
    for n in range(150):
        (tree / "package1" / f"more{n}.py").write_text("def f(x):\n    return [y for y in x if y]\n" * 100)
    out = io.StringIO()
    call_command("census", "--json", "--no-wait", str(tree / "package1"), stdout=out, stderr=io.StringIO())
    batch = json.loads(out.getvalue())["batch"]
    dispatcher, worker = bare.dispatcher("dispatcher1"), bare.worker("worker1")
    done = Job.objects.filter(batch=batch, kind="census.measure", state=State.SUCCEEDED)
    wait_until(lambda: done.count() >= 20, what="the first files")
    for process in (worker, dispatcher):
        process.kill()
        bare.expire(process)
    bare.dispatcher("dispatcher2")
    bare.worker("worker2")
    report = take_census("--follow", batch)["report"]
    assert (report["total"]["files"], report["total"]["failed"]) == (160, 0)
    assert report["total"]["functions"] == 150 * 100 + 10
