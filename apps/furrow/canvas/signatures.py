"""Celery's signatures, taken apart: their sorts, parts and options."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from celery.canvas import Signature, maybe_signature
from celery.utils.functional import _regen, maybe_list

from furrow.kinds.celery_options import FOLLOWERS, that_matter
from furrow.workflows.builder import LONGEST_NAME

#: Signatures that call one task with many arguments.
MAPS = ("map", "starmap")
#: Those that have parts, or call one task with many arguments.
SORTS = ("chain", "group", "chord", "chunks", *MAPS)


class Call(NamedTuple):
    """A member of a group, and the arguments that it is given before its own."""

    signature: Signature
    args: tuple[Any, ...]
    options: Mapping[str, Any]


def sort_of(signature: Signature) -> str:
    """One of ``SORTS``; of a call of a task it is empty."""
    celerys, _, sort = str(signature.task).partition(".")
    return sort if celerys == "celery" and sort in SORTS else ""


def parts(signature: Any) -> list[Signature]:
    """The members of a group or a header, also where it has not been made a signature yet."""
    return [maybe_signature(member) for member in _members(signature) or ()]


def _members(signature: Any) -> Any:
    members = signature.tasks if isinstance(signature, Signature) else signature
    return members.tasks if isinstance(members, Signature) else members


def unmade(signature: Any) -> Any:
    """The members, where a generator has not made all of them yet: Celery sends each before it asks for the next but one. Else
    ``None``."""
    members = _members(signature)
    return members if isinstance(members, _regen) and not members._regen__done else None


def callbacks(options: Mapping[str, Any], name: str) -> list[Signature]:
    """What is in ``link``, ``link_error`` or ``chain``, in the order in which it is to run."""
    found = [maybe_signature(one) for one in maybe_list(options.get(name)) or ()]
    return found[::-1] if name == "chain" else found


def is_empty(signature: Signature) -> bool:
    """A group or chain without a part, which Celery leaves out."""
    if sort_of(signature) not in ("chain", "group"):
        return False
    if (coming := unmade(signature)) is not None:
        return next(iter(coming), None) is None
    return all(is_empty(part) for part in parts(signature))


def alike(calls: Sequence[Call]) -> bool:
    """Whether calls differ in their arguments only."""
    first = calls[0]
    one = that_matter(first.signature.options)
    if len(calls) < 2 or sort_of(first.signature) or {"task_id", *FOLLOWERS} & one.keys():
        return False
    seen = first
    for call in calls:
        now, before = call.signature, seen.signature
        if now is not before and (
            now.task != before.task
            or sort_of(now)
            or bool(now.immutable) != bool(before.immutable)
            or that_matter(now.options) != one
        ):
            return False
        if call.options != first.options:
            return False
        seen = call
    return True


def flat(signature: Signature, args: tuple[Any, ...], options: Mapping[str, Any]) -> Iterator[Call]:
    """A group's members; those of a group within it are its own."""
    if is_empty(signature):
        return
    if sort_of(signature) != "group":
        yield Call(signature, args, options)
        return
    for member in parts(signature):
        inner = without(member.options, "task_id", *FOLLOWERS) if sort_of(member) == "group" else {}
        yield from flat(member, args, {**inner, **options})


def only(step: Signature) -> Signature:
    """A step of a chain; a group of one is its member."""
    while sort_of(step) == "group" and len(members := parts(step)) == 1:
        step = members[0]
    return step


def merged(
    signature: Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any], own: Mapping[str, Any] | None = None
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What it is given before its own arguments, and besides its own named ones; if it is immutable, nothing is."""
    own = signature.kwargs if own is None else own
    if signature.immutable:
        return tuple(signature.args), dict(own)
    return (*args, *signature.args), {**own, **kwargs}


def without(options: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The other options."""
    return {name: value for name, value in options.items() if name not in names}


def name_of(signature: Signature) -> str:
    """For people: its sort, and its kinds; never arguments, which may be secret."""
    kinds = dict.fromkeys(kinds_in(signature))
    sort = sort_of(signature)
    text = ", ".join(name.rpartition(".")[2] for name in kinds)
    text = f"{sort} of {text}" if sort else f"{text} and what follows"
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1]}…"


def kinds_in(signature: Signature) -> Iterator[str]:
    """The names of the tasks that it calls."""
    sort = sort_of(signature)
    if sort in ("chain", "group", "chord"):
        for part in parts(signature):
            yield from kinds_in(part)
        if sort == "chord":
            yield from kinds_in(maybe_signature(signature.kwargs["body"]))
    else:
        yield str(maybe_signature(signature.kwargs["task"]).task if sort else signature.task)
