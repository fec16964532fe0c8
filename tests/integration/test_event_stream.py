"""``GET /api/events``: published events in the order of their publication, each once, however often a reader comes back."""

import datetime as dt
import http.client
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.db import OperationalError, connection, transaction
from django.db.models import F, Q
from django.test import AsyncClient, Client
from django.utils import timezone
from furrow import publish, statements
from furrow.actions import tokens
from furrow.events import published
from furrow.events.published import Place
from furrow.models import AuditEntry, Event
from furrow.models.job import new_id
from furrow.streaming import events as streaming
from furrow.streaming.events import EventReader, Wanted
from furrow.topics import TEST
from furrow.web import waiters

from tests.api import Api, fields
from tests.people import login, somebody
from tests.races import together
from tests.rows import HOUR, lead
from tests.stack import Stack, wait_until

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("unlimited"), pytest.mark.filterwarnings("ignore:No directory at")]
PAGE = Path(__file__).resolve().parents[2] / "docs" / "events.md"
WEEK = dt.timedelta(days=7)


def marked(*names: str, **columns: Any) -> list[int]:
    """Events of these names, marked as published together."""
    ids = [Event.objects.create(name=name, **columns).pk for name in names]
    mark(*ids)
    return ids


def mark(*ids: int) -> None:
    """As the leading dispatcher does, in a transaction of its own."""
    term = lead()
    assert term
    with transaction.atomic():
        assert statements.on(connection).mark_published(connection, ids, term) == len(ids)


class Stream:
    """A reader that comes back with the last id that it got."""

    def __init__(self, get: Callable[..., Any], query: str = "") -> None:
        self._get, self._query, self.last, self.missed = get, query, "", ""

    def read(self, **headers: str) -> list[int]:
        """Ids of the events of one connection."""
        answer = self._get(f"events?wait=0&{self._query}", **({"Last-Event-ID": self.last} if self.last else {}), **headers)
        assert answer.status_code == 200, answer.content
        return self.take(b"".join(answer.streaming_content).decode())

    def take(self, text: str) -> list[int]:
        """Ids of the events in a text."""
        found = []
        for name, id, data in events(text):
            self.last = id or self.last
            if name == "missed":
                self.missed = data["reason"]
            elif data:
                found.append(int(data["id"]))
        return found


def events(text: str) -> Iterator[tuple[str, str, Any]]:
    """Name, id and data of the blocks of a stream."""
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if line)
        yield lines.get("event", ""), lines.get("id", ""), json.loads(lines.get("data", "null"))


@pytest.fixture
def api(admin_user: User, nobody_runs: None) -> Api:
    """A superuser's token."""
    return Api(admin_user)


# --- Order ------------------------------------------------------------------------------------------------------------


def test_events_come_in_the_order_of_their_publication_each_once(api: Api) -> None:
    marked("order.before")
    stream = Stream(api.get)
    assert stream.read() == []
    assert stream.last  # so that nothing is lost until it comes back
    first, second, third = (Event.objects.create(name=f"order.{n}").pk for n in range(3))
    mark(third)
    assert stream.read() == [third]
    mark(second, first)
    fourth, *_ = marked("order.4")
    assert stream.read() == [first, second, fourth]
    assert stream.read() == []


def test_an_event_is_told_as_it_is_published(api: Api) -> None:
    stream, job = Stream(api.get), new_id()
    stream.read()
    [id] = marked("job.kinds.add.failed", job=job, number=3, data={"error": "a\nb\u2028c", "to": "Jürgen"})
    answer = api.get("events?wait=0", **{"Last-Event-ID": stream.last})
    assert (answer["Content-Type"], "ETag" in answer) == ("text/event-stream", False)
    told = [data for _, _, data in events(b"".join(answer.streaming_content).decode()) if data]
    assert [(one["id"], one["type"], one["subject"], one["number"]) for one in told] == [
        (str(id), "job.kinds.add.failed", str(job), 3)
    ]
    assert told[0]["data"] == {"error": "a\nb\u2028c", "to": "Jürgen"}


