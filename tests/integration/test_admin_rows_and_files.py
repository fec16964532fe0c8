"""Arguments that are rows of Django models and uploaded files, and forms that are sent twice."""

import datetime as dt
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone
from furrow import Job, State, Unique, UploadedPath, job
from furrow.dispatcher import sweep
from furrow.models.job import new_id
from furrow.submission import uploads
from pytest_django import Settings

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media"), pytest.mark.filterwarnings("ignore:No directory at")]

FORM = "/admin/furrow/job/submit/kinds.greets/"
ROWS = FORM + "rows/user/"


@job(name="rows_and_files.once", unique="{name}")
def once(name: str, letter: UploadedPath) -> None:
    """One of a name at a time."""


@pytest.fixture
def ada() -> User:
    return User.objects.create(username="ada <b>", first_name="Ada", email="ada@example.com")


@job(name="files.latest", unique=Unique("{name}", until="started", conflict="replace"))
def latest(name: str, letter: UploadedPath) -> None:
    """The last letter counts."""


def letter(content: bytes = b"Dear Ada", name: str = "letter.txt") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


def swept(later: dt.timedelta = dt.timedelta(0)) -> int:
    return uploads.sweep(uploads.old_folders(timezone.now() + later), float("inf"))


def submitter(client: Client, *more: str) -> Client:
    user = User.objects.create(username="submitter", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=["submit_job", "view_job", *more]))
    client.force_login(user)
    return client


# --- Rows -------------------------------------------------------------------------------------------------------------


def test_rows_are_found_by_the_words_that_their_admin_searches(site: Client, ada: User) -> None:
    found = site.get(ROWS, {"term": "example.com"}).json()
    assert found == {"results": [{"id": str(ada.pk), "text": "ada <b>"}], "pagination": {"more": False}}
    assert site.get(ROWS, {"term": "nobody\x00"}).status_code == 400


def test_rows_come_in_pages(site: Client) -> None:
    User.objects.bulk_create([User(username=f"u{n:03d}") for n in range(45)])
    pages = [site.get(ROWS, {"term": "u0", "page": page}).json() for page in ("1", "2", "3", "4")]
    assert [(len(page["results"]), page["pagination"]["more"]) for page in pages[:4]] == [
        (20, True),
        (20, True),
        (5, False),
        (0, False),
    ]


def test_the_row_that_was_chosen_is_shown_by_its_name(site: Client, ada: User) -> None:
    page = site.get(f"{FORM}?user={ada.pk}").content.decode()
    assert f'<option value="{ada.pk}" selected>ada &lt;b&gt;</option>' in page
    assert 'data-ajax--url="/admin/furrow/job/submit/kinds.greets/rows/user/"' in page
    refused = site.post(FORM, {"user": str(ada.pk), "group": "77"}).content.decode()
    assert "there is no group with the key 77: choose one that exists" in refused
    assert f'<option value="{ada.pk}" selected>' in refused, "what was chosen comes back"


@pytest.mark.parametrize("key", ["999999", "-1", "9" * 30, "x", "1 OR 1=1", "1.5"])
def test_a_row_that_is_not_there_is_refused(site: Client, key: str) -> None:
    answer = site.post(FORM, {"user": key})
    assert answer.status_code == 422
    assert answer.context["form"].errors["user"][0].startswith("user: ")
    assert not Job.objects.exists()


def test_a_row_that_one_may_not_see_is_neither_offered_nor_taken(client: Client, ada: User) -> None:
    site = submitter(client)
    assert site.get(ROWS, {"term": "ada"}).status_code == 404
    assert "ada &lt;b&gt;" not in site.get(f"{FORM}?user={ada.pk}").content.decode()
    answer = site.post(FORM, {"user": str(ada.pk)})
    assert "you may not see any user: ask for the permission auth.view_user" in answer.content.decode()
    assert not Job.objects.exists()


def test_who_may_see_users_may_name_them(client: Client, ada: User) -> None:
    site = submitter(client, "view_user")
    assert site.get(ROWS, {"term": "ada"}).json()["results"]
    assert site.post(FORM, {"user": str(ada.pk)}).status_code == 302
    assert Job.objects.get().arguments == {"user": ada.pk, "letter": None, "group": None}


@pytest.mark.parametrize("path", ["kinds.greets/rows/letter/", "kinds.greets/rows/nothing/", "kinds.nothing/rows/user/"])
def test_only_arguments_that_are_rows_have_any(site: Client, path: str) -> None:
    assert site.get(f"/admin/furrow/job/submit/{path}").status_code == 404


# --- Files ------------------------------------------------------------------------------------------------------------


