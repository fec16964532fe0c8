"""Every page of the site within its Content-Security-Policy; ``conftest.py`` fails the test on what the browser says of it."""

import pytest
from furrow import submit
from furrow.models import Attempt, DeadMessage
from playwright.sync_api import Page, expect

from tests import kinds
from tests.stack import Stack, all_ended
from tests.thorough import first_of

pytestmark = pytest.mark.browser

PAGES = (
    *(
        "",
        "search/?s=job",
        "errors/",
        "password_change/",
        "furrow/job/?state=failed&q=x",
        "furrow/job/bulk/?state=failed&action=retry",
    ),
    *(
        "furrow/job/submit/",
        "furrow/job/submit/kinds.typed/",
        "furrow/job/submit/kinds.greets/",
        "furrow/job/submit/kinds.add/table/",
    ),
    *(
        "furrow/attempt/",
        "furrow/workflow/",
        "furrow/logline/",
        "furrow/auditentry/",
        "furrow/event/",
        "furrow/queue/",
        "furrow/queue/default/change/",
        "furrow/worker/",
    ),
    *(
        "furrow/worker/all/",
        "furrow/leader/",
        "furrow/leader/dispatcher/change/",
        "furrow/drift/",
        "furrow/deadmessage/",
        "furrow/lock/",
        "furrow/apitoken/",
        "furrow/apitoken/add/",
        "../api/docs",
    ),
    *(
        "django_celery_results/taskresult/",
        "django_celery_results/groupresult/",
        "auth/user/",
        "auth/user/add/",
        "auth/group/add/",
    ),
    *("furrow/job/?after=nonsense", "furrow/", "no/such/page/"),
)


@pytest.mark.parametrize("third", first_of(range(3)))
def test_every_page_keeps_to_the_policy(admin: Page, stack: Stack, third: int) -> None:
    failed = submit(kinds.fails, {"message": "refused"})
    all_ended()
    message = DeadMessage.objects.create(reason="nobody can use it")
    attempt = Attempt.objects.filter(job=failed.pk)[0]
    own = (
        f"furrow/job/{failed.pk}/change/",
        f"furrow/attempt/{attempt.pk}/change/",
        f"furrow/deadmessage/{message.pk}/change/",
    )
    flower = ("../flower/", "../flower/tasks", "../flower/broker", f"../flower/task/{failed.pk}")
    for path in (*own, *flower, *PAGES)[third::3]:
        answer = admin.goto(f"{stack.web_url}/admin/{path}")
        assert answer
        assert "default-src 'none'" in answer.headers["content-security-policy"], path
        expect(admin.locator("body")).not_to_be_empty()


def test_what_the_theme_evaluates_still_works(admin: Page, stack: Stack) -> None:
    admin.goto(f"{stack.web_url}/admin/")
    menu = admin.locator("[x-data]").filter(has=admin.get_by_text("Log out")).first
    expect(menu).to_be_attached()
    assert admin.evaluate("Boolean(window.Alpine)")
    assert admin.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--color-primary-600')")


def test_a_script_in_a_pages_text_does_not_run(admin: Page, stack: Stack) -> None:
    other = admin.context.new_page()  # its complaints are what is wanted
    other.goto(f"{stack.web_url}/admin/")
    other.evaluate("document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'}))")
    assert other.evaluate("window.ran === undefined")
