"""Output streams in a browser: the application's own page, with nothing but one script, and the job's page."""

from pathlib import Path

import pytest
from furrow import Job, State, output_token, output_url, submit
from furrow.models import OutputChunk
from playwright.sync_api import Browser, Page, expect

from tests import kinds
from tests.browser.conftest import PATIENCE
from tests.stack import Stack, wait_until

pytestmark = pytest.mark.browser

CHUNKS = 1_000
WHOLE = "".join(f"chunk {number};" for number in range(CHUNKS))
#: The page of the application: the script with the address that it was given.
WRITE = """url => {
  const script = document.createElement("script");
  Object.assign(script, { src: "/static/furrow/output.js", async: false });
  script.dataset.url = url;
  document.body.replaceChildren(script);
}"""


def test_a_stream_is_read_whole_though_the_page_is_loaded_again_twice(chromium: Browser, stack: Stack, tmp_path: Path) -> None:
    go_on = tmp_path / "go on"
    job = submit(kinds.emits, {"chunks": CHUNKS, "until": str(go_on), "waits_after": 500})
    wait_until(lambda: OutputChunk.objects.filter(job=job.pk).count() == 501, what="the first half is there")
    page = chromium.new_page()
    text = page.locator(".furrow-text")
    for time in range(3):
        page.goto(f"{stack.web_url}/admin/login/")
        page.evaluate(WRITE, output_url(job))
        expect(text).to_contain_text("chunk 500;", timeout=PATIENCE)
        if time == 1:
            go_on.touch()  # the second half comes while the page is loaded again
    expect(page.locator(".furrow-state")).to_have_text("succeeded", timeout=PATIENCE)
    assert text.text_content() == WHOLE
    page.close()


def test_a_page_without_a_token_for_the_job_says_that_it_cannot_be_read(chromium: Browser, stack: Stack) -> None:
    job, other = (submit(kinds.add, {"a": 1}, countdown=3600) for _ in range(2))
    page = chromium.new_page()
    page.goto(f"{stack.web_url}/admin/login/")
    page.evaluate(WRITE, output_url(job).partition("?")[0] + f"?token={output_token(other)}")
    expect(page.locator(".furrow-state")).to_have_text("The output cannot be read (any more).", timeout=PATIENCE)
    page.close()


def test_the_jobs_page_shows_its_output_as_it_comes(admin: Page, stack: Stack, tmp_path: Path) -> None:
    go_on = tmp_path / "go on"
    job = submit(kinds.emits, {"chunks": 3, "until": str(go_on), "waits_after": 1})
    wait_until(lambda: Job.objects.get(pk=job.pk).state == State.RUNNING)
    admin.goto(f"{stack.web_url}/admin/furrow/job/{job.pk}/change/")
    output = admin.locator("#job-output .furrow-text")
    expect(output).to_have_text("chunk 0;chunk 1;", timeout=PATIENCE)
    go_on.touch()
    expect(output).to_have_text("chunk 0;chunk 1;chunk 2;", timeout=PATIENCE)
    expect(admin.locator("#job-output .furrow-state")).to_have_text("succeeded", timeout=PATIENCE)
