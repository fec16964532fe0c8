"""Without a mouse; and what a page that keeps itself true leaves alone while somebody is at it."""

import contextlib
import re

import pytest
from furrow import Job, LockLost, State, lock, submit
from furrow.models import WorkerRequest
from playwright.sync_api import Dialog, Page, expect

from tests import kinds
from tests.browser.conftest import PATIENCE
from tests.stack import Stack, wait_until

pytestmark = pytest.mark.browser


def tab_to(page: Page, text: str) -> None:
    """Press Tab until this has the focus."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == text:
            return
    raise AssertionError(f"Tab never comes to {text!r}")


def test_a_job_is_found_and_run_by_keys_alone_and_what_was_chosen_stays(admin: Page, stack: Stack) -> None:
    job = submit(kinds.sleeps, {"seconds": 60}, countdown=3600)
    admin.goto(f"{stack.web_url}/admin/furrow/job/")
    admin.locator("#result_list").wait_for()
    admin.keyboard.press("/")
    expect(admin.locator("#searchbar")).to_be_focused()
    admin.keyboard.type("seconds=60")
    admin.keyboard.press("Enter")
    expect(admin).to_have_url(re.compile("seconds"))
    admin.locator("a.fw-job").first.focus()
    admin.keyboard.press("Enter")
    expect(admin.locator(".fw-headline .fw-label")).to_have_text("pending")
    minutes = admin.locator("select[name=minutes]")
    minutes.focus()
    minutes.select_option("1440")
    Job.objects.filter(pk=job.pk).update(tags=["seen"])
    expect(admin.locator(".fw-tag")).to_have_text("seen", timeout=PATIENCE)  # drawn anew, without a reload
    expect(minutes).to_be_focused()
    expect(minutes).to_have_value("1440")
    admin.locator("h1 a").last.focus()
    tab_to(admin, "Run now")
    style = admin.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert style == "solid", "it is seen where the focus is"
    admin.keyboard.press("Enter")
    expect(admin.locator(".fw-headline .fw-label")).to_have_text("running", timeout=PATIENCE)
    assert Job.objects.get(pk=job.pk).state == State.RUNNING


@pytest.mark.thorough
def test_a_worker_and_a_lock_are_asked_about_once(admin: Page, stack: Stack) -> None:
    questions: list[str] = []

    def answer(dialog: Dialog) -> None:
        questions.append(dialog.message)
        dialog.accept() if len(questions) > 2 else dialog.dismiss()

    admin.on("dialog", answer)
    admin.goto(f"{stack.web_url}/admin/furrow/worker/")
    admin.get_by_role("link", name="worker@test").first.click()
    admin.get_by_role("button", name="Shut down").click()
    assert [text.split("?")[0] for text in questions] == ["Shut this worker down"]
    assert not WorkerRequest.objects.exists()
    with contextlib.suppress(LockLost), lock("asked about") as held:
        admin.goto(f"{stack.web_url}/admin/furrow/lock/")
        row = admin.locator("tr", has_text="asked about")
        row.get_by_role("button", name="Break").click()
        assert len(questions) == 2
        assert questions[1].startswith("Break lock:asked about?")
        row.get_by_role("button", name="Break").click()
        expect(admin.locator("body")).to_contain_text("is being stopped; the next waiter gets it within")
        wait_until(lambda: not held.is_held(), what="its holder knows")
    assert not held.is_held()
    assert len(questions) == 3
