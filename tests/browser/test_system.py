"""Queues, workers and Flower, as a person uses them."""

import re

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from furrow import Job, State, submit
from furrow.models import WorkerRequest
from playwright.sync_api import Page, expect

from tests import kinds
from tests.stack import Stack, wait_until

pytestmark = pytest.mark.browser


def test_a_queue_is_paused_seen_on_its_jobs_page_and_resumed(admin: Page, stack: Stack) -> None:
    admin.goto(f"{stack.web_url}/admin/")
    admin.get_by_role("link", name="Queues").first.click()
    admin.get_by_role("link", name="other", exact=True).click()
    admin.get_by_label("Reason").fill("the printer is broken")
    admin.get_by_role("button", name="Pause").click()
    expect(admin.locator(".fw-reason")).to_contain_text(re.compile("Paused by .*the printer is broken"))
    job = submit(kinds.add, {"a": 1}, queue="other")
    expect(admin.locator(".fw-count", has_text="due").locator("b").first).to_have_text("1")  # without a reload
    admin.goto(f"{stack.web_url}/admin/furrow/job/{job.pk}/change/")
    expect(admin.locator(".fw-reason")).to_contain_text("was paused by admin (the printer is broken)")
    admin.goto(f"{stack.web_url}/admin/furrow/queue/other/change/")
    admin.get_by_role("button", name="Resume").click()
    expect(admin.locator(".fw-headline")).to_contain_text("open")
    wait_until(lambda: Job.objects.get(pk=job.pk).state == State.SUCCEEDED, what="it runs")


@pytest.mark.thorough
def test_a_running_job_says_where_it_is_and_a_worker_leaves_a_queue(admin: Page, stack: Stack) -> None:
    job = submit(kinds.sleeps, {"seconds": 120})
    wait_until(lambda: Job.objects.get(pk=job.pk).state == State.RUNNING)
    admin.goto(f"{stack.web_url}/admin/furrow/worker/")
    admin.get_by_role("link", name="worker@test").first.click()
    admin.get_by_role("button", name="Show stack").click()
    expect(admin.locator("pre")).to_contain_text("in sleeps")
    admin.get_by_role("link", name="worker@test").click()
    row = admin.locator("li", has=admin.get_by_role("link", name="other", exact=True))
    row.get_by_role("button", name="Pause here").click()
    expect(row.get_by_role("button", name="Resume here")).to_be_visible()
    row.get_by_role("button", name="Resume here").click()
    expect(row.get_by_role("button", name="Pause here")).to_be_visible()
    admin.once("dialog", lambda dialog: dialog.accept())
    admin.get_by_role("button", name="Replace processes").click()
    expect(admin.locator("#content li", has_text="Replace its pool processes")).to_contain_text("done")
    assert set(WorkerRequest.objects.values_list("succeeded", flat=True)) == {True}


@pytest.mark.thorough
def test_flower_under_the_same_login(admin: Page, stack: Stack) -> None:
    job = submit(kinds.sleeps, {"seconds": 120})
    wait_until(lambda: Job.objects.get(pk=job.pk).state == State.RUNNING)
    admin.goto(f"{stack.web_url}/admin/")
    admin.get_by_role("link", name="Flower").first.click()
    admin.get_by_role("link", name="Tasks", exact=True).click()
    admin.get_by_role("link", name=str(job.pk)).first.click()
    expect(admin.get_by_role("link", name="Open the job")).to_be_visible()
    admin.get_by_role("button", name="Terminate").click()
    expect(admin.locator("#toast-container")).to_contain_text("Cancelled job")
    wait_until(lambda: Job.objects.get(pk=job.pk).state == State.CANCELLED, what="it is cancelled")
    admin.get_by_role("link", name="Open the job").click()
    expect(admin.locator(".fw-headline")).to_contain_text("cancelled")


@pytest.mark.thorough
def test_who_may_only_look(viewer: Page, stack: Stack) -> None:
    get_user_model().objects.get(username="viewer").user_permissions.add(Permission.objects.get(codename="view_flower"))
    job = submit(kinds.sleeps, {"seconds": 120})
    wait_until(lambda: Job.objects.get(pk=job.pk).state == State.RUNNING)
    viewer.goto(f"{stack.web_url}/admin/furrow/queue/other/change/")
    expect(viewer.locator(".fw-headline")).to_contain_text("other")
    expect(viewer.locator("main button, #content button")).to_have_count(0)
    viewer.goto(f"{stack.web_url}/admin/furrow/worker/")
    viewer.get_by_role("link", name="worker@test").first.click()
    expect(viewer.locator("#content")).to_contain_text("Processes")
    expect(viewer.locator("#content button")).to_have_count(0)
    task = f"{stack.web_url}/flower/task/{job.pk}"
    wait_until(lambda: viewer.request.get(task).ok, what="Flower knows the task")
    viewer.goto(task)
    expect(viewer.get_by_role("link", name="Open the job")).to_be_visible()
    expect(viewer.get_by_role("button", name="Terminate")).to_be_hidden()


def test_nothing_is_cut_off_on_a_phone(admin: Page, stack: Stack) -> None:
    admin.set_viewport_size({"width": 400, "height": 800})
    admin.goto(f"{stack.web_url}/admin/furrow/worker/")
    addresses = ["furrow/queue/", "furrow/queue/default/change/", "furrow/worker/"]
    addresses.append(str(admin.get_by_role("link", name="worker@test").first.get_attribute("href")).removeprefix("/admin/"))
    for address in addresses:
        admin.goto(f"{stack.web_url}/admin/{address}")
        assert admin.evaluate("document.documentElement.scrollWidth") <= 400, address