def test_a_clock_that_was_set_back_leaves_the_order_of_marks(api: Api) -> None:
    [before] = marked("a")
    Event.objects.filter(pk=before).update(published_at=timezone.now() + HOUR)
    stream = Stream(api.get)
    stream.read()
    [one], [two] = marked("b"), marked("c")
    assert list(Event.objects.order_by("published_at").values_list("pk", flat=True)) == [before, one, two]
    assert stream.read() == [one, two]


def test_a_mark_on_the_full_second_is_told_once(api: Api) -> None:
    stream = Stream(api.get)
    stream.read()
    [id] = marked("a")
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE furrow_event SET published_at = %s",
            ["2020-01-01 18:00:00.000000+00:00" if connection.vendor == "postgresql" else "2020-01-01 18:00:00.000000"],
        )
    stream.last = published.written(published.BEGINNING, timezone.now())
    assert [stream.read(), stream.read()] == [[id], []]


def test_a_time_that_nobody_marked_neither_ends_a_stream_nor_the_marks(api: Api) -> None:
    Event.objects.create(name="strange", published_at=timezone.now() + dt.timedelta(days=3000))
    stream = Stream(api.get)
    stream.read()
    [one] = marked("a")
    assert stream.read() == [one]
    assert Event.objects.get(pk=one).published_at < timezone.now() + HOUR  # type: ignore[operator]


@pytest.mark.usefixtures("committed")
def test_a_batch_whose_mark_commits_late_is_not_passed_by() -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    first, second, term = Event.objects.create(name="a").pk, Event.objects.create(name="b").pk, lead()
    assert term
    reader = EventReader(Wanted())
    stream = Stream(lambda: None)
    stream.take(reader.read())
    locked, seen, go = threading.Event(), list[list[int]](), threading.Event()

    def late() -> None:
        with transaction.atomic():
            statements.on(connection).mark_published(connection, [first], term)
            locked.set()
            assert go.wait(60)

    def soon() -> None:
        assert locked.wait(60)
        statements.on(connection).mark_published(connection, [second], term)

    def look() -> None:
        assert locked.wait(60)
        wait_until(
            lambda: _waits_for_a_lock() or Event.objects.get(pk=second).published_at, what="the second is there, or waits"
        )
        seen.append(stream.take(reader.read()))
        go.set()

    together(late, soon, look)
    seen.append(stream.take(reader.read()))
    assert seen == [[], [first, second]]


def _waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))"
        )
        return bool(cursor.fetchone()[0])


def test_many_events_come_in_parts_and_those_that_are_not_wanted_move_the_place(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "SCAN", 4)
    monkeypatch.setattr(streaming, "AT_ONCE", 2)
    reader, stream = EventReader(Wanted(["yes"])), Stream(lambda: None)
    stream.take(reader.read())
    ids = marked(*["no"] * 9, "yes", "yes", "yes", "no", "yes")
    told, lasts = list[int](), set[str]()
    for _ in range(9):
        told += stream.take(reader.read())
        lasts.add(stream.last)
    assert told == [ids[9], ids[10], ids[11], ids[13]]
    assert len(lasts) >= 4
    assert Stream(api.get, "name=yes").take("") == []


# --- Which ------------------------------------------------------------------------------------------------------------


def test_names_jobs_and_the_kinds_of_a_token_narrow_the_stream(api: Api) -> None:
    job, other = new_id(), new_id()
    narrow = Api(User.objects.create(username="narrow", is_superuser=True), kinds=["kinds.add"])
    streams = {
        "": Stream(api.get),
        "names": Stream(api.get, "name=order.*&name=job.%23.failed"),
        "job": Stream(api.get, f"job={job}"),
        "both": Stream(api.get, f"job={job}&job={other}&name=%23.failed"),
        "token": Stream(narrow.get),
    }
    for stream in streams.values():
        stream.read()
    [order] = marked("order.paid")
    [added] = marked("job.kinds.add.began", job=job, number=1)
    [failed] = marked("job.kinds.add.failed", job=job, number=2)
    [others] = marked("job.kinds.adds.failed", job=other, number=1)
    marked(TEST)
    assert {name: stream.read() for name, stream in streams.items()} == {
        "": [order, added, failed, others],
        "names": [order, failed, others],
        "job": [added, failed],
        "both": [failed, others],
        "token": [added, failed],
    }


