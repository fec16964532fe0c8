"""Many jobs at once from a CSV table: all or none, errors by line and column, and no second batch for a second click."""

import uuid
from typing import Annotated, Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from furrow import File, Job, Secret, get_kind, job
from furrow.admin.forms import table as tables
from furrow.admin.forms.table import read_csv, read_json_lines
from furrow.models import AuditEntry

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media"), pytest.mark.filterwarnings("ignore:No directory at")]

TYPED = "/admin/furrow/job/submit/kinds.typed/table/"
GREETS = "/admin/furrow/job/submit/kinds.greets/table/"


@job(name="admin_table.guarded")
def guarded(name: str, token: Annotated[str, Secret] = "", letter: Annotated[str, File()] = "") -> None:
    """What a table cannot hold."""


def problems(content: str | bytes, kind: str = "kinds.typed") -> list[tuple[int, str, str]]:
    """What is wrong with this table."""
    data = content if isinstance(content, bytes) else content.encode()
    return [(p.line, p.column, p.text) for p in read_csv(get_kind(kind), data, None).problems]


def rows(content: str | bytes, kind: str = "kinds.typed") -> list[dict[str, Any]]:
    """The rows of this table, which is good."""
    table = read_csv(get_kind(kind), content if isinstance(content, bytes) else content.encode(), None)
    assert table.problems == []
    return table.rows


def hidden_id(page: Any) -> str:
    text: str = page.content.decode()
    return text.split('name="form.id" value="')[1].split('"')[0]


# --- The way ----------------------------------------------------------------------------------------------------------


def test_a_table_is_shown_and_then_submitted_as_a_batch(site: Client) -> None:
    text = 'text,number,items\none,1,"[1, 2]"\n<b>two</b>,,\n'
    options = {"option.queue": "other", "option.priority": "2", "option.run_at": "2036-01-02T03:04"}
    shown = site.post(TYPED, {"text": text, **options})
    page = shown.content.decode()
    assert shown.status_code == 200
    assert "2 jobs of kinds.typed" in page
    assert "&lt;b&gt;two&lt;/b&gt;" in page
    assert not Job.objects.exists()
    answer = site.post(TYPED, {"form.id": hidden_id(shown), **options})
    made = list(Job.objects.order_by("id"))
    (batch,) = {row.batch for row in made}
    assert answer["Location"] == f"/admin/furrow/job/?batch={batch}"
    assert [(row.arguments["text"], row.arguments["number"], row.arguments["items"]) for row in made] == [
        ("one", 1, [1, 2]),
        ("<b>two</b>", 7, None),
    ]
    assert {(row.queue, row.priority, row.run_at.year, str(row.submitted_by)) for row in made} == {("other", 2, 2036, "admin")}
    entry = AuditEntry.objects.get()
    assert (entry.who, entry.action, entry.count, entry.target) == ("admin", "submit", 2, f"kinds.typed, batch {batch}")


def test_a_second_click_makes_no_second_batch(site: Client) -> None:
    step = {"form.id": hidden_id(site.post(TYPED, {"text": "text\na\nb"}))}
    first, second = site.post(TYPED, step), site.post(TYPED, step)
    assert first["Location"] == second["Location"]
    assert Job.objects.count() == 2
    assert default_storage.listdir(f"furrow/{Job.objects.order_by('id')[0].pk}")[1] == []


def test_a_table_is_submitted_by_who_looked_at_it(site: Client) -> None:
    step = {"form.id": hidden_id(site.post(TYPED, {"text": "text\na"}))}
    other = Client()
    other.force_login(User.objects.create(username="other", is_staff=True, is_superuser=True))
    assert "has expired" in other.post(TYPED, step, follow=True).content.decode()
    assert "has expired" in site.post(GREETS, step, follow=True).content.decode(), "of another kind"
    assert not Job.objects.exists()
    site.post(TYPED, step)
    assert Job.objects.count() == 1


def test_a_table_that_is_not_kept_any_more_is_asked_for_again(site: Client) -> None:
    step = {"form.id": hidden_id(site.post(TYPED, {"text": "text\na"}))}
    default_storage.delete(f"furrow/{step['form.id'].split(':')[0]}/rows.csv")
    assert "has expired" in site.post(TYPED, step, follow=True).content.decode()
    for forged in ("", "x", f"{uuid.uuid4()}:x"):
        assert "has expired" in site.post(TYPED, {"form.id": forged}, follow=True).content.decode()
    assert not Job.objects.exists()


