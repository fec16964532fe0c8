"""What a program that takes jobs of external kinds over AMQP may ask, and how it is answered."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pika
import pytest
from django.conf import settings
from django.test import override_settings
from furrow import Job, State, submit
from furrow.bridges import desk
from furrow.bridges.process import Bridges
from furrow.external.ends import RowsLocked
from furrow.external.fence import Run
from furrow.models import DeadMessage, Worker

from tests import external_kinds
from tests.bridges import stranger
from tests.external_kinds import alone, plain, resize
from tests.stack import wait_until

external_kinds.forget()
pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]


class Program:
    """Knows only RabbitMQ."""

    def __init__(self, channel: Any, bridges: Bridges) -> None:
        self.bridges = bridges
        self._channel = channel
        self._queue = channel.queue_declare("", exclusive=True).method.queue

    def send(self, type: str, body: Any, **properties: Any) -> None:
        about = {"type": type, "correlation_id": "7", "reply_to": self._queue, **properties}
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._channel.basic_publish("furrow.work", "", text, pika.BasicProperties(**about))

    def answers(self) -> list[tuple[str, Any]]:
        """Type and body of each that is there."""
        found = []
        while (answer := self._channel.basic_get(self._queue, auto_ack=True))[0] is not None:
            assert answer[1].correlation_id == "7"
            found.append((answer[1].type, json.loads(answer[2])))
        return found

    def answer(self) -> tuple[str, Any]:
        """The next one, while the bridges' process works."""
        found: list[tuple[str, Any]] = []

        def came() -> bool:
            self.bridges._step()
            found.extend(self.answers())
            return bool(found)

        wait_until(came, what="an answer")
        (one,) = found
        return one

    def __call__(self, type: str, body: Any) -> tuple[str, Any]:
        self.send(type, body)
        return self.answer()


@pytest.fixture
def ask() -> Iterator[Program]:
    chosen = override_settings(FURROW={**settings.FURROW, "EXTERNAL_OVER_AMQP": True})
    with external_kinds.known(), chosen, stranger("furrow.work") as channel:
        channel.queue_delete("furrow.work")
        bridges = Bridges([])
        bridges._step()
        yield Program(channel, bridges)
        bridges._close()
        channel.exchange_delete("furrow.work")


def until_waiting(bridges: Bridges, claims: int = 1) -> None:
    """So many claims wait there."""

    def waits() -> bool:
        bridges._step()
        return len(bridges._desk._waiting) == claims

    wait_until(waits, what="a claim waits")


def test_a_run_from_claim_to_end_over_amqp(ask: Program) -> None:
    job = submit(resize, {"path": "a.png"}, meta={"tenant": "acme"})
    said, claimed = ask("claim", {"name": "one", "kinds": ["images.resize"], "limit": 2})
    run = {"id": str(job.pk), "attempt": 1}
    about = {"kind": "images.resize", "max_attempts": 3, "meta": {"tenant": "acme"}, "timeout": 60}
    assert (said, claimed["jobs"]) == ("done", [{**run, **about, "arguments": {"path": "a.png", "width": 100, "key": ""}}])
    worker = {"worker": claimed["worker"]}
    pulse = {"lives": True, "lease": claimed["lease"], "cancelled": [], "lost": [], "stop": False}
    assert ask("heartbeat", {**worker, "runs": [run]}) == ("done", pulse)
    assert ask("log", {"lines": [{**run, "message": "half", "level": "warning"}]}) == ("done", {"recorded": 1})
    assert ask("progress", {"runs": [{**run, "fraction": 0.5}]}) == ("done", {"recorded": 1})
    ended = {**run, "outcome": "succeeded", "result": {"path": "b.png", "bytes": 3}}
    for _ in range(2):
        assert ask("finish", {"runs": [ended]}) == ("done", {"runs": [{**run, "state": "succeeded", "error": ""}]})
    said, over = ask("finish", {"runs": [{**run, "outcome": "failed", "error": "too late"}]})
    assert (said, over["errors"]) == ("over", {"runs.0": f"attempt 1 of job {job.pk} is over: the job is succeeded"})
    assert ask("leave", worker) == ("done", {"left": True})
    job.refresh_from_db()
    assert (job.result, job.log_lines.get().level) == ({"path": "b.png", "bytes": 3}, 30)
    assert not DeadMessage.objects.exists()


def test_a_claim_waits_for_a_job_and_others_are_answered_beside_it(ask: Program) -> None:
    ask.send("claim", {"name": "one", "kinds": ["words.plain"], "wait": 25})
    until_waiting(ask.bridges)
    assert ask("leave", {"worker": str(uuid.uuid4())}) == ("done", {"left": False})
    job = submit(plain)
    said, claimed = ask.answer()
    assert (said, [one["id"] for one in claimed["jobs"]]) == ("done", [str(job.pk)])
    assert ask("claim", {"name": "two", "wait": 0.01})[1]["jobs"] == []


