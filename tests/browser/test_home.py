"""The first page and the errors page, as a person watches them: they keep themselves true."""

from pathlib import Path

import pytest
from furrow import Job, State, submit
from playwright.sync_api import Page, expect

from tests import kinds
from tests.browser.conftest import PATIENCE
from tests.stack import Stack, all_ended
from tests.thorough import first_of

pytestmark = pytest.mark.browser


def test_the_first_page_shows_a_job_when_it_runs_and_when_it_ended(admin: Page, stack: Stack, tmp_path: Path) -> None:
    admin.goto(f"{stack.web_url}/admin/")
    succeeded = admin.locator(".fw-count.fw-succeeded b")
    expect(succeeded).to_have_text("0")
    expect(admin.locator(".fw-chart")).to_have_count(2)
    top = admin.locator(".fw-chart").first.bounding_box()
    job = submit(kinds.sleeps, {"seconds": 0, "until": str(seen := tmp_path / "seen")})
    expect(admin.locator(".fw-running a", has_text="kinds.sleeps")).to_be_visible(timeout=PATIENCE)
    seen.touch()
    expect(succeeded).to_have_text("1", timeout=PATIENCE)
    expect(admin.locator(".fw-kinds-table")).to_contain_text("kinds.sleeps")
    expect(admin.locator(".fw-running a", has_text="kinds.sleeps")).to_have_count(0, timeout=PATIENCE)
    now = admin.locator(".fw-chart").first.bounding_box()
    assert top
    assert now
    if not admin.locator(".fw-troubles").count():
        assert (now["x"], now["width"], now["height"]) == (top["x"], top["width"], top["height"]), "nothing jumps"
    assert Job.objects.get(pk=job.pk).state == State.SUCCEEDED


@pytest.mark.thorough
def test_failures_appear_together_and_are_retried(admin: Page, stack: Stack) -> None:
    admin.goto(f"{stack.web_url}/admin/errors/")
    expect(admin.locator("body")).to_contain_text("Nothing has failed")
    for number in range(3):
        submit(kinds.fails, {"message": f"card {number} was refused"})
    group = admin.locator(".fw-error-group")
    expect(group).to_contain_text("3 jobs failed", timeout=PATIENCE)
    expect(group).to_have_count(1)
    all_ended()
    admin.get_by_role("link", name="Retry all").click()
    expect(admin.locator("body")).to_contain_text("3")
    expect(admin.locator("body")).to_contain_text("kinds.fails")


@pytest.mark.parametrize("path", first_of(["", "errors/"]))
def test_nothing_is_cut_off_on_a_phone(admin: Page, stack: Stack, path: str) -> None:
    submit(kinds.fails, {"message": "a word " + "x" * 300})
    all_ended()
    admin.set_viewport_size({"width": 400, "height": 800})
    admin.goto(f"{stack.web_url}/admin/{path}")
    assert admin.evaluate("document.documentElement.scrollWidth") <= 400
