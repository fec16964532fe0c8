"""Kinds that get the messages of bridges."""

from typing import Any

from furrow import Occurred, publish

from tests.kinds.declared import job


@job
def takes_text(text: str) -> None:
    """Gets the body."""


@job
def fib(n: int) -> int:
    """The n-th number of Fibonacci."""
    first, second = 0, 1
    for _ in range(n):
        first, second = second, first + second
    return first


@job
def takes_text_and_headers(text: str, headers: dict[str, Any]) -> None:
    """Gets the headers as well."""


@job
def hears(event: Occurred) -> str:
    """A subscriber's."""
    return event.type


@job
def hears_and_says(event: Occurred) -> int:
    """A subscriber that publishes what it hears of."""
    return publish(event.type, event.data)
