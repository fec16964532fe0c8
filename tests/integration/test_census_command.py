"""``manage.py census`` on a real database, without any other process: what it submits, refuses, shows and prints."""

import io
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DatabaseError
from django.utils import timezone
from furrow import Job, State

from tasks import census
from tasks.management.commands import census as command
from tasks.management.following import Look, Standing
from tasks.source.reading import SourceError

pytestmark = pytest.mark.django_db


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two packages, three good files, a bad one."""
    for name, text in {
        "one/a.py": "x = 1\n",
        "one/b.py": "x = 1\n",
        "one/bad.py": "x =\n",
        "two.py": "def f(): pass\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def run(*arguments: str) -> tuple[str, str]:
    """The command's standard output and standard error."""
    out, err = io.StringIO(), io.StringIO()
    call_command("census", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def finish(job: Job, state: State, **columns: Any) -> None:
    now = timezone.now()
    Job.objects.filter(pk=job.pk).update(state=state, attempt=1, started_at=now, finished_at=now, **columns)


@pytest.fixture
def worked(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the command watches, every job runs, here."""

    def follow(batch: uuid.UUID, *, patience: float) -> Any:
        for job in Job.objects.filter(batch=batch, kind="census.measure"):
            try:
                finish(job, State.SUCCEEDED, result=census.measure(**job.arguments))
            except (SourceError, OSError) as error:
                finish(job, State.FAILED, error=f"{type(error).__name__}: {error}")
        last = Job.objects.get(batch=batch, kind="census.report")
        arguments = {**last.arguments, "batch": batch}
        finish(last, State.SUCCEEDED, result=census.report(**arguments))
        yield Look(Standing({"succeeded": 3, "failed": 1}, "succeeded"), 4.0)

    monkeypatch.setattr(command, "follow", follow)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["{tmp}/nowhere"], "FOLDER '{tmp}/nowhere' does not exist"),
        ([""], "FOLDER '' does not exist"),
        (["{tmp}/one/a.py"], "is not a folder: name the one it is in, '{tmp}/one'"),
        (["{tmp}", "{tmp}/nowhere"], "does not exist"),
        (["{tmp}/empty"], "has no .py file"),
        (["{tmp}/dangling"], "is not a folder"),
        (["{tmp}", "--limit", "0"], "--limit is 0: it must be 1 or more"),
        (["{tmp}", "--limit", "-3"], "--limit is -3"),
        (["{tmp}", "--limit", "many"], "--limit: invalid int value: 'many'"),
        (["--follow", "x"], "--follow: invalid UUID value: 'x'"),
        (["--follow", "01a2043d-ba3f-7216-8027-6f8ffb01b50b"], "--follow: no census has the batch 01a2043d"),
        (["{tmp}", "--follow", "01a2043d-ba3f-7216-8027-6f8ffb01b50b"], "--follow goes with none of FOLDER"),
        (["{tmp}", "--patience", "0"], "--patience is 0: it must be more than 0 seconds"),
        (["{tmp}", "--patience", "nan"], "--patience is nan"),
    ],
)
def test_what_it_refuses(tree: Path, arguments: list[str], text: str) -> None:
    (tree / "empty").mkdir()
    (tree / "empty" / "readme.txt").touch()
    (tree / "dangling").symlink_to("gone")
    with pytest.raises(CommandError) as caught:
        run(*(argument.replace("{tmp}", str(tree)) for argument in arguments))
    assert text.replace("{tmp}", str(tree)) in str(caught.value)
    assert Job.objects.count() == 0


def test_no_wait_only_submits(tree: Path) -> None:
    out, err = run(str(tree), "--no-wait")
    assert out.startswith("Submitted 4 jobs and a report in ")
    batch = Job.objects.values_list("batch", flat=True).first()
    assert f"manage.py census --follow {batch}" in out
    assert err == ""
    assert Job.objects.filter(state__in=[State.PENDING, State.WAITING]).count() == 6


def test_limit(tree: Path) -> None:
    run(str(tree), "--no-wait", "--limit", "2")
    paths = {job.arguments["path"] for job in Job.objects.filter(kind="census.measure")}
    assert paths == {str(tree / "one/a.py"), str(tree / "one/b.py")}


def test_json_without_waiting(tree: Path) -> None:
    out, err = run(str(tree), "--no-wait", "--json")
    printed = json.loads(out)
    assert Job.objects.get(pk=printed["report_job"]).kind == "census.report"
    assert (printed["jobs"], uuid.UUID(printed["batch"]).version) == (4, 7)
    assert "Submitted 4 jobs" in err


def test_names_that_are_no_text_do_not_keep_the_others_from_being_submitted(tree: Path) -> None:
    Path(f"{tree}/bad\udcff.py").touch()
    out, _ = run(str(tree), "--no-wait")
    assert "Submitted 4 jobs" in out
    assert f"Passed over 1, for example {tree}/bad\\xff.py: the name is not text" in out
    assert Job.objects.get(kind="census.report").arguments["skipped"] == [
        f"{tree}/bad\\xff.py: the name is not text, so it cannot be stored"
    ]


def test_only_names_that_are_no_text(tmp_path: Path) -> None:
    Path(f"{tmp_path}/bad\udcff.py").touch()
    with pytest.raises(CommandError, match=r"Passed over: .*bad\\xff\.py"):
        run(str(tmp_path))


def test_a_folder_whose_own_name_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="does not exist") as caught:
        run(f"{tmp_path}/\udcff")
    str(caught.value).encode()


@pytest.mark.usefixtures("worked")
def test_the_whole_way(tree: Path) -> None:
    out, _ = run(str(tree))
    assert "4/4 done, 1 failed, report succeeded" in out
    assert "Packages by lines" in out
    assert [line.split()[:3] for line in out.splitlines() if line.startswith(("  one ", "  two ", "  all "))] == [
        ["one", "2", "1"],
        ["two", "1", "0"],
        ["all", "3", "1"],
    ]
    assert "Identical files, 1 group;" in out
    assert f"NotPython: {tree}/one/bad.py:1: invalid syntax" in out
    assert "4 jobs in " in out
    assert "1 file not measurable. Wait from due to begun: p50 " in out


@pytest.mark.usefixtures("worked")
def test_the_whole_way_as_json(tree: Path) -> None:
    out, err = run(str(tree), "--json")
    printed = json.loads(out)
    assert (printed["jobs"], printed["failed"], printed["report"]["total"]["files"]) == (4, 1, 3)
    assert printed["wait_p50_ms"] >= 0
    assert printed["seconds"] > 0
    assert "4/4 done" in err


@pytest.mark.usefixtures("worked")
def test_follow_an_earlier_census(tree: Path) -> None:
    batch = json.loads(run(str(tree), "--no-wait", "--json")[0])["batch"]
    out, _ = run("--follow", batch)
    assert "Submitted" not in out
    assert "Packages by lines" in out


def test_a_report_that_failed_is_an_error(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def follow(batch: uuid.UUID, *, patience: float) -> Any:
        finish(Job.objects.get(batch=batch, kind="census.report"), State.FAILED, error="KeyError: 'path'")
        yield Look(Standing({"succeeded": 4}, "failed"), 1.0)

    monkeypatch.setattr(command, "follow", follow)
    with pytest.raises(CommandError, match=r"The report ended failed: KeyError: 'path' See"):
        run(str(tree))


def test_when_nothing_moves_it_says_why_and_that_nothing_is_lost(tree: Path) -> None:
    with pytest.raises(CommandError, match=r"No dispatcher leads: .*No living worker .*Nothing is lost\. See"):
        run(str(tree), "--patience", "0.1")
    assert Job.objects.filter(state__in=[State.PENDING, State.WAITING]).count() == 6


@pytest.mark.parametrize("moment", ["submitting", "watching"])
def test_ctrl_c(tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], moment: str) -> None:
    def interrupted(*args: Any, **kwargs: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "submit_census" if moment == "submitting" else "follow", interrupted)
    with pytest.raises(SystemExit) as caught:
        call_command("census", str(tree))
    assert caught.value.code == 130
    said = capsys.readouterr().out
    assert ("Nothing was submitted." if moment == "submitting" else "the jobs go on. See") in said
    assert Job.objects.exists() == (moment == "watching")


def test_a_database_that_refuses(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(listing: object) -> None:
        raise DatabaseError("no such table: furrow_job")

    monkeypatch.setattr(command, "submit_census", refuse)
    with pytest.raises(CommandError, match=r"Nothing was submitted: no such table: furrow_job\. Is the database up"):
        run(str(tree))
