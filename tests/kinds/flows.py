"""Kinds for workflows."""

from typing import Any

from furrow import Results, current_job, current_workflow, job
from pydantic import SecretStr


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


@job(name="kinds.grows")
def grows(depth: int, fails_first: bool = False, named: bool = True, notes: bool = True) -> int:
    """Add to its own workflow, to this depth."""
    if depth:
        more = {} if named and notes else {"named": named, "notes": notes}
        current_workflow.add(grows, {"depth": depth - 1, **more}, name=f"at {depth - 1}" if named else "")
    if depth and notes:
        many = current_workflow.map("kinds.note", [{"text": f"{depth}.{n}"} for n in range(2)])
        current_workflow.add("kinds.note", {"text": f"after {depth}"}, after=[many, current_workflow.node])
    if fails_first and current_job.attempt == 1:
        raise ValueError("after it has added")
    return depth


@job(name="kinds.note")
def note(text: str) -> str:
    """A text."""
    return text


@job(name="kinds.reads")
def reads(name: str) -> list[Any]:
    """The results of a node of its workflow."""
    return list(current_workflow.results(name))


@job(name="kinds.total")
def total(numbers: list[Any], more: int = 0) -> int:
    """The sum of what may have lists inside."""
    return more + sum(int(any_total(n)) for n in numbers)


@job(name="kinds.any_total")
def any_total(given: Any, more: int = 0) -> int:
    """The sum of a number, or of lists of them."""
    return more + int(total(given) if isinstance(given, list) else given)


@job(name="kinds.tells_failure")
def tells_failure(failed: str) -> str:
    """An errback: is given the id of the job that failed."""
    return failed


@job(name="kinds.secretive")
def secretive(word: SecretStr, n: int = 0) -> int:
    """Has an argument that is never shown."""
    return n
