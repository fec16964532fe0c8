"""Signatures that cannot be a form: refused at import, with the reason."""

import datetime as dt
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

import pytest
from furrow.errors import KindError
from furrow.kinds.arguments import Arguments
from furrow.kinds.hints import ForeignKey, UploadedPath
from pydantic import BaseModel, Field

from tests.hints import NAIVE, Rude


class Letter(BaseModel):
    """With a file that a form would take any name for."""

    file: UploadedPath


class Draft(TypedDict):
    """The same."""

    letter: Letter


def no_hint(a, b: int) -> None: ...  # type: ignore[no-untyped-def]
def star(*numbers: int) -> None: ...
def stars(**options: int) -> None: ...
def positional(a: int, /, b: int) -> None: ...
def a_class(a: Rude) -> None: ...
def a_function(a: Callable[[int], int]) -> None: ...
def nested_class(good: int, bad: list[Rude]) -> None: ...
def files(a: list[UploadedPath]) -> None: ...
def rows(a: "dict[str, Annotated[int, ForeignKey('auth.User')] | None]") -> None: ...
def file_in_a_model(a: Letter | None = None) -> None: ...
def file_in_a_dict(a: Draft) -> None: ...
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
        (files, "argument 'a' has a File inside, .*: make it an argument of its own"),
        (rows, "argument 'a' has a ForeignKey inside"),
        (file_in_a_model, "argument 'a' has a File inside"),
        (file_in_a_dict, "argument 'a' has a File inside"),
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
