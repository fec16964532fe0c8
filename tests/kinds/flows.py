"""Kinds for workflows."""

from typing import Any

from furrow import Results, job


@job(name="kinds.sums")
def sums(totals: Results[int]) -> int:
    """Of many results, read one by one."""
    return sum(total or 0 for total in totals)


@job(name="kinds.adds_up")
def adds_up(totals: list[int], more: int = 0) -> int:
    """Of many results, given as they are."""
    return sum(totals) + more


@job(name="kinds.order")
def order(number: int) -> dict[str, Any]:
    """A result with parts."""
    return {"id": number, "lines": [{"price": number}, {"price": 2 * number}]}