def test_one_bad_cell_refuses_the_whole_table_and_is_named(site: Client) -> None:
    answer = site.post(TYPED, {"text": "text,number\nfine,1\nbad,one"})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "Nothing was submitted: 1 problem in the table" in page
    assert '<td class="fw-number">3</td><td><b>number</b></td><td>input should be a valid integer' in page
    assert "fine,1" in page, "what was pasted comes back"
    assert not Job.objects.exists()
    assert not default_storage.exists("furrow")


def test_a_table_comes_as_a_file_too_but_not_as_both(site: Client) -> None:
    file = SimpleUploadedFile("rows.csv", "\ufefftext;number\r\nä;3\r\n".encode())
    shown = site.post(TYPED, {"file": file})
    site.post(TYPED, {"form.id": hidden_id(shown)})
    assert Job.objects.get().arguments["text"] == "ä"
    assert (
        "either as a file or as text"
        in site.post(TYPED, {"file": SimpleUploadedFile("a.csv", b"text\na"), "text": "x"}).content.decode()
    )
    assert "there is no table" in site.post(TYPED, {}).content.decode()
    assert "nowhere is not one of" in site.post(TYPED, {"text": "text\na", "option.queue": "nowhere"}).content.decode()


def test_rows_of_models_are_checked_all_at_once(site: Client, django_assert_max_num_queries: Any) -> None:
    users = User.objects.bulk_create([User(username=f"u{n}") for n in range(50)])
    keys = [user.pk for user in User.objects.filter(username__startswith="u")]
    assert len(users) == len(keys)
    text = "user\n" + "\n".join(map(str, keys))
    with django_assert_max_num_queries(12):
        assert site.post(GREETS, {"text": text}).status_code == 200
    page = site.post(GREETS, {"text": f"{text}\n999999"}).content.decode()
    assert '<td class="fw-number">52</td><td><b>user</b></td><td>there is no user with the key 999999' in page


def test_the_table_asks_for_permission_as_the_form_does(client: Client) -> None:
    user = User.objects.create(username="submitter", is_staff=True)
    client.force_login(user)
    assert client.get(TYPED).status_code == client.post(TYPED, {"text": "text\na"}).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="submit_job"))
    assert client.get(TYPED).status_code == 200
    assert client.get("/admin/furrow/job/submit/kinds.guarded/table/").status_code == 403
    answer = client.post(TYPED, {"form.id": hidden_id(client.post(TYPED, {"text": "text\na"}))})
    assert answer["Location"] == "/admin/furrow/job/submit/"
    assert "you may not see any user" in client.post(GREETS, {"text": "user\n1"}).content.decode()


def test_a_kind_that_is_not_registered(site: Client) -> None:
    assert site.get("/admin/furrow/job/submit/kinds.typd/table/").status_code == 404


def test_a_preview_of_many_and_long_cells(site: Client) -> None:
    page = site.post(TYPED, {"text": "text\n" + "\n".join("x" * 500 for _ in range(100))}).content.decode()
    assert "And 88 more; all were checked." in page
    assert "x" * 100 not in page


# --- Cells ------------------------------------------------------------------------------------------------------------


def test_a_cell_means_what_the_form_means() -> None:
    header = "text,number,ratio,flag,day,moment,price,key,level,colour,items,options"
    cells = 'a,7,.5,no,2026-02-03,2026-02-03T10:30,1.50,0196f2b3-0000-7000-8000-000000000001,high,blue,"[1]","{""a"": 2}"'
    (row,) = rows(f"{header}\n{cells}")
    assert row == {
        "text": "a",
        "number": 7,
        "ratio": 0.5,
        "flag": False,
        "day": "2026-02-03",
        "moment": "2026-02-03T10:30:00Z",
        "price": "1.50",
        "key": "0196f2b3-0000-7000-8000-000000000001",
        "level": "high",
        "colour": "blue",
        "items": [1],
        "options": {"a": 2},
    }


def test_empty_cells_and_lines() -> None:
    assert [row["flag"] for row in rows("text,flag\n\na,\n , \n\nb,off\n\n")] == [True, False]
    assert problems("text,number\n,3") == [(2, "text", "is missing: give it a value")]


