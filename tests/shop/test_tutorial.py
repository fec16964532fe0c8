"""docs/tutorial.md, followed to the letter in an empty folder: its files, its commands, its Python sessions, its pages."""

import contextlib
import http.cookiejar
import os
import re
import shutil
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from deploy import ports, processes

from tests import services
from tests.shop.conftest import FOLDER, offline, run
from tests.stack import Process, wait_until

PAGE = services.ROOT / "docs" / "tutorial.md"
#: Commands that go on until they are stopped; given again, they are a restart.
GOES_ON = re.compile(r"python manage\.py runserver|celery -A shop worker|python manage\.py furrow dispatcher")
#: Runs a Python session and compares what it prints.
SESSION = """
import doctest, sys, django
django.setup()
parsed = doctest.DocTestParser().get_doctest(sys.stdin.read(), {}, "tutorial", "tutorial.md", 0)
failed = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE).run(parsed).failed
sys.exit(bool(failed))
"""


class Block(NamedTuple):
    """A block of code of the page."""

    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    """The page's blocks of code, in order."""
    return [Block(*found) for found in re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)]


class Reader:
    """Somebody who does what the page says."""

    def __init__(self, wheelhouse: Path, broker: str) -> None:
        self.folder = FOLDER / "tutorial"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        self.port = str(ports.choose(18000))
        self.running: dict[str, Process] = {}
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(FOLDER),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            processes.MARK: services.MARK,
            "BROKER_URL": broker,
            "DJANGO_SETTINGS_MODULE": "shop.settings",
            **offline(wheelhouse),
        }

    def follow(self, block: Block, shown: str | None) -> None:
        """Do what one block says; ``shown`` is the output that the page has below it."""
        text = block.text.replace("8000", self.port)
        match block.language:
            case "python":
                name = text.partition("\n")[0].removeprefix("# ")
                with (self.folder / name).open("a") as file:
                    file.write(f"\n{text.partition(chr(10))[2]}")
            case "sh" if text.startswith("python manage.py shell"):
                pass  # the session that follows is its input
            case "sh" if found := GOES_ON.match(text):
                self.start(found[0], text.strip())
            case "sh":
                printed = self.bash(text)
                wait_until(
                    lambda: shown is None or matches(shown, printed) or matches(shown, self.bash(text)), what=shown or ""
                )
            case "pycon":
                run([".venv/bin/python", "-c", SESSION], env=self.environ, cwd=self.folder, input=text)
            case "text":
                pass  # was compared above
            case other:
                raise AssertionError(f"no reader could follow a block of {other}")

    def bash(self, text: str) -> str:
        """The output of commands typed into a terminal."""
        activate = "[ ! -e manage.py ] || source .venv/bin/activate\n"
        return run(["bash", "-ec", activate + text], env=self.environ, cwd=self.folder)

    def start(self, name: str, line: str) -> None:
        """Start a process, or stop and start it again."""
        if name in self.running:
            self.running[name].stop()
        command = ["bash", "-ec", f"source .venv/bin/activate; exec {line}"]
        self.running[name] = Process(f"tutorial-{len(self.running)}", command, self.environ, self.folder)

    def browse(self, addresses: list[str]) -> dict[str, int]:
        """The status of each page, for who has logged in as the page says."""
        jar = http.cookiejar.CookieJar()
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
        login = f"http://127.0.0.1:{self.port}/admin/login/"
        opener.open(login, timeout=30)
        token = next(cookie.value for cookie in jar if cookie.name == "csrftoken")
        form = {"username": "ada", "password": "secret", "csrfmiddlewaretoken": token, "next": "/admin/"}
        opener.open(login, urllib.parse.urlencode(form).encode(), timeout=30)
        found = {}
        for address in addresses:
            with opener.open(address.replace("8000", self.port), timeout=60) as answer:
                found[address] = answer.status if "/login/" not in answer.url else 403
        return found


def matches(shown: str, printed: str) -> bool:
    """Each line that the page shows was printed, in this order; ``…`` stands for anything."""
    lines = [".*".join(map(re.escape, line.split("…"))).replace(r"\ ", r"\s+") for line in shown.strip().splitlines()]
    return re.search("(?s)" + ".*".join(lines), printed) is not None


@pytest.fixture
def reader(wheelhouse: Path, broker: str) -> Iterator[Reader]:
    reader = Reader(wheelhouse, broker)
    try:
        yield reader
    except BaseException:
        for process in reader.running.values():
            print(f"{process.log}:\n{process.text[-4000:]}")
        raise
    finally:
        for process in reader.running.values():
            with contextlib.suppress(AssertionError):
                process.stop(20)
            process.kill()


@pytest.mark.thorough
@pytest.mark.timeout(600)
def test_the_tutorial_does_what_it_says(reader: Reader) -> None:
    """Block by block; then the pages that it sends its reader to."""
    steps = blocks(PAGE)
    for block, following in zip(steps, [*steps[1:], None], strict=True):
        reader.follow(block, following.text if following and following.language == "text" else None)
    addresses = re.findall(r"http://127\.0\.0\.1:8000/\S+", PAGE.read_text())
    assert reader.browse(addresses) == dict.fromkeys(addresses, 200)
    assert len(addresses) > 3
