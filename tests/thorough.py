"""What ``make test`` leaves to continuous integration: the mark ``thorough``, for some of a test's parameters."""

from collections.abc import Iterable
from typing import Any

import pytest


def first_of(values: Iterable[Any], keep: int = 1) -> list[Any]:
    """The parameters of a test, of which the others than the first show the same in another way: only CI tries them."""
    return [*list(values)[:keep], *(_left_to_ci(value) for value in list(values)[keep:])]


def _left_to_ci(value: Any) -> Any:
    return pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=pytest.mark.thorough)