def test_a_file_is_kept_for_its_job(site: Client, ada: User) -> None:
    page = site.get(FORM).content.decode()
    assert '<input type="file" name="letter"' in page
    assert "What to read to them. At most 20.0 MB. Empty: None." in page
    assert site.post(FORM, {"user": ada.pk, "letter": letter()}).status_code == 302
    made = Job.objects.get()
    assert made.arguments["letter"] == f"furrow/{made.pk}/letter.txt"
    assert default_storage.open(made.arguments["letter"]).read() == b"Dear Ada"


def test_a_form_that_is_refused_keeps_no_file(site: Client, ada: User) -> None:
    assert site.post(FORM, {"user": ada.pk, "group": "77", "letter": letter()}).status_code == 422
    assert site.post(FORM, {"user": ada.pk, "option.queue": "nowhere", "letter": letter()}).status_code == 422
    assert not default_storage.exists("furrow") or default_storage.listdir("furrow") == ([], [])


@pytest.mark.parametrize(("content", "said"), [(b"", "is empty"), (b"x" * 2001, "is too large: it has 2.0 KB, the limit is")])
def test_an_empty_or_too_large_file_is_refused(site: Client, ada: User, settings: Settings, content: bytes, said: str) -> None:
    settings.FURROW = {**settings.FURROW, "MAX_UPLOAD_BYTES": 2000}
    answer = site.post(FORM, {"user": ada.pk, "letter": letter(content)})
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not Job.objects.exists()


def test_a_path_that_is_typed_instead_of_a_file_is_not_taken(site: Client, ada: User) -> None:
    given = {"user": ada.pk, "letter": "../../etc/passwd", "letter.earlier": "furrow/x/y"}
    assert site.post(FORM, given).status_code == 302
    assert Job.objects.get().arguments["letter"] is None
    assert "etc/passwd" not in site.get(f"{FORM}?letter=../../etc/passwd").content.decode()


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("a\u202etxt.exe", "atxt.exe"),
        ("<script>.html", "script.html"),
        (".htaccess", "htaccess"),
        ("-rf", "rf"),
        ("..", "file"),
        ("\x1b[31mred\n.txt", "31mred.txt"),
        ("ü" * 300 + ".csv", "ü" * 76 + ".csv"),
        ("", "file"),
    ],
)
def test_a_hostile_file_name_is_made_harmless(name: str, kept: str) -> None:
    assert uploads.safe_name(name) == kept


def test_again_uses_a_copy_of_the_earlier_file(site: Client, ada: User) -> None:
    site.post(FORM, {"user": ada.pk, "letter": letter()})
    first = Job.objects.get()
    again = f"{FORM}?again={first.pk}"
    page = site.get(again)
    assert "file <b>letter.txt</b> is used again" in page.content.decode()
    earlier = page.content.decode().split('name="letter.earlier" value="')[1].split('"')[0]
    assert site.post(again, {"user": ada.pk, "letter.earlier": earlier}).status_code == 302
    second = Job.objects.exclude(pk=first.pk).get()
    assert second.arguments["letter"] == f"furrow/{second.pk}/letter.txt"
    default_storage.delete(first.arguments["letter"])
    assert default_storage.open(second.arguments["letter"]).read() == b"Dear Ada"
    answer = site.post(again, {"user": ada.pk, "letter.earlier": earlier})
    assert "the earlier job&#x27;s file is gone" in answer.content.decode()


def test_a_file_that_replaces_another_moves_to_the_job_that_stays(site: Client) -> None:
    form = FORM.replace("kinds.greets", "files.latest")
    for number, made in enumerate((b"one", b"two", b"three")):
        assert site.post(form, {"name": "a", "letter": letter(made, f"{number}.txt")}).status_code == 302
    job = Job.objects.get()
    assert job.arguments["letter"] == f"furrow/{job.pk}/2.txt"
    assert default_storage.open(job.arguments["letter"]).read() == b"three"
    assert default_storage.listdir("furrow")[0] == [str(job.pk)] or swept(dt.timedelta(days=2)) >= 1
    assert default_storage.exists(job.arguments["letter"])


def test_an_address_names_nobody_elses_file(site: Client, ada: User) -> None:
    site.post(FORM, {"user": ada.pk, "letter": letter()})
    name = Job.objects.get().arguments["letter"]
    assert "letter.earlier" not in site.get(f"{FORM}?letter={name}").content.decode()
    assert site.post(FORM, {"user": ada.pk, "letter.earlier": name}).status_code == 302
    assert Job.objects.order_by("pk").last().arguments["letter"] is None  # type: ignore[union-attr]


