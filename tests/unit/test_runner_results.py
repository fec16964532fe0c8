"""In the pool process: what becomes of a handler's return value or exception, and of what it logs."""

import datetime as dt
import decimal
import json
import logging
import uuid
from typing import Any

import pytest
from furrow import current_job
from furrow.errors import Cancelled, ResultError
from furrow.kinds.masks import Masks
from furrow.kinds.returned import result_json
from furrow.kinds.secret import MASK
from furrow.sanitize import clean, cut
from furrow.worker import channel
from furrow.worker.child import runner
from furrow.worker.child.current import Run
from furrow.worker.child.verdict import UNKNOWN_KIND_DELAY
from pytest_django import Settings

from tests import kinds

KEY = uuid.uuid4()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        (0, "0"),
        ("", '""'),
        ({"a": [1, {"b": None}]}, '{"a":[1,{"b":null}]}'),
        (dt.date(2026, 1, 2), '"2026-01-02"'),
        (decimal.Decimal("1.50"), '"1.50"'),
        (KEY, f'"{KEY}"'),
        (kinds.Colour.RED, '"red"'),
        ((1, 2), "[1,2]"),
        ("\\u0000 is only text", '"\\\\u0000 is only text"'),
        ("ü🌱", '"ü🌱"'),
        (["9" * 5_000, '\\"' + "9" * 5_000], f'["{"9" * 5_000}","\\\\\\"{"9" * 5_000}"]'),
    ],
)
def test_a_return_value_as_json(value: Any, text: str | None) -> None:
    assert result_json(kinds.add, value) == text


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (object(), "returned a object that has no JSON form"),
        ({"a": {1, object()}}, "no JSON form"),
        (float("nan"), "NaN"),
        ([float("-inf")], "Infinity"),
        ("a\x00b", "U+0000"),
        ({"\x00": 1}, "U+0000"),
        ("\ud800", "no JSON form"),
        (b"\xff", "no JSON form"),
        (lambda: 1, "no JSON form"),
        ({"a": [-(10**4_300)]}, "an integer of more than 4,300 digits, which cannot be read: return it as text"),
    ],
)
def test_a_return_value_without_a_json_form_is_an_error_that_names_the_kind(value: Any, reason: str) -> None:
    with pytest.raises(ResultError) as refused:
        result_json(kinds.add, value)
    assert str(refused.value).startswith("kinds.add returned")
    assert reason in str(refused.value)


def test_a_result_that_contains_itself_is_an_error() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ResultError, match="no JSON form"):
        result_json(kinds.add, endless)


def test_a_result_that_is_nested_too_deeply_is_an_error() -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(ResultError, match="no JSON form"):
        result_json(kinds.add, deep)


def test_a_large_result_names_its_size_the_limit_and_the_remedy(settings: Settings) -> None:
    settings.FURROW = {**settings.FURROW, "MAX_RESULT_BYTES": 100}
    assert result_json(kinds.add, "x" * 98)
    with pytest.raises(ResultError, match=r"101 bytes of JSON, the limit is 100 \(FURROW\['MAX_RESULT_BYTES'\]\): store large"):
        result_json(kinds.add, "x" * 99)
    with pytest.raises(ResultError, match="104 bytes"):
        result_json(kinds.add, "ü" * 51)


# --- a whole run ------------------------------------------------------------------------------------------------------------


def run(kind: str, arguments: str = "{}", *, attempt: int = 1, excused: int = 0, max_attempts: int = 3) -> dict[str, Any]:
    """Run a job in this process; the settlement by name."""
    fields = (
        "id",
        "attempt",
        "state",
        "outcome",
        "pid",
        "started",
        "finished",
        "delay",
        "result",
        "error",
        "type",
        "traceback",
        "fingerprint",
    )
    return dict(zip(fields, runner.run(str(KEY), kind, arguments, attempt, excused, max_attempts), strict=True))


def test_a_run_that_succeeds() -> None:
    end = run("kinds.add", '{"a": 1}')
    assert (end["id"], end["attempt"], end["state"], end["outcome"]) == (str(KEY), 1, "succeeded", "succeeded")
    assert (end["result"], end["delay"], end["error"], end["traceback"]) == ("2", None, "", "")
    assert end["started"] <= end["finished"]


def test_a_run_that_fails_waits_as_the_policy_says_until_no_attempt_is_left() -> None:
    end = run("kinds.fails", '{"message": "a\\nb"}')
    assert (end["state"], end["outcome"], end["delay"]) == ("pending", "failed", 0.05)
    assert (end["error"], end["type"]) == ("ValueError: a b", "ValueError")
    assert "raise ValueError(message)" in end["traceback"]
    assert run("kinds.fails", attempt=3)["state"] == "failed"
    assert run("kinds.fails", attempt=3, excused=1)["state"] == "pending"


def test_bad_arguments_in_the_row_are_final() -> None:
    end = run("kinds.add", '{"a": "x"}')
    assert (end["state"], end["outcome"], end["type"]) == ("failed", "failed", "ArgumentError")
    assert "a: input should be a valid integer" in end["error"]


