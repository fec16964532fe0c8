"""Starts a stack, fills it, and takes the pictures: ``python -m tests.gallery [names]``. Takes about three minutes.

The stack lives in ``.run/gallery`` (``FURROW_GALLERY_RUN``); ``--keep`` leaves it running, and the next run uses it as it is.
Exits with 1 when a page is wider than a phone.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import django
from deploy import ROOT, packages
from deploy.stack import Stack

RUN = Path(os.environ.get("FURROW_GALLERY_RUN") or ROOT / ".run" / "gallery").absolute()
TO = ROOT / "docs" / "screenshots"
CHROMIUM = "/usr/bin/chromium"
#: Width, height and colours.
LOOKS = {"light": (1280, 800, "light"), "dark": (1280, 800, "dark"), "phone": (400, 800, "light")}
#: Pictures of long pages end here (pixels).
LONGEST = 1_600
MAILER = "mailer@localhost"


def main() -> int:
    """Take the pictures of these names, or all."""
    keep, names = "--keep" in sys.argv, [word for word in sys.argv[1:] if not word.startswith("-")]
    own = {"DATABASE": "postgres", "FURROW_MODULES": "tests.gallery.shop", "FURROW_QUEUES": "default,mail,orders:4:customer_id"}
    stack = Stack(
        RUN, {**os.environ, **own, "FURROW_RUN": str(RUN), "WORKER_NODE": "worker@localhost", "WORKER_CONCURRENCY": "4"}
    )
    packages.ensure({"chromium": CHROMIUM})
    try:
        stack.up()
        os.environ.update(stack.told(), DJANGO_SETTINGS_MODULE="config.settings", DJANGO_ALLOW_ASYNC_UNSAFE="true")
        mailer = _mailer()
        try:
            django.setup()
            return _take(stack, _filled(), names)
        finally:
            mailer.terminate()
            mailer.wait(60)
    finally:
        if not keep:
            stack.down()


def _mailer() -> "subprocess.Popen[bytes]":
    """A second worker, of some queues only."""
    command = [sys.executable, "-m", "celery", "-A", "config", "worker", "-c", "1", "-n", MAILER, "-Q", "mail,orders"]
    return subprocess.Popen(command, stdout=(RUN / "mailer.log").open("wb"), stderr=subprocess.STDOUT)


def _filled() -> dict[str, Any]:
    """The ids of the jobs that are shown; a stack that was kept is filled already."""
    from tests.gallery import scene

    told = RUN / "scene.json"
    if not told.exists():
        told.write_text(json.dumps(scene.fill(workers=2), default=str))
    return dict(json.loads(told.read_text()))


def _take(stack: Stack, jobs: dict[str, Any], names: list[str]) -> int:
    from furrow import lock, semaphore
    from playwright.sync_api import sync_playwright

    from tests.gallery.pages import pictures

    chosen = [picture for picture in pictures(jobs) if not names or picture.name in names]
    url, password = re.search(r"(http\S+)/admin/ +login admin / (\S+)", stack.addresses()[0]).groups()  # type: ignore[union-attr]
    wide = []
    with sync_playwright() as playwright, lock("catalogue"), semaphore("gpu", 4):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto(f"{url}/admin/")
        page.fill("input[name=username]", "admin")
        page.fill("input[name=password]", password)
        page.click("button[type=submit]")
        page.locator("h1").first.wait_for()
        for picture in chosen:
            for look, (width, height, scheme) in LOOKS.items():
                page.set_viewport_size({"width": width, "height": height})
                page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
                page.goto(f"{url}/admin/{picture.address}")
                picture.prepare(page)
                page.wait_for_timeout(700)
                if (seen := page.evaluate("document.documentElement.scrollWidth")) > width:
                    wide.append(f"{picture.name}: {seen} pixels wide on {width}")
                if picture.whole:
                    tall = page.evaluate("document.documentElement.scrollHeight")
                    page.set_viewport_size({"width": width, "height": max(height, min(LONGEST, tall))})
                    page.wait_for_timeout(200)
                page.screenshot(path=TO / f"{picture.name}-{look}.png")
            print(picture.name, flush=True)
        browser.close()
    print("\n".join(wide))
    return 1 if wide else 0


if __name__ == "__main__":
    sys.exit(main())
