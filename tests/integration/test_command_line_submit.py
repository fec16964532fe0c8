"""``manage.py furrow jobs submit``: one job, and many from a file."""

from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from furrow import Job
from furrow.models import AuditEntry

from tests.command_line import as_json, jobs, refused

pytestmark = [pytest.mark.engine, pytest.mark.django_db, pytest.mark.usefixtures("media")]


def test_submit_says_which_job_and_where() -> None:
    text = jobs("submit", "kinds.add", "a=4", "--queue", "other", "--priority", "1", "--countdown", "3600")
    made = Job.objects.get()
    assert text == f"Submitted kinds.add {made.pk} to queue other, due in 59 min.\n"
    assert (made.arguments, made.queue, made.priority) == ({"a": 4, "b": 1}, "other", 1)


def test_submit_reads_values_as_the_form_does() -> None:
    given = as_json("submit", "kinds.typed", "text=", "flag=no", "items=[1]", "moment=2036-01-02T03:04", "colour=blue", "day=")
    assert given["arguments"]["flag"] is False
    assert given["arguments"]["items"] == [1]
    assert given["arguments"]["moment"] == "2036-01-02T03:04:00Z"
    assert given["arguments"]["colour"] == "blue"
    assert Job.objects.get(pk=given["id"]).arguments == given["arguments"]


def test_submit_with_tags() -> None:
    told = as_json("submit", "kinds.add", "a=1", "--tag", "one", "--tag", "two words")
    assert told["tags"] == Job.objects.get().tags == ["one", "two words"]
    assert [row["id"] for row in as_json("list", "--tag", "one")] == [told["id"]]


def test_submit_takes_json_and_a_time() -> None:
    given = as_json(
        "submit", "kinds.add", "--json-args", '{"a": 1}', "b=2", "--at", "2036-01-02T03:04+02:00", "--max-attempts", "1"
    )
    assert (given["arguments"], given["run_at"], given["max_attempts"]) == ({"a": 1, "b": 2}, "2036-01-02T01:04:00Z", 1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["kinds.ad", "a=1"], "There is no kind 'kinds.ad'. Did you mean kinds.add"),
        (["kinds.add"], "a: is missing: give it a value"),
        (["kinds.add", "a=x"], "a: input should be a valid integer"),
        (["kinds.add", "a=1", "A=1"], "kinds.add has no argument 'A': did you mean 'a'? Known: a, b."),
        (["kinds.add", "a=1", "a=2"], "The argument 'a' is given twice."),
        (["kinds.add", "a"], "'a' is no argument: write name=value, such as a=…"),
        (["kinds.add", "a=1", "--queue", "othre"], "queue: 'othre' is unknown; did you mean 'other'?"),
        (["kinds.add", "a=1", "--priority", "11"], "priority: 11 must be a whole number"),
        (["kinds.add", "a=1", "--countdown", "-1"], "countdown: -1.0 must be a number of seconds"),
        (["kinds.add", "a=1", "--at", "soon"], "--at 'soon' is no time: write it as 2026-01-31T13:45"),
        (["kinds.add", "--json-args", "{"], "--json-args is not JSON"),
        (["kinds.add", "--json-args", "[1]"], "--json-args must be a JSON object"),
        (["kinds.typed", "text=a", "items=[1"], "items: is not JSON"),
        (["kinds.add", "a=1", "--timeout", "3"], "--timeout requires --wait"),
        (["kinds.add", "a=1", "--file", "x.csv"], "--file cannot be combined with name=value or --json-args"),
        (["kinds.add", "--file", "nowhere.csv"], "--file 'nowhere.csv' cannot be read: No such file or directory."),
        (["kinds.greets", "user=999999"], "there is no user with the key 999999"),
        (["kinds.greets", "user=1", "letter=nowhere.txt"], "letter: there is no file 'nowhere.txt' here"),
        (["kinds.add", "a=1", "--user", "nobody"], "--user: there is no user 'nobody'"),
    ],
)
def test_submit_refuses_in_one_clear_line(words: list[str], said: str) -> None:
    text = refused("submit", *words)
    assert said in text
    assert "\n" not in text


def test_submit_uploads_a_file(tmp_path: Path) -> None:
    user = User.objects.create(username="ada")
    (tmp_path / "my letter.txt").write_text("Dear Ada")
    jobs("submit", "kinds.greets", f"user={user.pk}", f"letter={tmp_path}/my letter.txt")
    made = Job.objects.get()
    assert made.arguments["letter"] == f"furrow/{made.pk}/my_letter.txt"
    assert default_storage.open(made.arguments["letter"]).read() == b"Dear Ada"


@pytest.mark.parametrize(("name", "content"), [("r.csv", "a,b\n1,2\n3,\n"), ("r.jsonl", '{"a": 1, "b": 2}\n\n{"a": 3}\n')])
def test_submit_many_from_a_file(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    told = as_json("submit", "kinds.add", "--file", tmp_path / name)
    assert (told["kind"], told["jobs"]) == ("kinds.add", 2)
    made = Job.objects.filter(batch=told["batch"]).order_by("id")
    assert [row.arguments for row in made] == [{"a": 1, "b": 2}, {"a": 3, "b": 1}]
    assert AuditEntry.objects.get().count == 2


def test_a_bad_file_names_each_problem(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("a\n1\nx\n\ny\n")
    text = refused("submit", "kinds.add", "--file", tmp_path / "r.csv")
    assert text.splitlines()[0] == f"Nothing was submitted: 2 problems in {tmp_path}/r.csv."
    assert [line[:17] for line in text.splitlines()[1:]] == ["  line 3, a: inpu", "  line 5, a: inpu"]
