"""Fields of the submit form: what they show of a value."""

import json
from typing import Any

import pytest
from furrow.admin.forms.fields import JsonField


def nested(levels: int) -> Any:
    """Arrays in arrays."""
    value: Any = [1]
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize("value", [[nested(200)] * 200, {"k" * 30_000: nested(3)}, ["x"] * 50_000])
def test_large_json_is_shown_whole_and_no_larger_than_it_is(value: Any) -> None:
    shown = JsonField().shown(value)
    assert json.loads(shown) == value
    assert len(shown) == len(json.dumps(value))


def test_small_json_is_indented() -> None:
    assert JsonField().shown({"a": [1]}) == '{\n  "a": [\n    1\n  ]\n}'
    assert JsonField(nullable=True).shown(None) == ""
