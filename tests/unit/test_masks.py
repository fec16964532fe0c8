"""What a handler tells of its secret arguments is dots before it leaves the pool process."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from furrow.kinds.masks import Masks
from furrow.kinds.secret import MASK
from furrow.worker import channel
from furrow.worker.child.capture import JobLogHandler

from tests.unit.test_runner_results import run

TOKEN, PIN = 'p\'ss/w\u00f6rd\n"2"', 4711
ARGUMENTS = json.dumps({"token": {"$secret": TOKEN}, "pin": {"$secret": PIN}})


@pytest.mark.parametrize("how", ["result", "error", "snooze", "cause"])
def test_a_handler_that_tells_its_secrets(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(channel, "reports", SimpleNamespace(send=told.append), raising=False)
    monkeypatch.setattr(channel, "stop_requests", channel.StopRequests(), raising=False)
    JobLogHandler.install()
    end = run("kinds.leaks", json.dumps({**json.loads(ARGUMENTS), "how": how}))
    texts = [[part for part in one if isinstance(part, str) and part != end["id"]] for one in told]  # times have digits too
    ended = {name: value for name, value in end.items() if isinstance(value, str) and name not in ("id", "fingerprint")}
    kept = json.dumps([texts, ended], ensure_ascii=False)
    assert kept.count(MASK) >= 6
    for hidden in ("4711", "p'ss", "p\\'ss", "w\u00f6rd", "w%C3%B6rd"):
        assert hidden not in kept.replace("4712", "")
    if how == "result":
        assert json.loads(end["result"]) == {MASK: [MASK, MASK, {"deep": f"https://u:{MASK}@host"}], "pin": 4712}


@pytest.mark.parametrize(
    ("secret", "text", "kept"),
    [
        ("hunter22", "xhunter22y", f"x{MASK}y"),
        ("abc", "abc abcd (abc) ABC", f"{MASK} abcd ({MASK}) ABC"),
        ("12345678", "12345678 112345678", f"{MASK} 112345678"),
        (4711, "pin_4711 is not 47112", f"pin_{MASK} is not 47112"),
        (1.5, "1.5", MASK),
        ("ab", "ab", "ab"),
        ("", "", ""),
        (None, "None", "None"),
        (True, "true True", "true True"),
        ({"a": ["inner1234", {"b": 99887}]}, "inner1234 99887 a", f"{MASK} {MASK} a"),
        ("-----BEGIN-----\n  line of key 1\nline of key 2\n", "  line of key 1\r\nline of key 2", f"  {MASK}\r\n{MASK}"),
        (".*secret(", ".*secret( xxsecret(", f"{MASK} xxsecret("),
        ("tab\there", "'tab\\there'", f"'{MASK}'"),
    ],
)
def test_what_is_found(secret: Any, text: str, kept: str) -> None:
    assert Masks(json.dumps({"x": {"$secret": secret}})).text(text) == kept


def test_a_result_stays_json() -> None:
    masks = Masks(json.dumps({"x": {"$secret": '":"'}, "y": {"$secret": 123}}))
    assert json.loads(masks.json('{"a":":","b":"\\":\\"","c":123,"d":1123,"e":[true,null]}') or "") == {
        "a": ":", "b": MASK, "c": MASK, "d": 1123, "e": [True, None],
    }  # fmt: skip
    assert masks.json('{"a":1}') == '{"a":1}'
    assert masks.json(None) is None
    assert masks.json("[" * 100_000 + "123" + "]" * 100_000) == json.dumps(MASK, ensure_ascii=False)


def test_without_secrets_nothing_is_looked_for() -> None:
    assert Masks('{"x": "hunter22"}').text("hunter22") == "hunter22"
