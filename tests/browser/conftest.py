"""A browser, and pages that are logged in."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from deploy import packages
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.contrib.sessions.models import Session
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.stack import Stack, wait_until

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
#: The longest wait for something to appear, in milliseconds.
PATIENCE = 20_000
#: What the browser says of whatever a page wanted and the policy does not let it.
POLICY = "Content Security Policy"
#: Who logged in by the form already, and is known by these from then on.
_cookies: dict[str, Any] = {}


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Debian's browser, headless; installed when it is missing."""
    packages.ensure({"chromium": CHROMIUM})
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright keeps an event loop in this thread, which Django takes for async code.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def admin(chromium: Browser, stack: Stack) -> Iterator[Page]:
    """A page that is logged in as one who may do everything."""
    yield from _logged_in(chromium, stack, *stack.admin)


@pytest.fixture
def viewer(chromium: Browser, stack: Stack) -> Iterator[Page]:
    """A page that is logged in as one who may see everything of ours and change nothing."""
    users = get_user_model().objects
    user = users.filter(username="viewer").first() or users.create_user("viewer", password=stack.admin[1], is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_", content_type__app_label="furrow"))
    yield from _logged_in(chromium, stack, "viewer", stack.admin[1])


def _logged_in(chromium: Browser, stack: Stack, name: str, word: str) -> Iterator[Page]:
    """Nothing is open yet. Any request to elsewhere, any error of a script, and whatever the policy forbids fails
    the test."""
    origins = {urlsplit(stack.web_url).netloc}
    context = chromium.new_context(base_url=stack.web_url, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(f"{error}\n{error.stack}"))
    page.on("console", lambda said: wrong.append(said.text) if POLICY in said.text else None)
    page.on("request", lambda request: wrong.append(request.url) if _is_elsewhere(request.url, origins) else None)
    wait_until(lambda: page.request.get(f"{stack.web_url}/health/ready").ok, what="the web server answers")
    if Session.objects.filter(session_key__in=[cookie["value"] for cookie in _cookies.get(name, [])]).exists():
        context.add_cookies(_cookies[name])
    else:
        page.goto(f"{stack.web_url}/admin/")
        page.fill("input[name=username]", name)
        page.fill("input[name=password]", word)
        page.click("button[type=submit]")
        expect(page.locator("h1").first).to_contain_text("Overview")
        _cookies[name] = context.cookies()
    yield page
    context.close()
    assert not wrong


def _is_elsewhere(url: str, origins: set[str]) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "https", "ws", "wss") and parts.netloc not in origins
