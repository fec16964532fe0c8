"""From a signature to a validator, from values to JSON and back. Nothing here touches the database."""

import dataclasses
import datetime as dt
import decimal
import enum
import functools
import json
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field
from pytest_django import Settings

from apps.jobs.arguments import Arguments
from apps.jobs.errors import ArgumentError, KindError

NAIVE = dt.datetime(2026, 1, 2, 3, 4)
DAY = dt.date(2026, 1, 1)
AWARE = NAIVE.replace(tzinfo=dt.timezone(dt.timedelta(hours=2)))


class Colour(enum.Enum):
    """A choice."""

    RED = "red"


class Model(pydantic.BaseModel):
    """A pydantic model as a type hint."""

    at: dt.datetime
    tags: list[str] = []


@dataclasses.dataclass
class Point:
    """A dataclass as a type hint."""

    x: float
    at: dt.datetime | None = None


def refusal(handler: Callable[..., Any], **values: Any) -> dict[str, str]:
    """The fields of the error that these arguments get."""
    with pytest.raises(ArgumentError) as refused:
        Arguments("k.f", handler).to_json(values)
    assert str(refused.value).startswith("k.f was not submitted: ")
    return refused.value.fields


def takes(hint: Any) -> Callable[..., Any]:
    """A handler with one argument ``a`` of this type."""

    def handler(a: Any) -> None: ...

    handler.__annotations__ = {"a": hint}
    return handler


# --- there and back ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (int, 2**63),
        pytest.param(int, -(10**4000), id="int-large"),
        (float, 1e308),
        (bool, True),
        (str, 'ü 🌱 \\u0000 \\ud800 " \n \x01'),
        (str, ""),
        (dt.date, dt.date(2026, 2, 3)),
        (dt.datetime, AWARE),
        (dt.datetime, dt.datetime(1, 1, 1, tzinfo=dt.UTC)),
        (dt.time, dt.time(3, 4, 5)),
        (dt.timedelta, dt.timedelta(days=-1, microseconds=7)),
        (decimal.Decimal, decimal.Decimal("0.10")),
        (uuid.UUID, uuid.uuid4()),
        (Colour, Colour.RED),
        (Literal["low", "high"], "high"),
        (Path, Path("a/b")),
        (list[int], [1, 2]),
        (set[str], {"a", "b"}),
        (tuple[int, str], (1, "a")),
        (dict[str, float], {"a": 0.5}),
        (dict[int, str], {1: "a"}),
        (dict[uuid.UUID, int], {uuid.uuid4(): 1}),
        (int | None, None),
        (Model, Model(at=AWARE, tags=["x"])),
        (Point, Point(1.5, AWARE)),
        (list[dict[str, Point]], [{"p": Point(0)}]),
        (Annotated[int, Field(ge=1)], 1),
        (Any, {"a": [1, 2.5, None, True, "x", {"b": []}]}),
    ],
)
def test_values_come_back_as_they_were_given(hint: Any, value: Any) -> None:
    arguments = Arguments("k.f", takes(hint))
    text = arguments.to_json({"a": value})
    assert set(json.loads(text)) == {"a"}
    assert arguments.from_json(text) == {"a": value}


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",))),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",))), inner, max_size=4)
    ),
    max_leaves=20,
)
ANYTHING = Arguments("k.f", takes(Any))


@given(json_values)
def test_any_json_value_comes_back(value: Any) -> None:
    assert ANYTHING.from_json(ANYTHING.to_json({"a": value})) == {"a": value}


@given(st.text())
def test_any_text_comes_back_or_is_refused_by_name(text: str) -> None:
    if "\x00" not in text and text.encode(errors="replace").decode() == text:
        assert ANYTHING.from_json(ANYTHING.to_json({"a": text})) == {"a": text}
        return
    with pytest.raises(ArgumentError) as refused:
        ANYTHING.to_json({"a": text})
    assert list(refused.value.fields) == ["a"]


def test_defaults_are_written_too_and_any_name_will_do() -> None:
    def handler(model_x: int, json: str, copy: str = "c", self: dt.date = DAY, *, schema: int | None = None) -> None: ...

    arguments = Arguments("k.f", handler)
    text = arguments.to_json({"model_x": 1, "json": "j"})
    assert json.loads(text) == {"model_x": 1, "json": "j", "copy": "c", "self": "2026-01-01", "schema": None}
    assert arguments.from_json(text)["self"] == dt.date(2026, 1, 1)


def test_no_arguments_at_all() -> None:
    def handler() -> None: ...

    assert Arguments("k.f", handler).to_json({}) == "{}"
    assert refusal(handler, a=1) == {"a": "is not an argument of this kind"}


def test_a_decorated_handler_keeps_its_signature() -> None:
    @functools.wraps(takes(int))
    def wrapper(*args: Any, **kwargs: Any) -> None: ...

    assert Arguments("k.f", wrapper).names == ("a",)


# --- bad values -------------------------------------------------------------------------------------------------------------


def test_missing_unknown_and_wrong_are_all_named_at_once() -> None:
    def handler(a: int, b: str, c: list[int]) -> None: ...

    fields = refusal(handler, b=7, c=[1, "x"], d=1)
    assert fields["a"] == "is missing: give it a value"
    assert fields["b"] == "input should be a valid string (given: 7)"
    assert fields["c"].startswith("at 1: input should be a valid integer")
    assert fields["c"].endswith("(given: 'x')")
    assert fields["d"] == "is not an argument of this kind"


