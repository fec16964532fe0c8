"""Bad values of arguments: each is refused by its name, with the reason and the remedy."""

import datetime as dt
import decimal
import functools
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from furrow.errors import ArgumentError
from furrow.kinds.arguments import Arguments
from pydantic import Field
from pytest_django import Settings

from tests.hints import AWARE, NAIVE, Colour, Model, Point, Rude, takes


def nested(deep: int, inside: Callable[[Any], Any], value: Any) -> Any:
    """A value in so many others."""
    return functools.reduce(lambda inner, _: inside(inner), range(deep), value)


def refusal(handler: Callable[..., Any], **values: Any) -> dict[str, str]:
    """The fields of the error that these arguments get."""
    with pytest.raises(ArgumentError) as refused:
        Arguments("k.f", handler).to_json(values)
    assert str(refused.value).startswith("k.f was not submitted: ")
    return refused.value.fields


def test_missing_unknown_and_wrong_are_all_named_at_once() -> None:
    def handler(a: int, b: str, c: list[int]) -> None: ...

    fields = refusal(handler, b=7, c=[1, "x"], d=1)
    assert fields["a"] == "is missing: give it a value"
    assert fields["b"] == "input should be a valid string (given: 7)"
    assert fields["c"].startswith("at 1: input should be a valid integer")
    assert fields["c"].endswith("(given: 'x')")
    assert fields["d"] == "is not an argument of this kind"


class Endless(list[Any]):
    """Contains itself."""

    def __init__(self) -> None:
        super().__init__([self, self])


@pytest.mark.parametrize(
    ("hint", "value", "text"),
    [
        (int, "seven", "input should be a valid integer"),
        (int, 7.5, "fractional part"),
        (int, None, "given: None"),
        (int, Rude(), "given: a Rude"),
        pytest.param(str, 10**5000, "given: a int", id="str-huge"),
        (dt.date, "tomorrow", "date"),
        (uuid.UUID, "no", "UUID"),
        (Colour, "green", "'red'"),
        (Literal["low"], "high", "'low'"),
        (Annotated[int, Field(ge=1)], 0, "greater than or equal to 1"),
        (dict[str, int], {1: 2}, "at 1.[key]"),
        (float, float("nan"), "finite number"),
        (float, float("-inf"), "finite number"),
        (list[float], [1.0, float("inf")], "at 1: input should be a finite number"),
        (decimal.Decimal, decimal.Decimal("NaN"), "finite number"),
        (Any, float("nan"), "nan is not a number that JSON knows"),
        (Any, [{"x": float("inf")}], "inf is not a number that JSON knows"),
        (Any, {float("nan"): 1}, "nan is not a number that JSON knows"),
        (object, object(), "cannot be written as JSON"),
        (Any, object(), "cannot be written as JSON"),
        (Any, {object()}, "cannot be written as JSON"),
        (Any, [lambda: 1], "cannot be written as JSON"),
        (bytes, b"\xff", "cannot be written as JSON (invalid utf-8"),
        (bytes, b"\x00", "U+0000"),
        (str, "a\x00b", "U+0000, which cannot be stored: remove it"),
        (Any, {"a\x00": 1}, "U+0000"),
        (list[dict[str, str]], [{"a": "\x00"}], "U+0000"),
        (Path, Path("a\x00b"), "U+0000"),
        (str, "\ud800", "half of a surrogate pair"),
        (Any, {"\udfff": 1}, "half of a surrogate pair"),
        (Any, {1: 2}, "keys that are not strings"),
        (Any, [{"x": {None: 1}}], "keys that are not strings"),
        (Any, {True: 1}, "keys that are not strings"),
        (Any, {(1, 2): 3}, "keys that are not strings"),
        (dict[Any, int], {1.5: 2}, "keys that are not strings"),
        (dt.datetime, NAIVE, "2026-01-02T03:04:00 has no time zone: pass an aware"),
        (dt.datetime, "2026-01-02T03:04:00", "has no time zone"),
        (dt.datetime | None, NAIVE, "has no time zone"),
        (list[dt.datetime], [AWARE, NAIVE], "has no time zone"),
        (dict[str, list[dt.datetime]], {"a": [NAIVE]}, "has no time zone"),
        (Any, {"a": (NAIVE,)}, "has no time zone"),
        (Model, Model(at=NAIVE), "has no time zone"),
        (Model, {"at": NAIVE}, "has no time zone"),
        (Point, Point(1, NAIVE), "has no time zone"),
        (Any, Point(1, NAIVE), "has no time zone"),
        (list[Model], [{"at": AWARE, "tags": ["\x00"]}], "U+0000"),
        pytest.param(int, 10**5000, "4,000 digits", id="int-huge"),
        pytest.param(Any, [-(10**5000)], "4,000 digits", id="Any-huge"),
        (Any, nested(150, lambda inner: [inner], []), "nested deeper than 100 levels"),
        (Any, nested(5000, lambda inner: {"a": inner}, {}), "nested deeper than 100 levels"),
        (Any, Endless(), "contains itself"),
    ],
)
def test_a_bad_value_is_refused_with_the_name_and_the_reason(hint: Any, value: Any, text: str) -> None:
    fields = refusal(takes(hint), a=value)
    assert list(fields) == ["a"]
    assert text in fields["a"]
    assert len(fields["a"]) < 400


