"""Somebody finds an approval, fills in its form, and the workflow goes on."""

from furrow import Approval, workflow
from furrow.models import Workflow
from playwright.sync_api import Page, expect

from tests.kinds.approved import Release
from tests.stack import wait_until


def test_an_approval_is_found_filled_in_and_lets_its_workflow_go_on(admin: Page) -> None:
    with workflow("release 7") as w:
        built = w.add("kinds.note", {"text": "shop-7.tar.gz"}, name="built")
        go = w.approval("Release 7?", permission="furrow.act_on_job", form=Release, description=built.result, after=[built])
        w.add("kinds.note", {"text": go.result["note"]}, after=[go], name="released")
    wait_until(lambda: Approval.objects.filter(workflow=w.id).exists(), what="it is asked")
    admin.goto("/admin/")
    admin.get_by_role("link", name="Approvals").first.click()
    admin.locator("#result_list").get_by_role("link", name="Release 7?").first.click()
    expect(admin.locator(".fw-doc").first).to_contain_text("shop-7.tar.gz")
    admin.fill("[name=answer-share]", "100")
    admin.select_option("[name=answer-when]", "now")
    admin.fill("[name=note]", "looks good")
    admin.get_by_role("button", name="Approve").click()
    expect(admin.locator(".fw-error-box")).to_contain_text("all servers at once only at night")
    expect(admin.locator("[name=note]")).to_have_value("looks good")
    admin.select_option("[name=answer-when]", "tonight")
    admin.get_by_role("button", name="Approve").click()
    expect(admin.locator(".fw-headline")).to_contain_text("approved")
    wait_until(lambda: Workflow.objects.get(pk=w.id).state == "succeeded", what="the workflow goes on")
    expect(admin.locator("[name=answer-share]")).to_have_count(0)
