"""Output streams: who may read, from where, what a reader gets, and that it can go on where it was."""

import http.client
import json
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import Permission, User
from django.core import signing
from django.db import OperationalError, connection
from django.template import Context, Template
from django.test import Client
from django.utils import timezone
from furrow import Job, State, output_token, output_url, submit
from furrow.kinds.kind import _kinds
from furrow.models import OutputChunk
from furrow.streaming.reader import AT_ONCE, Reader
from furrow.testing import drain
from furrow.web import waiters

from tests import kinds
from tests.rows import make
from tests.stack import Stack, all_ended, wait_until

Event = tuple[str, str, Any]


def chunks(job: Job, *values: Any, attempt: int = 1, cut: bool = False) -> None:
    """The job's output has these as well."""
    before = OutputChunk.objects.filter(job=job, attempt=attempt).count()
    OutputChunk.objects.bulk_create(
        OutputChunk(job=job, attempt=attempt, number=before + n, at=timezone.now(), value=json.dumps(value), cut=cut)
        for n, value in enumerate(values, start=1)
    )


def events(text: str) -> list[Event]:
    """Name, id and data of the events of a stream."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line)
        if "data" in fields:
            found.append((fields.get("event", "message"), fields.get("id", ""), json.loads(fields["data"])))
    return found


def body(answer: Any) -> str:
    """A stream to its end."""
    return b"".join(answer.streaming_content).decode()


@pytest.fixture
def ended(db: None) -> Job:
    """A job that ended, with output of two attempts."""
    job = make(State.SUCCEEDED, attempt=2)
    chunks(job, "lost", attempt=1)
    chunks(job, "one\n", {"row": 2}, attempt=2)
    return job


# --- Who may read -----------------------------------------------------------------------------------------------------


def test_a_token_reads_its_own_job_until_it_expires(client: Client, ended: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    url, other = output_url(ended, 60), make(State.SUCCEEDED)
    assert client.get(url).status_code == 200
    for wrong, reason in (
        (f"/jobs/{other.pk}/output?token={output_token(ended)}", "for another job"),
        (f"/jobs/{ended.pk}/output?token={output_token(ended)[:-1]}", "not one of ours"),
        (f"/jobs/{ended.pk}/output?token={signing.dumps([str(ended.pk), 2**40], salt='other')}", "not one of ours"),
        (f"/jobs/{ended.pk}/output?token={signing.dumps('x', salt='furrow.output')}", "not one of ours"),
        (f"/jobs/{ended.pk}/output", "a token is missing"),
    ):
        answer = client.get(wrong)
        assert (answer.status_code, reason in answer.content.decode()) == (403, True), wrong
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)
    answer = client.get(url)
    assert (answer.status_code, "the token has expired" in answer.content.decode()) == (403, True)
    for seconds in (0, -1, 10**9):
        with pytest.raises(ValueError, match="a token holds for"):
            output_token(ended, seconds)


def test_who_may_view_jobs_needs_no_token(client: Client, ended: Job) -> None:
    user = User.objects.create_user("somebody")
    client.force_login(user)
    assert client.get(f"/jobs/{ended.pk}/output").status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_job"))
    assert client.get(f"/jobs/{ended.pk}/output").status_code == 200


def test_what_is_not_there_or_no_event_is_refused(client: Client, ended: Job) -> None:
    gone = uuid.uuid4()
    assert client.get(f"/jobs/{gone}/output?token={output_token(gone)}").status_code == 404
    for after in ("x", "1", "1.", "1.2.3", "-1.2", "1" * 40, "\N{ARABIC-INDIC DIGIT ONE}.1"):
        answer = client.get(output_url(ended), {"token": output_token(ended), "after": after})
        assert (answer.status_code, "is no event's id" in answer.content.decode()) == (400, True)
    assert client.post(output_url(ended)).status_code == 405


# --- What a reader gets -----------------------------------------------------------------------------------------------


def test_a_stream_has_all_attempts_in_order_and_the_end(client: Client, ended: Job) -> None:
    answer = client.get(output_url(ended))
    assert (answer["Content-Type"], answer["Cache-Control"]) == ("text/event-stream", "no-cache, no-transform")
    assert events(body(answer)) == [
        ("attempt", "", {"attempt": 1}),
        ("chunk", "1.1", "lost"),
        ("attempt", "", {"attempt": 2}),
        ("chunk", "2.1", "one\n"),
        ("chunk", "2.2", {"row": 2}),
        ("end", "", {"state": "succeeded"}),
    ]


def test_a_line_break_that_another_program_wrote_ends_no_event(client: Client, db: None) -> None:
    job = make(State.SUCCEEDED)
    OutputChunk.objects.create(job=job, attempt=1, number=1, at=timezone.now(), value='{"a":\n\n1,\r"b": 2}')
    told = events(body(client.get(output_url(job))))
    assert told[1:] == [("chunk", "1.1", {"a": 1, "b": 2}), ("end", "", {"state": "succeeded"})]


def test_a_reader_goes_on_after_the_event_that_it_had_last(client: Client, ended: Job) -> None:
    rest = [("chunk", "2.2", {"row": 2}), ("end", "", {"state": "succeeded"})]
    assert events(body(client.get(output_url(ended), headers={"Last-Event-ID": "2.1"}))) == rest
    assert events(body(client.get(f"{output_url(ended)}&after=2.1"))) == rest


def test_a_long_output_is_read_in_parts_and_a_cut_is_shown(client: Client, db: None) -> None:
    job = make(State.FAILED)
    chunks(job, *range(2 * AT_ONCE))
    chunks(job, "cut here", cut=True)
    told = events(body(client.get(output_url(job))))
    assert [data for name, _, data in told if name == "chunk"] == list(range(2 * AT_ONCE))
    assert told[-2:] == [("cut", f"1.{2 * AT_ONCE + 1}", "cut here"), ("end", "", {"state": "failed"})]


def test_progress_is_told_when_it_changed_and_an_attempt_before_its_first_chunk(db: None) -> None:
    job = make(State.RUNNING, progress=0.25, progress_note="a note")
    reader = Reader(job.pk)
    assert events(reader.read()) == [
        ("attempt", "", {"attempt": 1}),
        ("progress", "", {"fraction": 0.25, "note": "a note"}),
    ]
    assert reader.read() == ""
    Job.objects.filter(pk=job.pk).update(attempt=2, progress=None)
    assert events(reader.read()) == [("attempt", "", {"attempt": 2})]
    assert not reader.ended


def test_with_too_many_streams_the_others_poll(client: Client, db: None) -> None:
    job = make(State.RUNNING)
    chunks(job, "so far")
    entered = 0
    try:
        while waiters.enter():
            entered += 1
        text = body(client.get(output_url(job)))
    finally:
        for _ in range(entered):
            waiters.leave()
    assert text.startswith("retry: 2000\n\n")
    assert ("chunk", "1.1", "so far") in events(text)


def test_while_the_database_is_away_a_browser_is_told_to_come_back(client: Client, ended: Job) -> None:
    def away(execute: Any, *args: Any) -> Any:
        raise OperationalError("away")

    with connection.execute_wrapper(away):
        answer = client.get(output_url(ended))
    assert (answer.status_code, answer.content) == (200, b"retry: 2000\n\n")


def test_a_drained_job_has_its_output(db: None) -> None:
    job = submit(kinds.emits, {"chunks": 3})
    drain()
    assert list(OutputChunk.objects.filter(job=job.pk).values_list("value", flat=True)) == [f'"chunk {n};"' for n in range(3)]


def test_the_kind_of_the_documentation_emits_as_it_stands(db: None) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "output.md").read_text()
    (program,) = re.findall(r"^```python\n(# orders/tasks\.py\n.*?)^```$", page, re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {"__name__": "orders.tasks"}
    exec(program.replace("time.sleep(0.5)", ""), names)
    try:
        job = names["answer"].submit(question="What is new?")
        drain()
    finally:
        _kinds.pop(names["answer"].name)
    said = OutputChunk.objects.filter(job=job.pk).values_list("value", flat=True)
    assert "".join(map(json.loads, said)) == Job.objects.get(pk=job.pk).result == "You asked: What is new? "


def test_who_may_view_jobs_reads_the_output_in_the_admin_alone(client: Client, ended: Job) -> None:
    """It needs no address among the project's own."""
    address = f"/admin/furrow/job/{ended.pk}/output/"
    client.force_login(User.objects.create_user("somebody", is_staff=True))
    assert client.get(address).status_code == 403
    client.force_login(User.objects.create_superuser("admin"))
    assert ("chunk", "2.2", {"row": 2}) in events(body(client.get(address)))
    shown = client.get(f"/admin/furrow/job/{ended.pk}/change/").content.decode()
    assert f'data-url="{address}"' in shown


