"""The form that submits a job: an input for every type, the values it makes, what it begins with."""

import datetime as dt
import decimal
import json
import uuid

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from furrow import Job
from furrow.admin.forms.arguments import argument_fields
from furrow.kinds.docstrings import split

from tests.form_kinds import FULL, Address, Shade, only_job, optional, required, submit

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore:No directory at")]


def test_every_type_has_its_input() -> None:
    fields = {name: field.kind_of_input for name, field in argument_fields(required).items()}
    assert fields == {
        "text": "text",
        "whole": "number",
        "ratio": "number",
        "yes": "checkbox",
        "day": "date",
        "moment": "datetime-local",
        "clock": "time",
        "span": "text",
        "price": "number",
        "key": "text",
        "mode": "select",
        "shade": "select",
        "items": "json",
        "mapping": "json",
        "address": "json",
        "either": "json",
    }
    assert {name for name, field in argument_fields(required).items() if not field.must_be_filled} == {"yes"}


def test_what_is_filled_in_is_what_the_job_gets(site: Client, admin_user: User) -> None:
    answer = submit(site, "required", FULL)
    made = only_job()
    assert answer.status_code == 302
    assert answer["Location"] == f"/admin/furrow/job/{made.pk}/change/"
    assert made.submitted_by == admin_user
    assert (made.queue, made.priority) == ("other", 3)
    assert required.arguments.from_json(json.dumps(made.arguments)) == {
        "text": "ü <b>",
        "whole": 7,
        "ratio": 0.25,
        "yes": True,
        "day": dt.date(2026, 2, 3),
        "clock": dt.time(10, 30),
        "moment": dt.datetime(2026, 2, 3, 10, 30, tzinfo=dt.UTC),
        "span": dt.timedelta(seconds=90),
        "price": decimal.Decimal("1.50"),
        "key": uuid.UUID(FULL["key"]),
        "mode": 3,
        "shade": Shade.VERY_DARK,
        "items": [1, 2],
        "mapping": {"a": [None, {"b": 1}]},
        "address": Address(street="Hill"),
        "either": 4,
    }


def test_local_times_are_meant_in_the_current_time_zone(site: Client) -> None:
    with timezone.override("Europe/Berlin"):
        field = argument_fields(optional)["moment"]
        assert field.clean("2026-07-01T12:00") == dt.datetime(2026, 7, 1, 10, tzinfo=dt.UTC)
        assert field.shown("2026-07-01T10:00:00Z") == "2026-07-01T12:00:00"
        assert "Europe/Berlin" in field.help_text
        with pytest.raises(Exception, match=r"Europe/Berlin"):
            field.clean("2026-03-29T02:30")


def test_an_untouched_form_submits_the_defaults(site: Client) -> None:
    page = site.get("/admin/furrow/job/submit/admin_forms.optional/")
    form = page.context["form"]
    shown = {name: form[name].value() for name in form.fields}
    assert shown["span"] == "1:30:00"
    assert (shown["shade"], shown["whole"], shown["on"], shown["tags"]) == ("dark", 5, True, '[\n  "a"\n]')
    answer = site.post(page.request["PATH_INFO"], {name: value for name, value in shown.items() if value not in (None, False)})
    assert answer.status_code == 302
    assert only_job().arguments == json.loads(optional.arguments.to_json({}))


def test_empty_means_none_or_the_default(site: Client) -> None:
    empty = dict.fromkeys(("text", "whole", "yes", "moment", "span", "mode", "items", "tags", "greeting", "bounded", "url"), "")
    assert submit(site, "optional", empty).status_code == 302
    arguments = only_job().arguments
    nones = {name for name, value in arguments.items() if value is None}
    assert nones == {"text", "whole", "yes", "moment", "mode", "items", "url"}
    assert (arguments["on"], arguments["greeting"], arguments["bounded"], arguments["tags"]) == (False, "", 4, ["a"])
    assert arguments["span"] == "PT1H30M"


def test_an_argument_may_be_called_like_an_option(site: Client) -> None:
    assert submit(site, "optional", {"queue": "mine", "option.queue": "other", "option.priority": "1"}).status_code == 302
    made = only_job()
    assert (made.arguments["queue"], made.queue, made.priority) == ("mine", "other", 1)


def test_the_docstring_is_the_help_and_is_escaped(site: Client) -> None:
    page = site.get("/admin/furrow/job/submit/admin_forms.required/").content.decode()
    assert "More about it, with &lt;b&gt;markup&lt;/b&gt;" in page
    assert "What to say &lt;i&gt;loudly&lt;/i&gt;." in page
    assert "How many times in all." in page
    assert page.count("When.") == 2
    assert "Returns:" in page


def test_docstrings() -> None:
    text, arguments = split("Do it.\n\nArgs:\n    a: one:\n        two\n    b, c: three\n\nRaises:\n    E: never.")
    assert text == "Do it.\n\nRaises:\n    E: never."
    assert arguments == {"a": "one: two", "b": "three", "c": "three"}
    assert split("") == ("", {})


def test_the_address_fills_the_form(site: Client) -> None:
    form = site.get("/admin/furrow/job/submit/admin_forms.optional/?whole=8&on=false&greeting=hi&nonsense=1").context["form"]
    assert (form["whole"].value(), form["on"].value(), form["greeting"].value()) == ("8", False, "hi")


def test_again_fills_the_form_with_an_earlier_jobs_arguments(site: Client) -> None:
    submit(site, "required", {**FULL, "text": "two\r\nlines", "option.queue": "default", "option.priority": "9"})
    first = only_job()
    page = site.get(f"/admin/furrow/job/submit/admin_forms.required/?again={first.pk}")
    form = page.context["form"]
    assert "two\nlines</textarea>" in page.content.decode()
    given = {name: form[name].value() for name in form.fields if form[name].value() not in (None, False)}
    assert site.post("/admin/furrow/job/submit/admin_forms.required/", given).status_code == 302
    second = Job.objects.exclude(pk=first.pk).get()
    assert (second.arguments, second.queue, second.priority) == (first.arguments, "default", 9)


def test_again_of_a_job_that_is_not_there_begins_with_the_defaults(site: Client) -> None:
    page = site.get(f"/admin/furrow/job/submit/admin_forms.nothing/?again={uuid.uuid4()}")
    assert page.status_code == 200
    assert "There is no job" in page.content.decode()


def test_run_at(site: Client) -> None:
    assert submit(site, "nothing", {"option.run_at": "2036-01-02T03:04"}).status_code == 302
    assert only_job().run_at == dt.datetime(2036, 1, 2, 3, 4, tzinfo=dt.UTC)


def test_all_kinds_are_listed_without_running_any(site: Client) -> None:
    page = site.get("/admin/furrow/job/submit/").content.decode()
    for name in ("admin_forms.required", "admin_forms.optional", "admin_forms.nothing"):
        assert f'href="/admin/furrow/job/submit/{name}/"' in page
    assert "Every type, needed." in page


def test_no_kinds(site: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("furrow.kinds.kind._kinds", {})
    page = site.get("/admin/furrow/job/submit/").content.decode()
    assert "No kind of job is registered" in page
