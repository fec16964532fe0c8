"""What a canvas consists of. An ordinary task may come before kinds, whose ends Celery's messages cannot carry on: after a kind
come kinds."""

import enum
from collections.abc import Mapping
from typing import Any

from celery.canvas import Signature, maybe_signature

from furrow.canvas.signatures import MAPS, callbacks, is_empty, parts, sort_of, unmade
from furrow.errors import WorkflowError
from furrow.kinds.kind import find_kind

_MIXED = "has ordinary tasks and kinds, whose results are in different places: make two groups, or make the tasks kinds (@job)."
_REMEDY = "After a kind come kinds: make the task a kind (@job), or call it in the handler of one, in transaction.on_commit"


class Makeup(enum.Enum):
    """What sends it."""

    #: Furrow, as a workflow.
    KINDS = enum.auto()
    #: Celery.
    TASKS = enum.auto()
    #: Celery; it ends with kinds.
    TASKS_THEN_KINDS = enum.auto()


def makeup(signature: Signature, options: Mapping[str, Any] = {}) -> Makeup:
    """Who sends it. ``options``: of the call, besides its own.

    Raises:
        WorkflowError: an ordinary task would have to come after a kind.
    """
    found = _MAKEUP.get(sort_of(signature), _of_a_task)(signature)
    options = {**signature.options, **options}
    for one in [*callbacks(options, "link"), *callbacks(options, "link_error"), *callbacks(options, "chain")]:
        if found is Makeup.KINDS:
            _demand_kinds(makeup(one), one, f"{_said(signature)} links to")
    return found


def _of_a_task(signature: Signature) -> Makeup:
    return Makeup.KINDS if find_kind(signature.task) else Makeup.TASKS


def _of_a_map(signature: Signature) -> Makeup:
    return _of_a_task(_task_of(signature))


def _task_of(signature: Signature) -> Signature:
    return maybe_signature(signature.kwargs["task"])


def _of_a_chain(chain: Signature) -> Makeup:
    found: list[Makeup] = []
    steps = [step for step in parts(chain) if not is_empty(step)]
    for step in steps:
        made = makeup(step)
        if found and found[-1] is not Makeup.TASKS:
            _demand_kinds(made, step, f"In {_said(chain)} a kind is followed by")
        if made is Makeup.TASKS_THEN_KINDS and sort_of(step) == "group" and step is not steps[-1]:
            raise WorkflowError(f"{_said(step)} has ordinary tasks and kinds, and nobody could count their ends. {_REMEDY}.")
        if made is Makeup.KINDS and Makeup.TASKS in found and sort_of(step) in MAPS:
            raise WorkflowError(
                f"In {_said(chain)} {_said(step)} of {_task_of(step).task} follows tasks, and Celery would call it where it "
                "is, without jobs: write group(kind.s(row) for row in rows)."
            )
        found.append(made)
    return _together(found)


def _of_a_group(group: Signature) -> Makeup:
    coming = unmade(group)
    first = None if coming is None else next(iter(coming), None)
    if first is not None and makeup(maybe_signature(first)) is Makeup.TASKS:
        coming.map(_is_a_task)
        return Makeup.TASKS
    found = [makeup(member) for member in parts(group) if not is_empty(member)]
    if Makeup.TASKS in found and {*found} != {Makeup.TASKS}:
        raise WorkflowError(f"{_said(group)} {_MIXED}")
    return _together(found)


def _is_a_task(member: Any) -> Any:
    """A member that a generator makes while Celery sends those before it.

    Raises:
        WorkflowError: it is none.
    """
    if makeup(maybe_signature(member)) is not Makeup.TASKS:
        raise WorkflowError(f"a group {_MIXED}")
    return member


def _of_a_chord(chord: Signature) -> Makeup:
    coming = unmade(chord)
    header = Signature.TYPES["group"](parts(chord) if coming is None else coming)
    body = maybe_signature(chord.kwargs.get("body"))
    if body is None:
        return Makeup.TASKS
    head, then = _of_a_group(header), makeup(body)
    if is_empty(header):
        return then
    if head is Makeup.TASKS_THEN_KINDS:
        raise WorkflowError(f"The header of {_said(chord)} has kinds after tasks, whose ends Celery cannot count. {_REMEDY}.")
    if head is Makeup.KINDS:
        _demand_kinds(then, body, f"The header of {_said(chord)} is of kinds, and its body is")
    return _together([head, then])


def _together(found: list[Makeup]) -> Makeup:
    kinds = {*found}
    return kinds.pop() if len(kinds) == 1 else Makeup.TASKS_THEN_KINDS if kinds else Makeup.TASKS


def _demand_kinds(made: Makeup, signature: Signature, said: str) -> None:
    if made is not Makeup.KINDS:
        raise WorkflowError(f"{said} {_said(signature)}, which is no kind of Furrow. {_REMEDY}.")


def _said(signature: Signature) -> str:
    sort = sort_of(signature)
    return f"a {sort}" if sort else str(signature.task)


_MAKEUP = {
    "chain": _of_a_chain,
    "group": _of_a_group,
    "chord": _of_a_chord,
    "chunks": _of_a_map,
    **dict.fromkeys(MAPS, _of_a_map),
}