def test_quotes_line_breaks_and_separators() -> None:
    table = read_csv(get_kind("kinds.typed"), b'text\tnumber\n"a\tb\nc ""d"""\t1\nx\t2', None)
    assert [row["text"] for row in table.rows] == ['a\tb\nc "d"', "x"]
    assert table.lines == [2, 4]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", (1, "", "the table is empty: begin with the arguments' names")),
        ("text", (0, "", "the table has no rows")),
        ("txt\na", (1, "txt", "is not an argument of kinds.typed: did you mean 'text'?")),
        ("number\n1", (1, "text", "is missing: add its column")),
        ("text,text\na,b", (1, "text", "is there twice")),
        ("text,\na,b", (1, "", "is not an argument")),
        ("text,number\na", (2, "", "has 1 cell, and the header has 2")),
        ("text\na,b", (2, "", "has 2 cells, and the header has 1")),
        ('text\n"a', (2, "", "cannot be read as CSV (unexpected end of data)")),
        ('text\n"a"b', (2, "", "cannot be read as CSV")),
        ("text,items\na,[1", (2, "items", "is not JSON")),
        ('text,items\na,"[""x""]"', (2, "items", "at 0: input should be a valid integer")),
        ("text,flag\na,maybe", (2, "flag", "input should be a valid boolean")),
        ("text,level\na,middle", (2, "level", "input should be 'low' or 'high'")),
        ("text\na\x00b", (2, "text", "contains the character U+0000")),
        (b"text\n\xe4", (2, "", "the byte 0xe4 is not UTF-8: save the table as CSV UTF-8")),
        ("text\n" + "x" * 1_100_000, (2, "text", "the limit is 1,048,576")),
    ],
)  # fmt: skip
def test_a_bad_table_says_where_and_what(content: str | bytes, expected: tuple[int, str, str]) -> None:
    line, column, text = problems(content)[0]
    assert (line, column) == expected[:2]
    assert expected[2] in text


def test_formulas_marks_and_codes_are_texts_like_any_other() -> None:
    hostile = ["=cmd|' /C calc'!A0", "@SUM(1)", "\u202eabc", "\x1b[31mred", "<script>alert(1)</script>", "{{ 7*7 }}"]
    assert [row["text"] for row in rows("text\n" + "\n".join(hostile))] == hostile
    assert [row["text"] for row in rows("text\nä€".encode("utf-16"))] == ["ä€"]
    assert len(rows("text\n" + "x" * 1_000_000)[0]["text"]) == 1_000_000


def test_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_ROWS", 3)
    assert len(rows("text\na\nb\nc")) == 3
    assert problems("text\na\nb\nc\nd\ne") == [(0, "", "the table has more than 3 rows: split it")]
    monkeypatch.setattr(tables, "MAX_BYTES", 10)
    assert problems("text\n" + "a" * 50) == [(0, "", "the table has 55 bytes, the limit is 10: split it")]


def test_files_and_secrets_have_no_place_in_a_table_that_is_shown(site: Client) -> None:
    found = problems("name,token,letter\na,b,c", "admin_table.guarded")
    assert [column for _line, column, _text in found] == ["token", "letter"]
    assert rows("name\na", "admin_table.guarded") == [{"name": "a", "token": {"$secret": ""}, "letter": ""}]
    page = site.get("/admin/furrow/job/submit/admin_table.guarded/table/").content.decode()
    assert "<code>name</code>" in page
    assert "<code>token</code>" not in page
    page = site.post("/admin/furrow/job/submit/admin_table.guarded/table/", {"text": "name,token\na,hush"}).content.decode()
    assert "is secret, and a table is shown" in page
    assert "hush" not in page
    table = read_csv(guarded, b"name,token\na,hush", None, secrets=True)
    assert table.rows[0]["token"] == {"$secret": "hush"}


def test_a_json_object_a_line() -> None:
    table = read_json_lines(
        get_kind("kinds.typed"), b'{"text": "a\xe2\x80\xa8b", "items": [1]}\n\n{"text": "", "number": null}\nx\n[]', None
    )
    assert [(p.line, p.column) for p in table.problems] == [(3, "number"), (4, ""), (5, "")]
    assert table.rows[0]["text"] == "a\u2028b"
