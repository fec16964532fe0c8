"""Workers in other languages over HTTP: the programs of docs/other_languages.md against a real web server and database."""

import signal
import urllib.request
from collections.abc import Iterator

import pytest
from deploy import packages
from django.db.models import F
from furrow import Attempt, Job, State, cancel, submit
from furrow.actions import tokens
from furrow.models import Worker
from furrow.models.api_token import Scope

from tests import external_kinds
from tests.external_kinds import count, someone
from tests.stack import PYTHON, Process, Stack, wait_until

external_kinds.forget()
pytestmark = pytest.mark.engine

#: The programs of the page, by what they log first.
PROGRAMS = {
    "Python": [PYTHON, "docs/other_languages/worker.py"],
    "Node.js": ["node", "docs/other_languages/worker.mjs"],
}


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs time out soon."""
    monkeypatch.setenv("FURROW_TEST_TIMEOUT", "3")


@pytest.fixture
def site(bare: Stack, committed: None, monkeypatch: pytest.MonkeyPatch) -> Iterator["Site"]:
    """Web and dispatcher that know the external kinds."""
    monkeypatch.setenv("FURROW_MODULES", "tasks,tests.kinds,tests.external_kinds")
    with external_kinds.known():
        bare.dispatcher()
        bare.web()
        site = Site(bare)
        wait_until(site.answers, what="web answers")
        yield site
        for process in bare.processes:  # a program that waits for an answer would have the others wait
            if process.name not in ("dispatcher", "web"):
                process.kill()
        bare.stop()


class Site:
    """A web server, and the programs that work for it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        _, self.secret = tokens.make("works", user=someone(), scopes=[Scope.WORK])

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.stack.web_url}/health/live", timeout=60):
                return True
        except OSError:
            return False

    def program(self, language: str, name: str) -> Process:
        """Start one."""
        address = f"{self.stack.web_url}/api"
        command = PROGRAMS[language]
        packages.ensure({"nodejs": "node"} if language == "Node.js" else {})
        return self.stack.start(name, command, FURROW_URL=address, FURROW_TOKEN=self.secret, FURROW_NAME=name)


def at(job: Job, state: State, attempt: int | None = None) -> None:
    """Wait until the job is there."""

    def there() -> bool:
        job.refresh_from_db()
        return job.state == state and (attempt is None or job.attempt == attempt)

    wait_until(there, what=f"{job.kind} is {state}")


@pytest.mark.parametrize("language", PROGRAMS)
@pytest.mark.usefixtures("short")
def test_the_programs_of_the_page(site: Site, language: str) -> None:
    """They run, retry, time out, cancel, and shut down in order."""
    works, fails = submit(count, {"text": "to be or not"}), submit(count, {"text": " "})
    slow, unwanted = (
        submit(count, {"text": "x", "seconds": 60}, max_attempts=1),
        submit(count, {"text": "x", "seconds": 50}, max_attempts=1000),
    )
    program = site.program(language, "one")
    at(works, State.SUCCEEDED)
    assert works.result == {"words": 4}
    assert (works.progress, works.progress_note) == (1, "counted")
    assert [line.message for line in works.log_lines.all()] == [f"Counting in {language}, for 0 s"]
    at(unwanted, State.RUNNING)
    cancel(unwanted.pk)
    at(unwanted, State.CANCELLED)
    at(fails, State.FAILED, attempt=3)
    assert "Error: there are no words" in fails.error
    at(slow, State.FAILED, attempt=1)
    assert Attempt.objects.get(job=slow).outcome == "timed out"
    last = submit(count, {"text": "x", "seconds": 50}, max_attempts=1000)
    at(last, State.RUNNING)
    program.stop()
    at(last, State.PENDING)
    assert Attempt.objects.filter(job=last).latest("number").outcome == "interrupted"
    assert Worker.objects.get(node__startswith="one@").stopped_at is not None


def test_a_killed_and_a_frozen_worker(site: Site) -> None:
    """Node.js, killed -9: its job runs again. Frozen: so does that, and its late end is refused."""
    killed = site.program("Node.js", "killed")
    job = submit(count, {"text": "one two", "seconds": 2})
    at(job, State.RUNNING, attempt=1)
    killed.kill()
    frozen = site.program("Node.js", "frozen")
    expire("killed")
    at(job, State.RUNNING, attempt=2)
    frozen.send(signal.SIGSTOP)
    expire("frozen")
    at(job, State.PENDING, attempt=2)
    site.program("Python", "lives")
    at(job, State.SUCCEEDED, attempt=3)
    frozen.send(signal.SIGCONT)
    wait_until(lambda: f"attempt 2 of job {job.pk} is over" in frozen.text or "frozen" in _relived(), what="it learns of it")
    job.refresh_from_db()
    assert (job.attempt, job.result) == (3, {"words": 2})
    assert list(job.attempts.order_by("number").values_list("outcome", flat=True)) == ["lost", "lost", "succeeded"]


def expire(name: str) -> None:
    """The lease of the worker that was killed or frozen is over."""
    Worker.objects.filter(node__startswith=f"{name}@", stopped_at=None).update(heartbeat_at=F("lease_until"))


def _relived() -> list[str]:
    """Workers that began a second life."""
    return [node.partition("@")[0] for node in Worker.objects.filter(stopped_at=None).values_list("node", flat=True)]
