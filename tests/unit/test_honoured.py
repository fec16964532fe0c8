"""What a Celery client's message asks of a job: each field of the protocol is honoured, or the message is refused by name."""

import datetime as dt
import re
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from furrow.kinds.results import job_id
from furrow.worker.celery.honoured import Caller, NotHonoured, Sent, caller, headers_of, read

from tests import kinds

ID, GROUP = str(uuid.uuid4()), str(uuid.uuid4())
NOW = dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(hours=1)
HEADERS = {"lang": "py", "task": "kinds.add", "id": ID}
PAGE = Path(__file__).resolve().parents[2] / "docs" / "clients.md"


def message(*body: Any, headers: dict[str, Any] | None = None, **properties: Any) -> Any:
    """As kombu's."""
    payload = body[0] if body else [[1], {}, {}]
    return SimpleNamespace(payload=payload, body=payload, headers={**HEADERS, **(headers or {})}, properties=properties)


def asked(*body: Any, headers: dict[str, Any] | None = None, **properties: Any) -> Sent:
    """What it asks for."""
    sent = message(*body, headers=headers, **properties)
    return read(kinds.add, sent, headers_of(sent), NOW, dt.UTC)


def test_a_message_that_asks_for_nothing_leaves_all_to_the_kind() -> None:
    said = dict.fromkeys(
        ["shadow", "eta", "expires", "group", "group_index", "parent_id", "argsrepr", "kwargsrepr", "stamped_headers"]
    )
    told = asked(headers={**said, "retries": 0, "timelimit": [None, None], "root_id": ID, "stamps": {}}, priority=0)
    assert told == Sent(uuid.UUID(ID), [1], {}, dict.fromkeys(told.options), expired=False)


@pytest.mark.parametrize(
    ("headers", "properties", "options"),
    [
        pytest.param({"eta": LATER.isoformat()}, {}, {"run_at": LATER}, id="eta"),
        pytest.param({"eta": "2026-01-31T13:00:00"}, {}, {"run_at": LATER}, id="eta without a zone"),
        pytest.param({"expires": LATER.isoformat()}, {"expiration": "7"}, {"expires": LATER}, id="expires"),
        pytest.param({}, {"expiration": "3600000"}, {"expires": LATER}, id="expiration"),
        pytest.param({}, {"priority": 9}, {"priority": 0}, id="priority"),
        pytest.param({}, {"priority": 200}, {"priority": 0}, id="priority beyond nine"),
        pytest.param({}, {"priority": 1}, {"priority": 8}, id="low priority"),
        pytest.param({"group": GROUP, "group_index": 3}, {}, {"batch": uuid.UUID(GROUP)}, id="group"),
        pytest.param({"group": "mine"}, {}, {"batch": job_id("mine"), "meta": {"celery": {"group": "mine"}}}, id="any group"),
        pytest.param({"retries": 2}, {}, {"max_attempts": kinds.add.retry.max_attempts - 2}, id="retries"),
        pytest.param({"retries": 200}, {}, {"max_attempts": 1}, id="many retries"),
        pytest.param({"shadow": "nice"}, {}, {"meta": {"celery": {"shadow": "nice"}}}, id="shadow"),
        pytest.param({"origin": "gen1@web"}, {}, {"meta": {"celery": {"origin": "gen1@web"}}}, id="origin"),
        pytest.param({"root_id": GROUP}, {}, {"meta": {"celery": {"root_id": GROUP}}}, id="root_id"),
        pytest.param({"parent_id": GROUP}, {}, {"meta": {"celery": {"parent_id": GROUP}}}, id="parent_id"),
        pytest.param(
            {"stamped_headers": ["by"], "stamps": {"by": "ada"}, "by": "ada"},
            {},
            {"meta": {"celery": {"stamps": {"by": "ada"}, "headers": {"by": "ada"}}}},
            id="stamps",
        ),
        pytest.param(
            {"tenant": "acme", "x-death": []}, {}, {"meta": {"celery": {"headers": {"tenant": "acme"}}}}, id="headers"
        ),
        pytest.param({"timelimit": [None, None]}, {}, {}, id="timelimit of nothing"),
        pytest.param(
            {"replaced_task_nesting": 1, "argsrepr": "(1,)", "kwargsrepr": "{}", "lang": "go"}, {}, {}, id="no effect"
        ),
    ],
)
def test_what_a_job_can_do_it_does(headers: dict[str, Any], properties: dict[str, Any], options: dict[str, Any]) -> None:
    told = asked(headers=headers, **properties)
    assert {name: value for name, value in told.options.items() if value is not None} == options
    assert not told.expired


