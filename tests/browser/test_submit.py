"""Submitting, as a person does it: a row found by typing, a file, an impatient double click, a table, the same again."""

import re
from pathlib import Path

import pytest
from django.core.files.storage import default_storage
from furrow import Job
from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE
from tests.stack import Stack
from tests.thorough import first_of

pytestmark = pytest.mark.browser
FORM = "/admin/furrow/job/submit/{}/"


def choose(page: Page, argument: str, words: str) -> None:
    """Type into the search of an argument that is a row, and take what is found."""
    page.locator(f"select[name='{argument}'] + .select2-container").click()
    page.locator(".select2-search__field").fill(words)
    page.locator(".select2-results__option--highlighted", has_text=words).click()


def test_a_row_is_found_by_typing_and_a_file_goes_with_it(admin: Page, stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "a letter.txt").write_text("Dear administrator")
    admin.goto(stack.web_url + FORM.format("kinds.greets"))
    choose(admin, "user", stack.admin[0])
    admin.set_input_files("input[name=letter]", tmp_path / "a letter.txt")
    admin.get_by_role("button", name="Submit", exact=True).click()
    expect(admin.locator(".fw-headline .fw-label")).to_have_text("succeeded", timeout=PATIENCE)
    expect(admin.locator("#job-body")).to_contain_text("admin: Dear administrator")
    first = Job.objects.get()
    assert first.arguments["letter"] == f"furrow/{first.pk}/a_letter.txt"
    # The same again, with its file, for which nobody has to search.
    admin.get_by_role("link", name=re.compile("with other arguments")).click()
    expect(admin.locator(".select2-selection__rendered").first).to_have_text(re.compile("admin"))
    expect(admin.locator("body")).to_contain_text("a_letter.txt is used again")
    admin.get_by_role("button", name="Submit", exact=True).click()
    expect(admin.locator(".fw-headline .fw-label")).to_have_text("succeeded", timeout=PATIENCE)
    second = Job.objects.exclude(pk=first.pk).get()
    assert second.arguments == {**first.arguments, "letter": f"furrow/{second.pk}/a_letter.txt"}
    assert default_storage.exists(second.arguments["letter"])


@pytest.mark.thorough
def test_a_form_that_arrives_twice_at_once_makes_one_job(admin: Page, stack: Stack) -> None:
    admin.goto(stack.web_url + FORM.format("kinds.noop"))
    send = "fetch(form.action, { method: 'POST', body: new FormData(form) }).then((answer) => answer.url)"
    urls = admin.evaluate(f"() => {{ const form = document.querySelector('.fw-form'); return Promise.all([{send}, {send}]); }}")
    assert urls[0] == urls[1]
    assert f"/admin/furrow/job/{Job.objects.get().pk}/change/" in urls[0]


def test_a_table_is_corrected_looked_at_and_submitted(admin: Page, stack: Stack) -> None:
    admin.goto(stack.web_url + FORM.format("kinds.add"))
    admin.get_by_role("link", name="Many at once").click()
    admin.fill("textarea[name=text]", "a,b\n1,2\nx,3\n")
    admin.get_by_role("button", name="Check the table").click()
    expect(admin.locator("#problems tbody tr")).to_have_count(1)
    expect(admin.locator("#problems tbody")).to_contain_text(re.compile(r"3\s*a\s*input should be a valid integer"))
    assert not Job.objects.exists()
    admin.fill("textarea[name=text]", "a,b\n1,2\n5,\n")
    admin.get_by_role("button", name="Check the table").click()
    expect(admin.locator("#preview tbody tr")).to_have_count(2)
    admin.get_by_role("button", name="Submit 2 jobs").click()
    expect(admin.locator("body")).to_contain_text("Submitted 2 jobs of kinds.add, as batch")
    assert "?batch=" in admin.url
    made = Job.objects.filter(batch__isnull=False)
    assert sorted(row.arguments["a"] for row in made) == [1, 5]
    expect(admin.locator("#result_list tbody, .result-list").first).to_contain_text("kinds.add")


@pytest.mark.thorough
def test_hostile_texts_in_docs_and_fields_are_shown_harmlessly(admin: Page, stack: Stack) -> None:
    hostile = "<img src=x onerror=\"document.title='owned'\">\u202e\x1b[31m'\">"
    admin.goto(stack.web_url + FORM.format("kinds.hostile"))
    expect(admin.locator(".fw-doc")).to_contain_text("<script>document.title = 'owned'</script>")
    admin.fill("input[name=text]", hostile)
    admin.fill("input[name=number]", "1")
    admin.evaluate(
        "() => { const field = document.querySelector('input[name=number]'); field.type = 'text'; field.value = '<b>x'; }"
    )
    admin.get_by_role("button", name="Submit", exact=True).click()
    expect(admin.locator("#error-number")).to_contain_text("<b>x")
    expect(admin.locator("input[name=text]")).to_have_value(hostile)
    expect(admin.locator("input[type=password]")).to_have_value("")
    assert "owned" not in admin.title()
    admin.goto(stack.web_url + "/admin/furrow/job/submit/")
    expect(admin.locator("body")).to_contain_text("Say <b>hello</b>")
    assert "owned" not in admin.title()


@pytest.mark.parametrize("path", first_of(["kinds.greets/", "kinds.typed/table/"]))
def test_nothing_is_cut_off_on_a_phone(admin: Page, stack: Stack, path: str) -> None:
    admin.set_viewport_size({"width": 400, "height": 800})
    admin.goto(f"{stack.web_url}/admin/furrow/job/submit/{path}")
    assert admin.evaluate("document.documentElement.scrollWidth") <= 400
