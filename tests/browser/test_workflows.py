"""A workflow in the browser: its graph, live; restarted where it failed, by keys alone."""

import re

import pytest
from furrow import workflow
from furrow.models import Workflow
from furrow.states import WorkflowState
from playwright.sync_api import Page, expect

from tests import kinds
from tests.browser.conftest import PATIENCE
from tests.browser.test_keyboard import tab_to
from tests.stack import Stack, wait_until

pytestmark = pytest.mark.browser


def test_a_graph_is_seen_and_a_workflow_restarted_where_it_failed_by_keys_alone(admin: Page, stack: Stack) -> None:
    with workflow("parcel 7") as w:
        packed = w.map(kinds.noop, [{}] * 20, name="pack")
        sent = w.add(kinds.succeeds_on, {"attempt": 2}, after=[packed], name="send", max_attempts=1)
        w.add(kinds.noop, after=[sent], name="tell")
    admin.goto(f"{stack.web_url}/admin/furrow/workflow/?q=parcel")
    admin.locator("a.fw-job").first.focus()
    admin.keyboard.press("Enter")
    nodes = admin.locator("a.fw-node")
    expect(nodes).to_have_count(3)
    failed = re.compile(r"^send: failed")
    expect(nodes.nth(1)).to_have_attribute("aria-label", failed, timeout=PATIENCE)  # drawn anew, without a reload
    expect(nodes.nth(2)).to_have_attribute("aria-label", re.compile("skipped.*'send' failed, and this waited"))
    expect(nodes.nth(0)).to_contain_text("20 jobs")
    expect(admin.locator("#nodes tbody tr").nth(1)).to_contain_text("failed")
    assert all(box["width"] > 100 for one in nodes.all() if (box := one.bounding_box()))
    admin.once("dialog", lambda dialog: dialog.accept())
    admin.locator("h1 a").last.focus()
    tab_to(admin, "Restart from what failed")
    admin.keyboard.press("Enter")
    expect(admin.locator(".fw-headline .fw-label")).to_have_text("succeeded", timeout=PATIENCE)
    wait_until(lambda: Workflow.objects.get(pk=w.id).state == WorkflowState.SUCCEEDED, what="it succeeded")
    expect(nodes.nth(1)).to_have_attribute("aria-label", re.compile("^send: succeeded"))
    nodes.nth(1).focus()
    admin.keyboard.press("Enter")
    expect(admin.locator(".fw-headline h2")).to_have_text("kinds.succeeds_on")
    admin.get_by_role("link", name="parcel 7").click()
    admin.get_by_role("button", name="Smaller").click()
    expect(admin.locator("svg[data-graph]")).not_to_have_attribute("width", re.compile(r"^$"))
    admin.set_viewport_size({"width": 400, "height": 800})
    assert admin.evaluate("document.documentElement.scrollWidth") <= 400