def test_files_go_when_their_job_is_gone() -> None:
    old = [uuid.UUID(int=(1_700_000_000_000 << 80) | (7 << 76) | (2 << 62) | n) for n in (1, 2)]
    Job.objects.create(id=old[0], kind="kinds.greets", state=State.SUCCEEDED, finished_at=timezone.now())
    names = [uploads.save(pk, letter(), "a.txt") for pk in (*old, new_id())]
    default_storage.save("furrow/not-ours/file", letter())
    assert swept() == 1
    assert [default_storage.exists(name) for name in names] == [True, False, True]
    assert default_storage.exists("furrow/not-ours/file")
    Job.objects.all().delete()
    assert swept(dt.timedelta(days=2)) == 2


def test_a_round_of_the_sweep_ends_in_time_and_the_next_one_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A storage that is far away answers slowly; one folder that cannot be deleted does not bar the others."""
    ids = [uuid.UUID(int=((1_600_000_000_000 + n) << 80) | (7 << 76) | (2 << 62)) for n in range(5)]
    names = [uploads.save(pk, letter(), "a.txt") for pk in ids]
    Job.objects.create(id=ids[2], kind="kinds.greets", state=State.SUCCEEDED, finished_at=timezone.now())
    delete = uploads._delete

    def refuses(folder: str) -> None:
        if folder.endswith(str(ids[1])):
            raise PermissionError(folder)
        delete(folder)

    monkeypatch.setattr(uploads, "_delete", refuses)
    monkeypatch.setattr(sweep, "ROUND", -1.0)
    duty = sweep.Sweep()
    rounds: list[Any] = []
    while not rounds or duty.interval < sweep.IDLE:
        rounds.append(duty.run_once())
    assert (len(rounds), max(rounds), sum(rounds)) == (5, 1, 3)
    assert [default_storage.exists(name) for name in names] == [False, True, True, False, False]
    monkeypatch.setattr(uploads, "_delete", delete)
    monkeypatch.setattr(sweep, "ROUND", 60.0)
    assert (duty.run_once(), duty.interval) == (1, sweep.IDLE), "the next look begins anew"


# --- Sent twice -------------------------------------------------------------------------------------------------------


def hidden_id(page: Any) -> str:
    text: str = page.content.decode()
    return text.split('name="form.id" value="')[1].split('"')[0]


def test_a_form_that_is_sent_twice_makes_one_job(site: Client, ada: User) -> None:
    given = {"form.id": hidden_id(site.get(FORM)), "user": ada.pk}
    first = site.post(FORM, {**given, "letter": letter()})
    second = site.post(FORM, {**given, "letter": letter()}, follow=True)
    made = Job.objects.get()
    assert first["Location"] == second.redirect_chain[0][0] == f"/admin/furrow/job/{made.pk}/change/"
    assert "No second job was submitted." in second.content.decode()
    assert default_storage.listdir(f"furrow/{made.pk}")[1] == ["letter.txt"]


def test_a_form_that_was_changed_after_going_back_makes_another(site: Client, ada: User) -> None:
    group = Group.objects.create(name="letters")
    given = {"form.id": hidden_id(site.get(FORM)), "user": ada.pk}
    site.post(FORM, given)
    assert site.post(FORM, {**given, "group": group.pk}).status_code == 302
    assert set(Job.objects.values_list("arguments__group", flat=True)) == {None, group.pk}


@pytest.mark.parametrize("forged", ["", "x", str(uuid.UUID(int=7)), f"{uuid.UUID(int=7)}:x"])
def test_an_id_that_the_form_did_not_make_is_not_used(site: Client, ada: User, forged: str) -> None:
    assert site.post(FORM, {"form.id": forged, "user": ada.pk}).status_code == 302
    assert Job.objects.get().pk != uuid.UUID(int=7)


def test_a_refused_form_keeps_its_id(site: Client, ada: User) -> None:
    first = hidden_id(site.get(FORM))
    assert hidden_id(site.post(FORM, {"form.id": first, "user": "x"})) == first


def test_of_a_unique_kind_the_form_leads_to_the_job_that_is_there(site: Client) -> None:
    first = site.post("/admin/furrow/job/submit/rows_and_files.once/", {"name": "a", "letter": letter()})
    second = site.post("/admin/furrow/job/submit/rows_and_files.once/", {"name": "a", "letter": letter()}, follow=True)
    made = Job.objects.get()
    assert first["Location"] == second.redirect_chain[0][0] == f"/admin/furrow/job/{made.pk}/change/"
    assert "This job exists already" in second.content.decode()
    kept = [default_storage.listdir(f"furrow/{folder}")[1] for folder in default_storage.listdir("furrow")[0]]
    assert sorted(kept) == [[], ["letter.txt"]]