def test_an_unknown_kind_is_handed_back() -> None:
    end = run("kinds.unknown")
    assert (end["state"], end["outcome"], end["delay"]) == ("pending", "interrupted", UNKNOWN_KIND_DELAY)


def test_a_snooze_is_not_a_failure() -> None:
    end = run("kinds.snoozes", '{"times": 1}')
    assert (end["state"], end["outcome"], end["delay"], end["error"]) == ("pending", "snoozed", 0.05, "not ready")


# --- logs and progress ------------------------------------------------------------------------------------------------------


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> channel.Reports:
    """The channel to the parent."""
    made = channel.Reports()
    monkeypatch.setattr(channel, "reports", made, raising=False)
    monkeypatch.setattr(channel, "stop_requests", channel.StopRequests(), raising=False)
    return made


def received(reports: channel.Reports) -> list[tuple[Any, ...]]:
    """All that waits in the channel."""
    found = []
    while (packet := reports.receive()) is not None:
        found.append(packet)
    return found


def test_log_lines_are_cleaned_cut_and_counted(reports: channel.Reports, settings: Settings) -> None:
    settings.FURROW = {**settings.FURROW, "MAX_LOG_LINES": 3, "MAX_LOG_LINE": 100}
    this = Run(str(KEY), "kinds.add", 1, 0, 3)
    this.log(logging.INFO, "x" * 300, "a\x00b\ud800")
    this.log(logging.INFO, "", "y" * 1000)
    for _ in range(10):
        this.log(logging.INFO, "", "more")
    lines = received(reports)
    assert [line[0] for line in lines] == ["log"] * 4
    assert (lines[0][5], lines[0][6]) == ("x" * 200, "a\ufffdb?")
    assert "900 characters cut" in lines[1][6]
    assert lines[3][4] == logging.WARNING
    assert "keeps 3 log lines (FURROW['MAX_LOG_LINES'])" in lines[3][6]


def test_output_is_masked_numbered_and_cut(reports: channel.Reports, settings: Settings) -> None:
    settings.FURROW = {**settings.FURROW, "MAX_OUTPUT": 75}
    this = Run(str(KEY), "kinds.add", 1, 0, 3)
    this.masks = Masks(json.dumps({"key": {"$secret": "hunter22"}}))
    for value in ("a\x00b\ud800", {"key": "hunter22", "n": [1, None, float("nan")]}, "\n", "x" * 20, "more", "more"):
        this.emit(value)
    told = received(reports)
    assert [(packet[0], packet[3]) for packet in told] == [("emit", number) for number in range(1, 6)]
    values = [json.loads(packet[5]) for packet in told]
    assert values[:3] == ["a\ufffdb?", {"key": MASK, "n": [1, None, None]}, "\n"]
    assert [packet[6] for packet in told] == [False, False, False, False, True]
    assert "keeps 75 characters of output (FURROW['MAX_OUTPUT'])" in values[-1]


def test_what_has_no_json_form_is_not_emitted(reports: channel.Reports) -> None:
    this = Run(str(KEY), "kinds.add", 1, 0, 3)
    for value in (object(), {"a": [object()]}, {"a": "\ud800"}):
        with pytest.raises(TypeError, match="it has no JSON form"):
            this.emit(value)
    assert received(reports) == []


def test_progress_is_merged_but_the_end_is_always_told(reports: channel.Reports) -> None:
    this = Run(str(KEY), "kinds.add", 2, 0, 3)
    for step in range(101):
        this.progress(step / 100, f"step\x00 {step}")
    told = received(reports)
    assert told[0] == ("progress", str(KEY), 2, 0.0, "step\ufffd 0")
    assert told[-1] == ("progress", str(KEY), 2, 1.0, "step\ufffd 100")
    assert len(told) < 50


def test_a_run_that_is_asked_to_stop_is_told_once(reports: channel.Reports) -> None:
    this, next_one = (Run(str(id), "kinds.add", 1, 0, 3) for id in (KEY, uuid.uuid4()))
    this.check()
    channel.stop_requests.ask(0, KEY, 1)
    told: list[Any] = [lambda: this.progress(0.5, ""), lambda: this.log(logging.INFO, "", "x"), this.check]
    for say in told:
        this.told = False
        with pytest.raises(Cancelled):
            say()
        say()
    # A request that came too late stops nothing else.
    next_one.check()


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_impossible_progress_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        current_job.progress(fraction)


def test_outside_of_a_job_reporting_does_nothing() -> None:
    assert (current_job.id, current_job.attempt) == (None, 0)
    current_job.progress(0.5, "x")
    current_job.log("x %s", 1)
    current_job.check()


def test_clean_and_cut() -> None:
    assert clean("a\x00\ud800ü") == "a\ufffd?ü"
    assert cut("x" * 10, 10) == "x" * 10
    assert cut("a" * 50 + "b" * 50, 10) == "aaaaa\n[… 90 characters cut …]\nbbbbb"