@pytest.mark.parametrize(
    ("body", "headers", "properties", "reason"),
    [
        pytest.param([[1], {}, {"callbacks": [1]}], {}, {}, "its link is no list of signatures", id="callbacks"),
        pytest.param([[1], {}, {"errbacks": "x"}], {}, {}, "its link_error is no list of signatures", id="errbacks"),
        pytest.param([[1], {}, {"chain": [{}]}], {}, {}, "its chain is no list of signatures", id="chain"),
        pytest.param([[1], {}, {"chord": {"task": "t"}}], {"group": GROUP}, {}, "it carries a chord, whose parts", id="chord"),
        pytest.param([[1], {}, {}], {"timelimit": [9, None]}, {}, "its time_limit is 9 s (the kind's: none)", id="time_limit"),
        pytest.param([[1], {}, {}], {"timelimit": [None, 5]}, {}, "its soft_time_limit is 5 s", id="soft_time_limit"),
        pytest.param([[1], {}, {}], {"id": "x" * 256}, {}, "its id is 'xxx", id="id"),
        pytest.param([[1], {}, {}], {"id": 7}, {}, "its id is 7: it must be a text of at most 255", id="id that is no text"),
        pytest.param([[1], {}, {}], {"id": None}, {}, "it has no id", id="no id"),
        pytest.param([[1], {}, {}], {"group": ["g"]}, {}, "its group is ['g']: it must be a text", id="group"),
        pytest.param([[1], {}, {}], {"eta": "noon"}, {}, "its header eta is 'noon', and no time", id="eta"),
        pytest.param([[1], {}, {}], {"expires": 7}, {}, "its header expires is 7, and no time", id="expires"),
        pytest.param([[1], {}, {}], {"retries": "x"}, {}, "its header retries is 'x'", id="retries"),
        pytest.param([[1], {}, {}], {}, {"expiration": "soon"}, "its expiration is 'soon'", id="expiration"),
        pytest.param([{}, [], {}], {}, {}, "its arguments are no list and no object", id="arguments"),
        pytest.param([1, 2], {}, {}, "its body is no list of", id="body"),
    ],
)
def test_what_a_job_cannot_do_is_named(body: Any, headers: dict[str, Any], properties: dict[str, Any], reason: str) -> None:
    with pytest.raises(NotHonoured) as refused:
        asked(body, headers=headers, **properties)
    assert str(refused.value).startswith(reason)


@pytest.mark.parametrize("id", ["seven", "x" * 255, "order 7/2026 ü"])
def test_any_text_is_an_id_and_always_the_same_jobs(id: str) -> None:
    told = asked(headers={"id": id})
    assert told.id == job_id(id) == asked(headers={"id": id}).id != asked(headers={"id": f"{id[1:]}."}).id
    assert told.options["meta"] == {"celery": {"id": id}}
    assert asked(headers={"id": ID, "root_id": ID}).options["meta"] is None


def test_all_that_a_job_cannot_do_is_named_at_once() -> None:
    with pytest.raises(NotHonoured, match=r"it carries a chord, .*; its link and chain is no list .*; its time_limit is 9 s"):
        asked([[1], {}, {"callbacks": [1], "chain": [1], "chord": {"task": "t"}}], headers={"timelimit": [9, None]})


def test_what_comes_after_it_is_read() -> None:
    one = {"task": "kinds.add", "args": [1]}
    told = asked([[1], {}, {"callbacks": [one], "errbacks": [one], "chain": [one], "chord": None}])
    assert told.followers == {"link": [one], "link_error": [one], "chain": [one]}


def test_limits_that_are_the_kinds_own_are_no_difference() -> None:
    sent = message(headers={"timelimit": [kinds.hard_sleeper.timeout, kinds.hard_sleeper.soft_timeout]})
    assert read(kinds.hard_sleeper, sent, headers_of(sent), NOW, dt.UTC).options["meta"] is None


@pytest.mark.parametrize("headers", [{"expires": NOW.isoformat()}, {"eta": "2026-01-31T14:00", "expires": LATER.isoformat()}])
def test_what_has_expired_when_it_comes_is_said(headers: dict[str, Any]) -> None:
    told = asked(headers=headers)
    assert (told.expired, told.options["expires"]) == (True, None)


def test_the_protocol_of_celery_before_4_is_read_as_well() -> None:
    body = {
        "task": "kinds.add",
        "id": ID,
        "args": [3],
        "kwargs": {"b": 4},
        "retries": 1,
        "taskset": GROUP,
        "eta": LATER.isoformat(),
    }
    old = SimpleNamespace(payload=body, body=body, headers={}, properties={})
    told = read(kinds.add, old, headers_of(old), NOW, dt.UTC)
    assert (told.id, told.args, told.kwargs) == (uuid.UUID(ID), [3], {"b": 4})
    assert (told.options["run_at"], told.options["batch"]) == (LATER, uuid.UUID(GROUP))
    link = {"task": "kinds.add"}
    assert read(kinds.add, message({**body, "callbacks": [link]}), HEADERS, NOW, dt.UTC).followers == {"link": [link]}


def test_who_waits_for_its_end() -> None:
    sent = message(reply_to="mine", correlation_id=ID)
    assert caller(sent, sent.headers) == Caller(ID, "mine")
    assert caller(message(), HEADERS) == Caller(ID, "")
    assert caller(message(), {**HEADERS, "lang": "js"}) == Caller(ID, ID.replace("-", "")), "where celery-node looks"
    assert caller(sent, {"ignore_result": True}) is None
    for reply_to in ("celery", "default"):
        with pytest.raises(NotHonoured, match="is a queue of jobs or tasks"):
            caller(message(reply_to=reply_to), HEADERS)


def test_the_page_says_of_every_field_what_becomes_of_it() -> None:
    with Celery("elsewhere", set_as_current=False) as client:
        sent = client.amqp.as_task_v2(ID, "kinds.add")
    fields = {*sent.headers, *sent.properties, *sent.body[2], "args", "kwargs"}
    kombus = {"priority", "expiration", "delivery_mode", "content_type", "content_encoding", "compression"}
    table = PAGE.read_text().partition("| field |")[2].partition("\n\n")[0]
    first = re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)
    assert {name for cell in first for name in re.findall(r"`(\w+)`", cell)} == fields | kombus