def test_where_too_many_wait_the_first_is_told_to_ask_again(ask: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "MOST_WAITING", 1)
    ask.send("claim", {"name": "one", "kinds": ["words.plain"], "wait": 25})
    until_waiting(ask.bridges)
    said, claimed = ask("claim", {"name": "two", "kinds": ["words.plain"], "wait": 25})
    assert (said, claimed["jobs"], Worker.objects.get(pk=claimed["worker"]).node) == ("done", [], "one (external)")
    until_waiting(ask.bridges)


def test_jobs_for_a_worker_that_is_gone_are_handed_back(ask: Program) -> None:
    """Its queue ended with it. The job's attempt does not count."""
    job = submit(plain)
    ask.send("claim", {"name": "gone"}, reply_to="nobody's")
    wait_until(
        lambda: ask.bridges._step() or Worker.objects.filter(stopped_at__isnull=False).exists(), what="it is handed back"
    )
    job.refresh_from_db()
    assert job.state == State.PENDING
    _, claimed = ask("claim", {"name": "lives"})
    (run,) = claimed["jobs"]
    job.refresh_from_db()
    assert (run["id"], job.counted_attempts) == (str(job.pk), 1)


def test_a_request_whose_process_died_is_answered_by_another(ask: Program) -> None:
    """Before it was acknowledged: a claim that waits, and an end that is settled already."""
    job = submit(plain)
    (run,) = ask("claim", {"name": "one"})[1]["jobs"]
    ask.send("claim", {"name": "two", "wait": 25})
    until_waiting(ask.bridges)
    ask.bridges._close()
    arrived = []
    ask.send("finish", {"runs": [{"id": run["id"], "attempt": 1, "outcome": "succeeded", "result": 5}]})
    wait_until(lambda: arrived.extend(ask.bridges._inbox.poll(1.0, 10)) or len(arrived) == 2, what="both have come")
    ask.bridges._desk.serve(arrived)
    ((said, first),) = ask.answers()
    assert (said, Job.objects.get(pk=job.pk).result) == ("done", 5)
    ask.bridges._close()
    assert ask.answer() == ("done", first)
    until_waiting(ask.bridges)
    other = submit(plain)
    assert [one["id"] for one in ask.answer()[1]["jobs"]] == [str(other.pk)]


@pytest.mark.parametrize(
    ("type", "body", "reason"),
    [
        ("claim", b"\xff{", "body: "),
        ("claim", [], "body: "),
        ("claims", {}, "its type is 'claims', which is no operation; did you mean 'claim'?"),
        ("", {}, "its type is ''"),
        ("claim", {"name": "n", "colour": 1}, "colour: "),
        ("finish", {"runs": [{"id": str(uuid.uuid4()), "attempt": 1, "outcome": "lost"}]}, "runs: at 0.outcome: "),
        ("heartbeat", {"worker": "me"}, "worker: "),
    ],
)
def test_what_is_no_request_is_answered_and_kept(ask: Program, type: str, body: Any, reason: str) -> None:
    said, answer = ask(type, body)
    assert said == "refused"
    assert answer["error"].startswith(reason)
    dead = DeadMessage.objects.get()
    assert (dead.bridge, dead.exchange) == ("furrow.work", "furrow.work")
    assert reason in dead.reason


@pytest.mark.parametrize("reply_to", ["", "default", "celery"])
def test_no_answer_goes_where_jobs_are_sent(ask: Program, reply_to: str) -> None:
    """And a claim says where its jobs go."""
    job = submit(plain)
    ask.send("claim", {"name": "n"}, reply_to=reply_to)
    wait_until(lambda: ask.bridges._step() or DeadMessage.objects.exists(), what="it is kept")
    assert "reply_to" in DeadMessage.objects.get().reason
    job.refresh_from_db()
    assert job.state == State.PENDING


def test_a_kind_that_is_not_external_is_refused_by_name(ask: Program) -> None:
    said, answer = ask("claim", {"name": "n", "kinds": ["words.plains"]})
    assert said == "refused"
    assert answer["error"].startswith("'words.plains' is no external kind here; did you mean 'words.plain'?")
    assert not DeadMessage.objects.exists()


def test_who_does_not_ask_for_a_kind_does_not_hold_up_who_does(ask: Program) -> None:
    """Several wait, each for its own kinds."""
    ask.send("claim", {"name": "one", "kinds": ["words.alone"], "wait": 25})
    ask.send("claim", {"name": "two", "kinds": ["words.plain", "images.resize"], "wait": 25})
    until_waiting(ask.bridges, claims=2)
    job = submit(plain)
    assert [one["id"] for one in ask.answer()[1]["jobs"]] == [str(job.pk)]
    assert alone.name in {kind for request in ask.bridges._desk._waiting for kind in request.claiming.kinds}  # type: ignore[union-attr]


def test_an_end_whose_row_is_locked_is_to_be_told_again(ask: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(uuid.uuid4(), 1)

    def locked(given: Any, kinds: Any) -> Any:
        raise RowsLocked([run])

    monkeypatch.setitem(desk.OPERATIONS, "finish", locked)
    said, answer = ask("finish", {"runs": [{"id": str(run.id), "attempt": 1, "outcome": "succeeded"}]})
    assert (said, "tell all again" in answer["error"]) == ("again", True)
    assert not DeadMessage.objects.exists()
