"""What a job is about, on one line."""

from typing import Annotated, Any

import pytest
from furrow import KindError, Secret
from furrow.diagnosis.titles import LONGEST, title_of
from furrow.kinds.kind import Kind
from furrow.models.json_field import UNREADABLE
from furrow.submission.submit import submit


def invoice(order_id: int, customer: dict[str, Any], token: Annotated[str, Secret] = "") -> None:
    """A handler."""


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> Kind:
    kind = Kind(invoice, submit, name="titles.invoice", title="invoice of order {order_id} for {customer.name}")
    monkeypatch.setattr("furrow.diagnosis.titles.find_kind", {kind.name: kind}.get)
    return kind


@pytest.mark.parametrize(
    ("arguments", "title"),
    [
        ({"order_id": 7, "customer": {"name": "Ada\nLovelace"}}, "invoice of order 7 for Ada Lovelace"),
        ({"order_id": "x" * 300, "customer": {"name": {"$secret": "Ada"}}}, None),
        ({}, "invoice of order null for null"),
        ({"customer": "no object"}, "invoice of order null for null"),
    ],
)
def test_a_declared_title_is_filled(declared: Kind, arguments: Any, title: str | None) -> None:
    found = title_of(declared.name, arguments)
    assert len(found) <= LONGEST
    assert "Ada" not in found or title is not None
    assert title in (None, found)


@pytest.mark.parametrize("text", ["of {nothing}", "{token}", "{order_id:d}", "", "{", 7])
def test_a_title_that_cannot_be_is_refused_at_import(text: Any) -> None:
    with pytest.raises(KindError, match="title"):
        Kind(invoice, submit, name="titles.refused", title=text)


@pytest.mark.parametrize(
    ("arguments", "title"),
    [
        ({"a": 1, "b": "two", "c": None, "d": [1, {"x": 2}]}, 'a=1, b=two, d=[1, {"x": 2}]'),
        ({"path": "/a/long/way/to/something/that/is/called/by/its/end.py"}, "path=/a/long/way/to/somet…alled/by/its/end.py"),
        ({"token": {"$secret": "hunter2"}, "deep": [{"$secret": "hunter3"}]}, 'token=••••••, deep=["••••••"]'),
        ({"text": "\x1b[31mred\u202e"}, "text=red⟨U+202E⟩"),
        ({}, ""),
        ([1], ""),
        (None, ""),
        ({UNREADABLE: "it is nested too deep"}, ""),
    ],
)
def test_else_the_arguments_in_short(arguments: Any, title: str) -> None:
    assert title_of("no.such", arguments) == title


def test_of_many_arguments_the_ends() -> None:
    found = title_of("no.such", {f"name{n}": n for n in range(200)})
    assert len(found) == LONGEST
    assert found.startswith("name0=0, ")
    assert found.endswith("name199=199")
