"""The form of a schedule says when that comes while it is filled in."""

from furrow.models import Schedule
from playwright.sync_api import Page, expect


def test_the_form_says_when_it_comes_and_what_is_wrong_before_it_is_sent(admin: Page) -> None:
    admin.goto("/admin/furrow/schedule/add/")
    told = admin.locator("output.fw-preview")
    admin.fill("[name=name]", "nightly")
    admin.select_option("[name=kind]", "kinds.add")
    admin.fill("[name=timing]", "every night")
    expect(told).to_contain_text("timing: 'every night' is no cron expression")
    admin.fill("[name=timing]", "0 3 * * *")
    expect(told).to_contain_text("At 03:00 every day")
    expect(told).to_contain_text("a: is missing")
    admin.fill("[name=arguments]", '{"a": 1}')
    expect(told).not_to_contain_text("is missing")
    expect(told.locator("li")).to_have_count(5)
    admin.locator("[name=_save]").click()
    expect(admin.locator("#result_list").get_by_role("link", name="nightly")).to_be_visible()
    assert Schedule.objects.get().arguments == {"a": 1}