def test_the_template_tag_writes_one_script(ended: Job) -> None:
    text = Template("{% load furrow %}{% job_output job 60 %}").render(Context({"job": ended}))
    assert text.startswith('<script src="/static/furrow/output')
    assert f'data-url="/jobs/{ended.pk}/output?token=' in text


# --- With a worker ----------------------------------------------------------------------------------------------------


@pytest.mark.engine
def test_a_reader_that_loses_the_connection_again_and_again_gets_each_chunk_once(stack: Stack, tmp_path: Any) -> None:
    go_on = tmp_path / "go on"
    job = submit(kinds.emits, {"chunks": 1_000, "first_fails": True, "until": str(go_on), "waits_after": 400})
    path, had = output_url(job), list[Event]()
    wait_until(lambda: OutputChunk.objects.filter(job=job.pk).count() == 401, what="the first part is written")
    while not had or had[-1][0] != "end":
        for event in stream(stack.web_url, path, next((id for _, id, _ in reversed(had) if id), "")):
            had.append(event)
            if len(had) == 350:
                go_on.touch()
            if len(had) in (150, 300, 1_000):
                break
    all_ended()
    first = [data for name, id, data in had if name == "chunk" and id.startswith("1.")]
    second = [data for name, id, data in had if name == "chunk" and id.startswith("2.")]
    assert first == second == [f"chunk {n};" for n in range(1_000)]
    assert [data["attempt"] for name, _, data in had if name == "attempt"][-1] == 2
    assert had[-1] == ("end", "", {"state": "succeeded"})


def stream(url: str, path: str, last: str) -> Iterator[Event]:
    """Events of the job as they come, from after that one, until the stream is over or nobody reads."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    try:
        connection.request("GET", path, headers={"Last-Event-ID": last} if last else {})
        block = ""
        for line in connection.getresponse():
            block += line.decode()
            if line == b"\n":
                yield from events(block)
                block = ""
    finally:
        connection.close()
