"""What the form that submits a job refuses: each field named, what was typed comes back, secrets do not."""

import json

import pytest
from django.test import Client
from furrow import Job

from tests.form_kinds import FULL, only_job, submit

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore:No directory at")]


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("whole", "seven", "valid integer"),
        ("whole", "", "whole: is missing"),
        ("text", "", "text: is missing"),
        ("ratio", "nan", "finite number"),
        ("day", "2026-02-30", "date"),
        ("moment", "yesterday", "datetime"),
        ("clock", "25:00", "time"),
        ("span", "a while", "span: "),
        ("price", "much", "decimal"),
        ("key", "123", "UUID"),
        ("mode", "other", "&#x27;fast&#x27;, &#x27;slow&#x27; or 3"),
        ("shade", "pink", "&#x27;light&#x27; or &#x27;dark&#x27;"),
        ("items", "[1, 2", "items: is not JSON"),
        ("items", '["x"]', "items: at 0: input should be a valid integer"),
        ("address", "{}", "address: at street: is missing"),
        ("either", '"x"', "either: "),
        ("text", "a\x00b", "U+0000"),
        ("option.queue", "nowhere", "queue: "),
        ("option.priority", "12", "priority: "),
        ("option.run_at", "soon", "run_at: "),
    ],
)
def test_a_bad_value_is_refused_and_its_field_named(site: Client, field: str, text: str, said: str) -> None:
    answer = submit(site, "required", {**FULL, field: text})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert said in page
    assert f'id="error-{field}"' in page
    assert 'name="text" value="ü &lt;b&gt;"' in page or field == "text", "what was typed comes back"
    assert not Job.objects.exists()


def test_all_bad_values_are_named_at_once(site: Client) -> None:
    errors = submit(site, "required", {**FULL, "whole": "x", "key": "y", "mapping": "[]"}).context["form"].errors
    assert set(errors) == {"whole", "key", "mapping"}


def test_limits_reach_the_browser_and_are_enforced(site: Client) -> None:
    page = site.get("/admin/furrow/job/submit/admin_forms.optional/").content.decode()
    assert 'min="2"' in page
    assert "How many, at a time. At least 2, at most 9." in page
    answer = submit(site, "optional", {"bounded": "10"})
    assert "less than or equal to 9" in answer.content.decode()


def test_large_arguments_pass_the_form_and_too_large_ones_are_refused(site: Client) -> None:
    items = json.dumps(list(range(100_000)))
    assert submit(site, "required", {**FULL, "items": items}).status_code == 302
    answer = submit(site, "required", {**FULL, "text": "x" * 1_100_000})
    assert answer.status_code == 422
    assert "the limit is" in answer.content.decode()


def test_a_kind_that_is_not_registered(site: Client) -> None:
    answer = site.get("/admin/furrow/job/submit/admin_forms.optionl/")
    assert answer.status_code == 404
    assert "Did you mean admin_forms.optional" in answer.content.decode()


def test_a_secret_is_typed_blind_and_never_sent_back(site: Client) -> None:
    given = {"url": "u", "token": "hush " * 40, "key": "k-e-y", "limit": "x"}
    refused = submit(site, "secrets", given).content.decode()
    assert "limit: input should be a valid integer" in refused
    assert refused.count('type="password"') == 2
    assert "hush" not in refused
    assert "k-e-y" not in refused
    assert submit(site, "secrets", {**given, "limit": "1"}).status_code == 302
    made = only_job()
    assert (made.arguments["token"], made.arguments["key"]) == ({"$secret": "hush " * 40}, {"$secret": "k-e-y"})
    again = site.get(f"/admin/furrow/job/submit/admin_forms.secrets/?again={made.pk}&token=hush&key=k-e-y").content.decode()
    assert 'value="u"' in again
    assert "hush" not in again
    assert "k-e-y" not in again