def test_who_may_see_jobs_and_events_follows_them(client: Client, nobody_runs: None) -> None:
    assert client.get("/api/events").status_code == 401
    login(client, "view_job")
    answer = client.get("/api/events")
    assert (answer.status_code, "furrow.view_event" in answer.json()["detail"]) == (403, True)
    User.objects.all().delete()
    login(client, "view_event")
    assert client.get("/api/events").status_code == 403
    User.objects.all().delete()
    login(client, "view_job", "view_event")
    assert client.get("/api/events?wait=0").status_code == 200
    User.objects.all().delete()
    assert Api(somebody("view_job", "view_event"), "submit").get("events").status_code == 403


@pytest.mark.parametrize(
    ("query", "field", "said"),
    [
        ("name=a..b", "name", "is no word of a pattern"),
        ("name=", "name", "must be a text of 1 to 255 bytes"),
        (f"name={'x' * 300}", "name", "must be a text of 1 to 255 bytes"),
        ("&".join(["name=x"] * 51), "name", "50"),
        ("job=x", "job.0", "UUID"),
        ("wait=60", "wait", "25"),
        *(
            (f"after={text}", "after", "is no id of this stream")
            for text in ("x", "1", "1.2", "1.2.3.4", "g.1.1", "f" * 16 + ".1.1")
        ),
    ],
)
def test_what_cannot_be_is_refused_by_name(api: Api, query: str, field: str, said: str) -> None:
    found = fields(api.get(f"events?{query}"))
    assert said in found.get(field, ""), found


def test_a_wrong_id_and_ten_thousand_patterns_are_refused(api: Api) -> None:
    assert "no id of this stream" in fields(api.get("events", **{"Last-Event-ID": "81"}))["Last-Event-ID"]
    assert api.get("events?" + "&".join(["name=x"] * 10_000)).status_code in (400, 422)
    assert api.get("events?names=x").status_code == 422


# --- What is not there any more ---------------------------------------------------------------------------------------


def test_who_was_away_for_longer_than_events_are_kept_is_told_so(api: Api) -> None:
    [last], long_ago = marked("order.paid"), timezone.now() - 2 * WEEK
    Event.objects.update(published_at=long_ago)
    stream = Stream(api.get)
    stream.last = published.written(Place(long_ago, last), long_ago)
    [new] = marked("order.sent")
    assert stream.read() == [new]
    assert "EVENT_RETENTION" in stream.missed
    stream.missed = ""
    assert (stream.read(), stream.missed) == ([], "")


def test_who_only_waited_is_not_told_so_though_its_last_event_is_gone(api: Api) -> None:
    [gone] = marked("order.paid")
    Event.objects.update(published_at=timezone.now() - 2 * WEEK)
    stream = Stream(api.get)
    assert stream.read() == []  # it has looked now
    Event.objects.filter(pk=gone).delete()
    [new] = marked("order.sent")
    assert (stream.read(), stream.missed) == ([new], "")


def test_an_id_of_another_database_is_told_and_begins_at_the_newest(api: Api) -> None:
    marked("order.paid")
    stream = Stream(api.get)
    stream.last = published.written(Place(timezone.now() + HOUR, 7), timezone.now())
    assert stream.read() == []
    assert "not in this database" in stream.missed
    [new] = marked("order.sent")
    assert stream.read() == [new]


def test_events_are_kept_from_their_publication_on(nobody_runs: None) -> None:
    [late] = marked("order.paid")
    Event.objects.update(created_at=timezone.now() - 2 * WEEK)  # RabbitMQ was away for so long
    statements.on(connection).prune_events(connection, WEEK.total_seconds(), 0, 9)
    assert Event.objects.filter(pk=late).exists()
    Event.objects.update(published_at=F("created_at"))
    statements.on(connection).prune_events(connection, WEEK.total_seconds(), 0, 9)
    assert not Event.objects.filter(pk=late).exists()


