"""The schedules of a kind, as its declaration has them; an error names the option, the reason and the remedy."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from furrow.errors import KindError, SubmitError
from furrow.schedule import Schedule

if TYPE_CHECKING:
    from furrow.kinds.kind import Kind


def schedules_of(kind: "Kind", given: Schedule | Sequence[Schedule]) -> list[Schedule]:
    """The schedules, each with its kind and a name: the only one has the kind's.

    Raises:
        KindError: one cannot work.
    """
    several = [given] if isinstance(given, Schedule) else given
    if not isinstance(several, (list, tuple)) or not all(isinstance(one, Schedule) for one in several):
        raise KindError(f"{kind.name}: schedule={given!r} must be a Schedule(…), or a list of them.")
    found: list[Schedule] = []
    for one in several:
        name = one.name or (kind.name if len(several) == 1 else "")
        problem = one.problem() or _problem_here(kind, one)
        if not name:
            problem = problem or "name is missing: with several schedules give each a name of its own"
        if name in [other.name for other in found]:
            problem = problem or f"name={name!r} is given twice"
        if problem:
            raise KindError(f"{kind.name}: schedule {name or one.timing!r}: {problem}.")
        found.append(replace(one, kind=kind.name, name=name))
    return found


def _problem_here(kind: "Kind", one: Schedule) -> str:
    if one.kind not in ("", kind.name):
        return f"kind={one.kind!r}: it is this kind's; leave it out"
    try:
        kind.arguments.to_json(one.arguments)
    except SubmitError as error:
        return "; ".join(f"argument {name}: {text}" for name, text in error.fields.items())
    return ""
