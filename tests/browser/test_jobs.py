"""The list of jobs, bulk actions, the job's page with its live log, the audit log: as people use them."""

import datetime as dt
import re

import pytest
from django.utils import timezone
from furrow import Job, LogLine, State, submit, submit_many
from furrow.models import AuditEntry
from playwright.sync_api import Page, expect

from tests import kinds
from tests.browser.conftest import PATIENCE
from tests.stack import Stack, wait_until
from tests.thorough import first_of

pytestmark = pytest.mark.browser


def failed(count: int) -> None:
    ids = submit_many(kinds.noop, [{"n": n} for n in range(count)], countdown=3600)
    Job.objects.filter(pk__in=ids).update(
        state=State.FAILED, finished_at=timezone.now(), started_at=timezone.now(), attempt=5, error="Boom: it broke"
    )


def go(page: Page, stack: Stack, path: str) -> None:
    page.goto(f"{stack.web_url}/admin/{path}")


def test_the_list_stays_live_and_keeps_what_was_selected(admin: Page, stack: Stack) -> None:
    failed(3)
    go(admin, stack, "furrow/job/?kind=kinds.noop&state=failed")
    rows = admin.locator("#result_list tbody")
    expect(rows).to_have_count(3)
    box = rows.nth(1).locator("input.action-select")
    box.check()
    chosen = box.get_attribute("value")
    assert chosen
    Job.objects.filter(pk=chosen).update(error="Boom: seen again")
    expect(rows.nth(1)).to_contain_text("Boom: seen again", timeout=PATIENCE)
    failed(1)
    expect(box).to_be_checked()
    expect(rows).to_have_count(3)
    box.uncheck()
    expect(rows).to_have_count(4, timeout=PATIENCE)
    assert "state=failed" in admin.url


@pytest.mark.thorough
def test_what_matches_is_retried_by_a_job_and_written_down(admin: Page, stack: Stack) -> None:
    failed(120)
    go(admin, stack, "furrow/job/?state=failed")
    admin.get_by_role("link", name=re.compile("Act on all that match")).click()
    expect(admin.locator(".fw-big")).to_contain_text("120 jobs")
    admin.get_by_role("button", name="Retry").click()
    admin.get_by_role("button", name="Retry 120 jobs").click()
    expect(admin.locator(".fw-headline")).to_contain_text("furrow.bulk_action")
    expect(admin.locator(".fw-headline .fw-label")).to_have_text("succeeded", timeout=PATIENCE)
    expect(admin.locator("body")).to_contain_text('"changed": 120')
    wait_until(lambda: Job.objects.filter(kind="kinds.noop", state=State.SUCCEEDED).count() == 120, what="all ran again")
    admin.get_by_role("link", name="Audit log").click()
    expect(admin.locator("#result_list")).to_contain_text("120")
    expect(admin.locator("#result_list")).to_contain_text("state failed")


@pytest.mark.thorough
def test_the_chosen_jobs_get_another_priority(admin: Page, stack: Stack) -> None:
    submit_many(kinds.noop, [{"n": n} for n in range(3)], countdown=3600)
    go(admin, stack, "furrow/job/")
    admin.locator("input.action-select").nth(0).check()
    admin.locator("input.action-select").nth(2).check()
    admin.select_option("select[name=action]", "change priority")
    admin.get_by_role("button", name="Run").click()
    expect(admin.locator(".fw-big")).to_contain_text("2 chosen jobs")
    admin.select_option("select[name=priority]", "1")
    admin.get_by_role("button", name="Change priority of 2 jobs").click()
    expect(admin.locator("#result_list")).to_contain_text("priority 1")
    assert sorted(Job.objects.values_list("priority", flat=True)) == [1, 1, 5]
    entry = AuditEntry.objects.order_by("-pk")[0]
    assert (entry.count, entry.detail) == (2, "priority 1")


@pytest.mark.thorough
def test_a_job_is_found_by_its_argument_and_by_its_error(admin: Page, stack: Stack) -> None:
    failed(2)
    submit(kinds.add, {"a": 77}, countdown=3600)
    go(admin, stack, "furrow/job/")
    for query, kind in (("a=77", "kinds.add"), ("it broke", "kinds.noop")):
        admin.fill("#searchbar", query)
        admin.press("#searchbar", "Enter")
        expect(admin.locator("#result_list tbody").first).to_contain_text(kind)
    admin.fill("#searchbar", "a=78")
    admin.press("#searchbar", "Enter")
    expect(admin.locator("body")).to_contain_text("No results found")