# --- Little room ------------------------------------------------------------------------------------------------------


def test_with_too_many_streams_the_others_poll(api: Api) -> None:
    stream = Stream(api.get)
    stream.read()
    [id] = marked("order.paid")
    entered = 0
    try:
        while waiters.enter():
            entered += 1
        answer = api.get("events", **{"Last-Event-ID": stream.last})
        text = b"".join(answer.streaming_content).decode()
    finally:
        for _ in range(entered):
            waiters.leave()
    assert text.startswith("retry: 2000\n\n")
    assert stream.take(text) == [id]


def test_while_the_database_is_away_a_browser_is_told_to_come_back(api: Api) -> None:
    def away(execute: Any, *args: Any) -> Any:
        raise OperationalError("away")

    with connection.execute_wrapper(away):
        assert api.get("events").status_code == 503
        answer = api.get("events", Accept="text/event-stream")
    assert (answer.status_code, answer.content) == (200, b"retry: 2000\n\n")


def test_a_stream_by_asgi_has_the_same_events(api: Api) -> None:
    stream = Stream(api.get)
    stream.read()
    [id] = marked("order.paid")

    async def read() -> str:
        headers = {"Authorization": f"Bearer {api.secret}", "Last-Event-ID": stream.last}
        answer: Any = await AsyncClient().get("/api/events?wait=0.2", headers=headers)
        return b"".join([part async for part in answer.streaming_content]).decode()

    assert stream.take(async_to_sync(read)()) == [id]


# --- With a dispatcher ------------------------------------------------------------------------------------------------


@pytest.fixture
def secret(stack: Stack) -> Iterator[str]:
    """Of a token, while everything runs."""
    token, found = tokens.make("follower", user=User.objects.get(username=stack.admin[0]), scopes=["read"])
    yield found
    token.delete()
    AuditEntry.objects.filter(Q(token=str(token)) | Q(action="create token")).delete()


def test_a_reader_that_loses_the_connection_again_and_again_gets_each_event_once(stack: Stack, secret: str) -> None:
    had, ids, stream = list[int](), list[int](), Stream(lambda: None)
    wait_until(lambda: _read_some(stack, secret, stream, had) or stream.last, what="it follows")
    for _ in range(6):
        ids += [publish("followed", {"n": n}) for n in range(20)]
        _read_some(stack, secret, stream, had)
    wait_until(lambda: _read_some(stack, secret, stream, had) and len(had) >= len(ids), what="all came")
    assert sorted(had) == ids
    assert not stream.missed


def test_the_program_of_the_page_follows(stack: Stack, secret: str, tmp_path: Path) -> None:
    programs = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    program = next(text for text in programs if text.startswith("# follow.py"))
    environ, said = {**os.environ, "FURROW": f"{stack.web_url.rstrip('/')}/api", "TOKEN": secret}, tmp_path / "said"
    with said.open("w") as file, subprocess.Popen([sys.executable, "-c", program], env=environ, stdout=file) as process:
        try:
            wait_until(lambda: publish("order.paid", {"order": 7}) and "order.paid" in said.read_text(), what="it is told")
        finally:
            process.kill()
    assert json.loads(said.read_text().splitlines()[0])["data"] == {"order": 7}


def _read_some(stack: Stack, secret: str, stream: Stream, had: list[int]) -> bool:
    """Read until some events came or the stream is over, and leave; whether any came."""
    before = len(had)
    link = http.client.HTTPConnection(urlsplit(stack.web_url).netloc, timeout=60)
    headers = {"Authorization": f"Bearer {secret}", **({"Last-Event-ID": stream.last} if stream.last else {})}
    try:
        link.request("GET", "/api/events?name=followed&wait=1", headers=headers)
        block = ""
        for line in link.getresponse():
            block += line.decode()
            if line == b"\n":
                had += stream.take(block)
                block = ""
                if len(had) - before >= 9:
                    break
    finally:
        link.close()
    return len(had) > before
