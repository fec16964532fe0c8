"""From a signature to a validator, from values to JSON and back. Nothing here touches the database."""

import datetime as dt
import decimal
import functools
import json
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from furrow.errors import ArgumentError
from furrow.kinds.arguments import Arguments
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from tests.hints import AWARE, DAY, Colour, Model, Point, takes

# --- there and back -----------------------------------------------------------------------------------------------------------


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
    | st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])), inner, max_size=4)
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


def test_a_decorated_handler_keeps_its_signature() -> None:
    @functools.wraps(takes(int))
    def wrapper(*args: Any, **kwargs: Any) -> None: ...

    assert Arguments("k.f", wrapper).names == ("a",)


def test_an_iterator_is_read_once_and_kept() -> None:
    arguments = Arguments("k.f", takes(Iterable[int]))
    text = arguments.to_json({"a": iter([1, 2])})
    assert json.loads(text) == {"a": [1, 2]}


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


# --- a row that does not fit --------------------------------------------------------------------------------------------------


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
