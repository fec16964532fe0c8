"""The main job's way, as a person sees it: log in, fill in the form, watch it run, find it in Flower."""

import re

import pytest
from furrow import Job, State
from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE
from tests.stack import Stack
from tests.thorough import first_of

pytestmark = pytest.mark.browser


def open_form(page: Page, kind: str) -> None:
    """From the first page's menu to the kind's form."""
    page.goto("/admin/")
    page.locator("nav, #nav-sidebar, aside").get_by_role("link", name="Submit", exact=False).first.click()
    page.fill("#kind-filter", kind)
    page.get_by_role("link", name=re.compile(rf"^{re.escape(kind)}\b")).click()
    expect(page.locator("h1").first).to_contain_text(kind)


def press_submit(page: Page) -> None:
    page.get_by_role("button", name="Submit", exact=True).click()


def test_a_job_is_submitted_by_its_form_seen_to_succeed_and_found_in_flower(admin: Page, stack: Stack) -> None:
    open_form(admin, "kinds.talks")
    admin.fill("input[name=lines]", "4")
    press_submit(admin)
    state = admin.locator(".fw-headline .fw-label")
    expect(state).to_have_text("succeeded", timeout=PATIENCE)
    expect(admin.locator("#job-lines")).to_contain_text("line 3")
    expect(admin.locator("#job-lines")).to_contain_text("through logging")
    expect(admin.locator(".fw-live")).to_be_hidden()
    job = Job.objects.get()
    assert (job.state, job.arguments, job.submitted_by and job.submitted_by.get_username()) == (
        State.SUCCEEDED,
        {"lines": 4, "steps": 4},
        stack.admin[0],
    )
    admin.get_by_role("link", name="Open in Flower").click()
    assert admin.url == f"{stack.web_url}/flower/task/{job.pk}"
    expect(admin.locator("body")).to_contain_text(str(job.pk))
    expect(admin.locator("body")).to_contain_text("SUCCESS")


@pytest.mark.thorough
def test_a_bad_argument_is_refused_with_its_name_and_corrected(admin: Page) -> None:
    open_form(admin, "kinds.typed")
    admin.fill("input[name=text]", "kept <b>")
    admin.fill("textarea[name=items]", '[1, "two"]')
    press_submit(admin)
    error = admin.locator("#error-items")
    expect(error).to_contain_text("items: at 1: input should be a valid integer")
    assert not Job.objects.exists()
    expect(admin.locator("input[name=text]")).to_have_value("kept <b>")
    admin.fill("textarea[name=items]", "[1, 2]")
    press_submit(admin)
    expect(admin.locator(".fw-headline .fw-label")).to_have_text("succeeded", timeout=PATIENCE)
    assert Job.objects.get().arguments["items"] == [1, 2]


@pytest.mark.thorough
def test_a_failing_job_shows_its_attempts_and_is_retried(admin: Page) -> None:
    open_form(admin, "kinds.fails")
    admin.fill("input[name=message]", "no <b>luck</b>")
    press_submit(admin)
    expect(admin.locator(".fw-headline .fw-label")).to_have_text("failed", timeout=PATIENCE)
    expect(admin.locator(".fw-timeline li")).to_contain_text(["Submitted", "Attempt 1", "Attempt 2", "Attempt 3"])
    admin.locator("summary").last.click()
    expect(admin.locator("details[open] pre")).to_contain_text("ValueError: no <b>luck</b>")
    admin.get_by_role("button", name="Retry").click()
    expect(admin.locator("body")).to_contain_text("The job will run again.")
    expect(admin.locator(".fw-timeline")).to_contain_text("Attempt 4", timeout=PATIENCE)


@pytest.mark.thorough
def test_a_scheduled_job_says_why_it_waits_and_is_cancelled(admin: Page) -> None:
    open_form(admin, "kinds.noop")
    admin.fill("input[name='option.run_at']", "2036-01-02T03:04:05")
    press_submit(admin)
    state = admin.locator(".fw-headline .fw-label")
    expect(state).to_have_text("pending")
    expect(admin.locator(".fw-reason")).to_contain_text("Scheduled: due in")
    admin.on("dialog", lambda dialog: dialog.accept())
    admin.get_by_role("button", name="Cancel").click()
    expect(state).to_have_text("cancelled")
    expect(admin.locator("body")).to_contain_text("The job is cancelled.")


@pytest.mark.parametrize(
    "path", first_of(["furrow/job/submit/kinds.typed/", "", "furrow/job/", "furrow/job/submit/", "furrow/worker/"])
)
def test_nothing_is_cut_off_on_a_phone(admin: Page, stack: Stack, path: str) -> None:
    admin.set_viewport_size({"width": 400, "height": 800})
    admin.goto(f"{stack.web_url}/admin/{path}")
    assert admin.evaluate("document.documentElement.scrollWidth") <= 400