class Rude:
    """Cannot be shown."""

    def __repr__(self) -> str:
        raise RuntimeError


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
        (Any, {1: 2}, "keys that are no text"),
        (Any, [{"x": {None: 1}}], "keys that are no text"),
        (Any, {True: 1}, "keys that are no text"),
        (Any, {(1, 2): 3}, "keys that are no text"),
        (dict[Any, int], {1.5: 2}, "keys that are no text"),
        (dt.datetime, NAIVE, "2026-01-02T03:04:00 has no time zone: pass an aware datetime"),
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
        (Any, functools.reduce(lambda inner, _: [inner], range(150), []), "nested deeper than 100 levels"),
        (Any, functools.reduce(lambda inner, _: {"a": inner}, range(5000), {}), "nested deeper than 100 levels"),
        (Any, Endless(), "contains itself"),
    ],
)
def test_a_bad_value_is_refused_with_the_name_and_the_reason(hint: Any, value: Any, text: str) -> None:
    fields = refusal(takes(hint), a=value)
    assert list(fields) == ["a"]
    assert text in fields["a"]
    assert len(fields["a"]) < 400


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


# --- a call's positional arguments --------------------------------------------------------------------------------------------


def test_bind() -> None:
    def handler(a: int, b: int = 0, *, c: int = 0) -> None: ...

    arguments = Arguments("k.f", handler)
    assert arguments.bind((1, 2), {"c": 3}) == {"a": 1, "b": 2, "c": 3}
    assert arguments.bind((), {}) == {}
    with pytest.raises(ArgumentError, match=r"3 given by position, but there are only 2 \(a, b\): give c by name"):
        arguments.bind((1, 2, 3), {})
    with pytest.raises(ArgumentError, match="a: is given twice, by position and by name"):
        arguments.bind((1,), {"a": 1})


# --- a row that does not fit ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("{}", "a"),
        ('{"a": "x"}', "a"),
        ('{"a": 1, "b": 2}', "b"),
        ("[]", "arguments"),
        ("{", "arguments"),
        ("null", "arguments"),
    ],
)
def test_a_row_that_does_not_fit_names_the_field(text: str, field: str) -> None:
    with pytest.raises(ArgumentError) as refused:
        Arguments("k.f", takes(int)).from_json(text)
    assert list(refused.value.fields) == [field]


# --- signatures that cannot be a form ------------------------------------------------------------------------------------


def no_hint(a, b: int) -> None: ...  # type: ignore[no-untyped-def]
def star(*numbers: int) -> None: ...
def stars(**options: int) -> None: ...
def positional(a: int, /, b: int) -> None: ...
def a_class(a: Rude) -> None: ...
def a_function(a: Callable[[int], int]) -> None: ...
def nested_class(good: int, bad: list[Rude]) -> None: ...
def typo(a: "Missing") -> None: ...  # type: ignore[name-defined]  # noqa: F821
def typo_in_module(a: "dt.datetimes") -> None: ...  # type: ignore[name-defined]
def no_python(a: "not a type (") -> None: ...  # type: ignore[valid-type]  # noqa: F722
def a_number(a: 1) -> None: ...  # type: ignore[valid-type]
def wrong_default(a: int = "x") -> None: ...  # type: ignore[assignment]
def none_default(a: int = None) -> None: ...  # type: ignore[assignment]  # noqa: RUF013
def naive_default(a: dt.datetime = NAIVE) -> None: ...
def object_default(a: Any = NAIVE.date) -> None: ...
def bound_default(a: Annotated[int, Field(ge=1)] = 0) -> None: ...


@pytest.mark.parametrize(
    ("handler", "text"),
    [
        (no_hint, "argument 'a' has no type hint; write a: int"),
        (star, r"\*numbers: int cannot be validated; name each argument"),
        (stars, r"\*\*options: int cannot be validated; name each argument"),
        (positional, "argument 'a' is positional-only, and arguments go by name; remove the '/'"),
        (a_class, "type hint of argument 'a' has no JSON form: .*Rude.*; use plain types"),
        (a_function, "type hint of argument 'a' has no JSON form"),
        (nested_class, "type hint of argument 'bad' has no JSON form"),
        (typo, "type hint 'Missing' cannot be resolved; import it at module level"),
        (typo_in_module, "cannot be resolved .*no attribute 'datetimes'.*; write a type that exists"),
        (no_python, "cannot be resolved .*; write a type that exists"),
        (a_number, "argument 'a'|cannot be resolved"),
        (wrong_default, "default of argument 'a' does not fit its type hint: .*valid integer"),
        (none_default, r"default of argument 'a' does not fit its type hint: .*\(given: None\)"),
        (naive_default, "default of argument 'a' does not fit its type hint: .*no time zone"),
        (object_default, "default of argument 'a' does not fit its type hint: it cannot be written as JSON"),
        (bound_default, "default of argument 'a' does not fit its type hint: .*greater than or equal to 1"),
    ],
)
def test_a_signature_that_cannot_work_is_refused_with_the_reason(handler: Callable[..., Any], text: str) -> None:
    with pytest.raises(KindError, match=f"k.f: .*{text}") as refused:
        Arguments("k.f", handler)
    assert "\n" not in str(refused.value)


def test_an_iterator_is_read_once_and_kept() -> None:
    arguments = Arguments("k.f", takes(Iterable[int]))
    text = arguments.to_json({"a": iter([1, 2])})
    assert json.loads(text) == {"a": [1, 2]}