def test_what_is_no_argument() -> None:
    def handler() -> None: ...

    assert refusal(handler, a=1) == {"a": "is not an argument of this kind"}


def test_only_the_argument_at_fault_is_named() -> None:
    def handler(good: Any, bad: Any, worse: Any) -> None: ...

    assert list(refusal(handler, good=1, bad=object(), worse=object())) == ["bad", "worse"]
    assert list(refusal(handler, good="x", bad=b"\x00", worse=1)) == ["bad"]
    assert list(refusal(handler, good={"a": 1}, bad={1: 1}, worse={"b": {}})) == ["bad"]
    assert list(refusal(handler, good=1, bad=NAIVE, worse=float("nan"))) == ["bad", "worse"]


@pytest.mark.parametrize("values", [[], [1], "abc", 5, 0, "", None, Model(at=AWARE)])
def test_arguments_that_are_no_mapping_are_refused(values: Any) -> None:
    with pytest.raises(ArgumentError, match=r"must be a mapping of names to values: pass \{'a': …\}"):
        Arguments("k.f", takes(int)).to_json(values)


def test_names_that_are_no_text_are_refused() -> None:
    with pytest.raises(ArgumentError, match="3: keys should be strings"):
        Arguments("k.f", takes(int)).to_json({"a": 1, 3: 4})  # type: ignore[dict-item]


def test_too_large_names_the_largest_argument_the_size_and_the_limit(settings: Settings) -> None:
    def handler(small: str, large: Any) -> None: ...

    settings.FURROW = {**settings.FURROW, "MAX_ARGUMENT_BYTES": 1000}
    arguments = Arguments("k.f", handler)
    room = 1000 - len('{"small":"s","large":""}')
    assert arguments.to_json({"small": "s", "large": "x" * room})
    fields = refusal(handler, small="s", large="x" * (room + 1))
    assert list(fields) == ["large"]
    assert "take 1,001 bytes of JSON, the limit is 1,000 (FURROW_MAX_ARGUMENT_BYTES): keep large things" in fields["large"]
    # Bytes count, not characters.
    assert list(refusal(handler, small="s", large="ü" * (room // 2 + 1))) == ["large"]
    assert list(refusal(handler, small="s", large=[list(range(300))])) == ["large"]


def test_the_limit_is_one_mebibyte_by_default() -> None:
    assert "the limit is 1,048,576" in refusal(takes(str), a="x" * 1024 * 1024)["a"]
    assert Arguments("k.f", takes(str)).to_json({"a": "x" * (1024 * 1024 - 8)})


def test_json_that_cannot_be_read_is_not_told_for_it_may_hold_secrets() -> None:
    with pytest.raises(ArgumentError, match="number out of range") as refused:
        Arguments("k", lambda: None).from_json('{"pin": {"$secret": "4711"}, "n": 1' + "0" * 5_000 + "}")
    assert "4711" not in str(refused.value)