def test_a_log_is_followed_filtered_and_found_in(admin: Page, stack: Stack) -> None:
    job = submit(kinds.chatters, {"lines": 200, "pause": 0.1})
    wait_until(lambda: LogLine.objects.filter(job=job.pk).exists(), what="the first line")
    go(admin, stack, f"furrow/job/{job.pk}/change/")
    lines = admin.locator("#job-lines")
    expect(lines).to_contain_text("line 5 ")
    go(admin, stack, f"furrow/job/{job.pk}/change/?find=odd")
    admin.select_option("select[name=level]", "30")
    expect(lines.locator("li").first).to_contain_text("odd")
    expect(lines.locator("li").nth(5)).to_contain_text("odd", timeout=PATIENCE)
    assert "even" not in lines.inner_text()
    expect(admin.locator("#job-follow")).to_be_checked()
    admin.on("dialog", lambda dialog: dialog.accept())
    admin.get_by_role("button", name="Cancel").click()
    expect(admin.locator(".fw-headline .fw-label")).to_have_text("cancelled", timeout=PATIENCE)
    go(admin, stack, f"furrow/job/{job.pk}/change/")
    expect(lines).to_contain_text("line 0 ")
    with admin.expect_download() as download:
        admin.locator("#job-log").get_by_role("link", name="Download").click()
    assert "line 0 even" in download.value.path().read_text()


@pytest.mark.thorough
def test_a_job_is_snoozed_and_run_now(admin: Page, stack: Stack) -> None:
    job = submit(kinds.add, {"a": 1}, run_at=timezone.now() + dt.timedelta(hours=1))
    go(admin, stack, f"furrow/job/{job.pk}/change/")
    admin.select_option("select[name=minutes]", "1440")
    admin.get_by_role("button", name="Snooze").click()
    expect(admin.locator("body")).to_contain_text("The job is postponed.")
    expect(admin.locator(".fw-timeline")).to_contain_text(f"by {stack.admin[0]} (admin)")
    admin.get_by_role("button", name="Run now").click()
    expect(admin.locator(".fw-headline .fw-label")).to_have_text("succeeded", timeout=PATIENCE)
    expect(admin.get_by_role("link", name="Retry with other arguments")).to_be_visible()
    admin.on("dialog", lambda dialog: dialog.accept())
    admin.get_by_role("button", name="Delete").click()
    expect(admin.locator("body")).to_contain_text("The job is deleted.")
    assert not Job.objects.filter(pk=job.pk).exists()


def test_who_may_only_look_finds_no_button(viewer: Page, stack: Stack) -> None:
    failed(2)
    job = Job.objects.order_by("pk")[0]
    go(viewer, stack, "furrow/job/")
    expect(viewer.locator("#result_list tbody")).to_have_count(2)
    expect(viewer.locator("input.action-select")).to_have_count(0)
    expect(viewer.locator(".fw-act-on-all")).to_have_count(0)
    go(viewer, stack, f"furrow/job/{job.pk}/change/")
    expect(viewer.locator(".fw-buttons form")).to_have_count(0)
    token = next(cookie["value"] for cookie in viewer.context.cookies() if cookie["name"] == "csrftoken")
    for path in (f"furrow/job/{job.pk}/retry/", "furrow/job/bulk/"):
        answer = viewer.request.post(
            f"{stack.web_url}/admin/{path}",
            form={"action": "retry", "csrfmiddlewaretoken": token},
            headers={"Referer": stack.web_url},
        )
        assert answer.status == 403
    job.refresh_from_db()
    assert job.state == State.FAILED


@pytest.mark.parametrize(
    "path", first_of(["furrow/job/", "furrow/job/bulk/?state=failed&action=retry", "furrow/auditentry/", "{job}"])
)
def test_nothing_is_cut_off_on_a_phone(admin: Page, stack: Stack, path: str) -> None:
    failed(1)
    job = Job.objects.get()
    LogLine.objects.create(job=job, attempt=5, at=timezone.now(), level=20, message="x" * 500)
    admin.set_viewport_size({"width": 400, "height": 800})
    go(admin, stack, path.format(job=f"furrow/job/{job.pk}/change/"))
    assert admin.evaluate("document.documentElement.scrollWidth") <= 400
