"""Workers in other languages over AMQP: the programs of docs/other_languages.md, with an account that may do nothing else."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from furrow import Attempt, Job, State, cancel, submit
from furrow.models import DeadMessage, Worker

from tests import external_kinds, node, services
from tests.bridges import URL, stranger
from tests.external_kinds import count
from tests.integration.test_external_workers import at, expire
from tests.services import ROOT
from tests.stack import PYTHON, Process, Stack, wait_until

external_kinds.forget()
pytestmark = pytest.mark.engine

PROGRAMS = ROOT / "docs/other_languages"
#: What the page says that a worker's account needs: configure, write, read.
PERMISSIONS = (r"^amq\.gen-.*", r"^furrow\.work$", r"^amq\.gen-.*")


class Site:
    """A dispatcher and a process of bridges, and the programs that work for them."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.url = urlsplit(URL)._replace(netloc=f"works:works@{urlsplit(URL).netloc.rpartition('@')[2]}").geturl()

    def bridges(self, name: str = "bridges") -> Process:
        """Start a process."""
        return self.stack.start(name, [PYTHON, "manage.py", "furrow", "bridges"], FURROW_EXTERNAL_OVER_AMQP="true")

    def readers(self) -> int:
        """Processes that read the requests."""
        with stranger() as channel:
            return int(channel.queue_declare("furrow.work", passive=True).method.consumer_count)

    def program(self, language: str, name: str) -> Process:
        """Start one."""
        if language == "Python":
            command = [PYTHON, str(PROGRAMS / "amqp_worker.py")]
        else:
            command = ["node", str(node.placed((PROGRAMS / "amqp_worker.mjs").read_text(), "amqp_worker.mjs"))]
        return self.stack.start(name, command, AMQP_URL=self.url, FURROW_NAME=name)


@pytest.fixture
def site(bare: Stack, committed: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("FURROW_MODULES", "tasks,tests.kinds,tests.external_kinds")
    monkeypatch.setenv("FURROW_TEST_TIMEOUT", "3")
    services.broker.ctl("add_user", "works", "works")
    services.broker.ctl("set_permissions", "works", *PERMISSIONS)
    try:
        with external_kinds.known():
            yield Site(bare)
    finally:
        for process in bare.processes:  # a program that waits for an answer would have the others wait
            if process.name not in ("dispatcher", "bridges"):
                process.kill()
        bare.stop()
        with stranger("hello", "furrow.work") as channel:
            channel.exchange_delete("furrow.work")
        services.broker.ctl("delete_user", "works")


def test_the_programs_of_the_page_over_amqp(site: Site) -> None:
    """In each language: they run, retry, time out, cancel, and shut down in order."""
    site.stack.dispatcher()
    site.bridges()
    for language in ("Python", "Node.js"):
        works, fails = submit(count, {"text": "to be or not"}), submit(count, {"text": " "})
        slow = submit(count, {"text": "x", "seconds": 60}, max_attempts=1)
        unwanted = submit(count, {"text": "x", "seconds": 50}, max_attempts=1000)
        program = site.program(language, language)
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
        assert Worker.objects.get(node__startswith=f"{language}@").stopped_at is not None
        cancel(last.pk)
    assert not DeadMessage.objects.exists()


@pytest.mark.thorough
def test_worker_bridges_and_rabbitmq_die_and_no_job_is_lost(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed worker's job runs again; the others' deaths cost no attempt."""
    # Both longer than RabbitMQ is away; whoever is killed has its lease ended.
    monkeypatch.setenv("FURROW_WORKER_LEASE", "60")
    monkeypatch.setenv("FURROW_TEST_TIMEOUT", "120")
    monkeypatch.setenv("FURROW_SLOTS", "1")  # who runs a job asks for no other
    site.stack.dispatcher()
    first, second = site.bridges("first"), site.bridges("second")
    killed = site.program("Node.js", "killed")
    job = held(2)
    killed.kill()
    expire("killed")
    programs = site.program("Python", "python"), site.program("Node.js", "node")
    at(job, State.SUCCEEDED, attempt=2)
    assert list(job.attempts.order_by("number").values_list("outcome", flat=True)) == ["lost", "succeeded"]
    wait_until(lambda: site.readers() == 2, what="both processes of bridges read")
    jobs = [held(1), held(1)]
    first.kill()
    for job in jobs:
        at(job, State.SUCCEEDED, attempt=1)
    jobs = [held(1), held(1)]
    services.broker.kill()
    services.broker.start()
    for job in jobs:
        at(job, State.SUCCEEDED, attempt=1)
    assert all(process.popen.poll() is None for process in (second, *programs))
    assert not DeadMessage.objects.exists()


def held(seconds: float) -> Job:
    """A job that a worker has in its hands."""
    job = submit(count, {"text": "one two", "seconds": seconds})
    wait_until(job.log_lines.exists, what="its worker has begun")
    return job
