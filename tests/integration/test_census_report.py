"""The census's jobs on a real database: submitted together, reported when all have ended, the same at every run."""

import json
import uuid
from typing import Any

import pytest
from django.utils import timezone
from furrow import Abort, ArgumentError, Attempt, Job, Outcome, Snooze, State, get_kind
from furrow.models import Node

from tasks import census
from tasks.census import Census, submit_census
from tasks.source.listing import Listing, Source
from tasks.source.measurement import measure_file
from tasks.source.reading import SourceError

pytestmark = pytest.mark.django_db


@pytest.fixture
def submitted(tmp_path: Any) -> Census:
    """A census of three files of two packages: a good one, one that is not Python, one that is gone."""
    (tmp_path / "good.py").write_text("def f(x):\n    return x or 1\n")
    (tmp_path / "bad.py").write_text("def f(:\n")
    names = {"good": "one", "bad": "one", "gone": "two"}
    return submit_census(
        Listing([Source(str(tmp_path / f"{name}.py"), package) for name, package in names.items()], ["a", "b"])
    )


def end(job: Job, state: State, *, result: Any = None, error: str = "", error_type: str = "", outcome: str = "") -> None:
    """Record the end of a run as a worker does."""
    now = timezone.now()
    job.attempt += 1
    job.state, job.result, job.error, job.started_at, job.finished_at = state, result, error, now, now
    job.save()
    ended = outcome or (Outcome.SUCCEEDED if state == State.SUCCEEDED else Outcome.FAILED)
    Attempt.objects.create(
        job=job, number=job.attempt, outcome=ended, started_at=now, finished_at=now, error=error, error_type=error_type
    )


def work(batch: uuid.UUID) -> None:
    """Run the measuring jobs of a batch."""
    for job in Job.objects.filter(batch=batch, kind="census.measure", state=State.PENDING):
        try:
            end(job, State.SUCCEEDED, result=census.measure(**job.arguments))
        except (SourceError, OSError) as error:
            end(job, State.FAILED, error=f"{type(error).__name__}: {error}", error_type=type(error).__qualname__)


def test_one_batch_of_files_and_a_report(submitted: Census) -> None:
    jobs = Job.objects.filter(batch=submitted.batch)
    assert submitted.files == 3
    assert sorted(jobs.values_list("kind", flat=True)) == ["census.failures"] + ["census.measure"] * 3 + ["census.report"]
    last = jobs.get(pk=submitted.report)
    assert (last.kind, last.priority, last.state) == ("census.report", 9, State.WAITING)
    nodes = Node.objects.filter(workflow=submitted.batch).order_by("position")
    assert list(nodes.values_list("name", "jobs")) == [("measure", 3), ("report", 1), ("failures", 1)]
    assert last.arguments == {"batch": str(submitted.batch), "skipped": ["a", "b"], "skipped_more": 0}
    assert {job.arguments["package"] for job in jobs if job.kind == "census.measure"} == {"one", "two"}


def test_nothing_is_written_when_one_path_cannot_be_stored() -> None:
    with pytest.raises(ArgumentError, match="row 1: path"):
        submit_census(Listing([Source("/a.py", "a"), Source("/b\udcff.py", "b")]))
    assert Job.objects.count() == 0


def test_many_skipped_names_are_cut_at_submit() -> None:
    made = submit_census(Listing([Source("/a.py", "a")], ["x" * 5_000] * 500))
    arguments = Job.objects.get(pk=made.report).arguments
    assert (len(arguments["skipped"]), arguments["skipped_more"]) == (20, 480)
    assert len(json.dumps(arguments)) < 6_000


def test_the_report_snoozes_while_files_are_unfinished(submitted: Census) -> None:
    with pytest.raises(Snooze, match="3 files to go") as caught:
        census.report(submitted.batch)
    assert caught.value.seconds == 2.0
    first = Job.objects.filter(batch=submitted.batch, kind="census.measure").first()
    assert first is not None
    end(first, State.CANCELLED)
    with pytest.raises(Snooze, match="2 files to go"):
        census.report(submitted.batch)


def test_the_report(submitted: Census) -> None:
    work(submitted.batch)
    report = census.report(submitted.batch, ("a", "b"), 5)
    assert (report["total"]["files"], report["total"]["failed"]) == (1, 2)
    assert [(row["package"], row["files"], row["failed"], row["max_complexity"]) for row in report["packages"]] == [
        ("one", 1, 1, 2),
        ("two", 0, 1, 0),
    ]
    assert [(f["reason"], f["count"]) for f in report["failures"]] == [("not Python", 1), ("not found", 1)]
    assert "bad.py:1: invalid syntax" in report["failures"][0]["examples"][0]["error"]
    assert (report["skipped"], report["cut"]["skipped"]) == (["a", "b"], 5)
    json.dumps(report, allow_nan=False)


def test_files_that_cannot_be_measured_are_named_in_a_log(submitted: Census) -> None:
    work(submitted.batch)
    assert census.failures(submitted.batch) == 2


def test_the_report_is_the_same_when_it_runs_again(submitted: Census) -> None:
    work(submitted.batch)
    assert census.report(submitted.batch) == census.report(submitted.batch)


def test_files_whose_run_left_no_error_have_a_reason_too(submitted: Census) -> None:
    first, second, third = Job.objects.filter(batch=submitted.batch, kind="census.measure").order_by("pk")
    end(first, State.CANCELLED, error="cancelled by request")
    end(second, State.FAILED, error="its process died", outcome=Outcome.CRASHED)
    end(third, State.FAILED, error="SoftTimeout", error_type="SoftTimeout", outcome=Outcome.TIMED_OUT)
    reasons = {failure["reason"] for failure in census.report(submitted.batch)["failures"]}
    assert reasons == {"cancelled", "crashed", "SoftTimeout"}


def test_only_the_last_attempt_tells_the_reason(submitted: Census) -> None:
    work(submitted.batch)
    gone = Job.objects.get(batch=submitted.batch, arguments__path__endswith="gone.py")
    end(gone, State.FAILED, error="PermissionError: …", error_type="PermissionError")
    reasons = [failure["reason"] for failure in census.report(submitted.batch)["failures"]]
    assert reasons == ["no permission", "not Python"]


def test_a_batch_without_measurements_is_final() -> None:
    with pytest.raises(Abort, match=r"batch: no census\.measure job has"):
        census.report(uuid.uuid4())


@pytest.mark.parametrize("error", census.FINAL_ERRORS)
def test_an_error_of_the_file_is_final(error: type[Exception]) -> None:
    policy = get_kind("census.measure").retry
    assert policy.for_error(error) is None


def test_other_errors_of_the_system_are_tried_again() -> None:
    policy = get_kind("census.measure").retry
    assert policy.for_error(OSError) is policy
    assert policy.for_error(InterruptedError) is policy
    assert policy.max_attempts == 3


def test_measure_is_a_function(tmp_path: Any) -> None:
    path = tmp_path / "a.py"
    path.write_text("x = 1\n")
    assert census.measure(str(path)) == measure_file(str(path))
