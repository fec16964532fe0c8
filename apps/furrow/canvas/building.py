"""A canvas of kinds as a workflow: each call is a node, and a reference to its result is what the next is given.

A group whose members differ in nothing but their arguments is one node of many jobs.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from celery.canvas import Signature, maybe_signature
from celery.result import ResultBase
from vine import barrier

from furrow.canvas.makeup import Makeup, callbacks, is_empty, makeup, parts, sort_of
from furrow.errors import ArgumentError, WorkflowError
from furrow.kinds.celery_options import FOLLOWERS, submit_options, that_matter
from furrow.kinds.kind import get_kind
from furrow.kinds.results import JobGroup, job_result
from furrow.models.job import new_id
from furrow.workflows.builder import LONGEST_NAME, Builder, workflow
from furrow.workflows.handles import After, Handle
from furrow.workflows.references import Reference


class Given(NamedTuple):
    """What a part is given by those before it and by those around it."""

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = {}
    after: Sequence[Handle | After] = ()
    #: Options that go before its own.
    options: Mapping[str, Any] = {}
    #: Called for each of its jobs that fails.
    errbacks: Sequence[Signature] = ()
    #: The group whose result its result is part of.
    batch: str | None = None


class Part(NamedTuple):
    """A part as nodes."""

    #: A reference, or a list with references: what the next part is given.
    value: Any
    ends: Sequence[Handle | After]
    result: ResultBase


class Call(NamedTuple):
    """A member of a group, and the arguments that it is given before its own."""

    signature: Signature
    args: tuple[Any, ...]
    options: Mapping[str, Any]


def start(
    signature: Signature,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
) -> ResultBase:
    """Submit a canvas of kinds in the current transaction; returns Celery's result. ``options``: of the call, which go before
    those of the canvas.

    Raises:
        WorkflowError, ArgumentError, OptionError: something cannot be; nothing was written.
    """
    options = {name: value for name, value in (options or {}).items() if value is not None}
    if makeup(signature, options) is not Makeup.KINDS:
        raise WorkflowError(f"{signature!r:.100} is no canvas of kinds.")
    if {**signature.options, **options}.get("chord"):
        raise WorkflowError(
            f"{_name(signature)} is in the header of a chord of ordinary tasks, where a kind cannot be counted: make all of "
            "the header, and the body, kinds."
        )
    with workflow(_name(signature)) as w:
        part = Building(w).followed(signature, Given(tuple(args or ()), kwargs or {}, (), options))
        if isinstance(part.value, Reference) and isinstance(part.ends[0], Handle):
            w.result = part.ends[0]
    return part.result


class Building:
    """Adds signatures to a workflow."""

    def __init__(self, w: Builder) -> None:
        self._w = w

    def followed(self, signature: Signature, given: Given) -> Part:
        """A part with what it says that follows it: what it links to, and the rest of a chain."""
        options = {**signature.options, **given.options}
        errbacks = [*given.errbacks, *callbacks(options, "link_error")]
        inner = given._replace(options=_without(given.options, *FOLLOWERS), errbacks=errbacks)
        part = _SORTS.get(sort_of(signature), Building._call)(self, signature, inner)
        for callback in callbacks(options, "link"):
            self.followed(callback, Given((part.value,), {}, part.ends))
        for step in callbacks(options, "chain"):
            part = _behind(self.followed(step, Given((part.value,), {}, part.ends, errbacks=given.errbacks)), part)
        return part

    def _call(self, signature: Signature, given: Given) -> Part:
        """One job."""
        kind, options = get_kind(signature.task), _without({**signature.options, **given.options}, *FOLLOWERS)
        arguments = kind.arguments.bind(*_merged(signature, given.args, given.kwargs))
        chosen: dict[str, Any] = submit_options(kind.name, options, later=bool(given.after)) | _batch(given.batch)
        handle = self._w.add(kind, arguments, after=_once(given.after), **chosen)
        id = str(self._w.planned[handle.id].ids[0])
        for errback in given.errbacks:
            try:
                self.followed(errback, Given((id,), {}, [handle.failed]))
            except ArgumentError as error:
                text = "an errback is called with the id of the job that failed, or with nothing if it is .si()"
                raise ArgumentError(error.kind, error.fields, f"cannot be an errback as it is ({text})") from None
        return Part(handle.result, [handle], job_result(id))

    def _chain(self, chain: Signature, given: Given) -> Part:
        steps = [_only(step) for step in parts(chain) if not is_empty(step)]
        options = {**_without(chain.options, *FOLLOWERS), **given.options}
        last = {"task_id": options.pop("task_id")} if "task_id" in options else {}
        args, kwargs = _merged(chain, given.args, given.kwargs, own={})
        part: Part | None = None
        for number, step in enumerate(steps):
            first = Given(args, kwargs, given.after, options)
            now = first if part is None else Given((part.value,), {}, part.ends)
            now = now._replace(errbacks=given.errbacks)
            if number == len(steps) - 1:
                now = now._replace(options={**now.options, **last}, batch=given.batch)
            done = self.followed(step, now)
            part = done if part is None else _behind(done, part)
        return part or Part([], given.after, _group(None, []))

    def _group(self, group: Signature, given: Given) -> Part:
        args, kwargs = _merged(group, given.args, given.kwargs, own={})
        calls = list(_flat(group, args, {}))
        return self._together(calls, given._replace(kwargs=kwargs, options={**group.options, **given.options}))

    def _map(self, signature: Signature, given: Given) -> Part:
        task, rows = maybe_signature(signature.kwargs["task"]), signature.kwargs["it"]
        star = sort_of(signature) == "starmap"
        calls = [Call(task, tuple(row) if star else (row,), {}) for row in rows]
        options = {**signature.options, **given.options}
        return self._together(calls, Given((), {}, given.after, options, given.errbacks, given.batch))

    def _chunks(self, signature: Signature, given: Given) -> Part:
        task, rows, size = (signature.kwargs[name] for name in ("task", "it", "n"))
        rows = list(rows)
        starmap = Signature.TYPES["xstarmap"]
        calls = [Call(starmap(task, rows[at : at + size]), (), {}) for at in range(0, len(rows), size)]
        options = {**signature.options, **given.options}
        return self._together(calls, Given((), {}, given.after, options, given.errbacks, given.batch))

    def _chord(self, chord: Signature, given: Given) -> Part:
        options = _without({**chord.options, **given.options}, *FOLLOWERS)
        last = {"task_id": options.pop("task_id")} if "task_id" in options else {}
        kwargs = {**chord.kwargs.get("kwargs", {}), **given.kwargs}
        body = maybe_signature(kwargs.pop("body", None) or chord.kwargs["body"])
        args, kwargs = _merged(chord, given.args, kwargs, own={})
        header = [call for part in parts(chord) for call in _flat(part, args, {})]
        errbacks = [*given.errbacks, *callbacks(body.options, "link_error")]
        done = self._together(header, Given((), kwargs, given.after, options, errbacks))
        then = Given((done.value,), {}, done.ends, _without(options, "countdown", "eta") | last, given.errbacks, given.batch)
        return _behind(self.followed(body, then), done)

    def _together(self, calls: Sequence[Call], given: Given) -> Part:
        """Calls that do not wait for each other."""
        options = _without(given.options, *FOLLOWERS)
        id = str(options.pop("task_id", None) or new_id())
        given = given._replace(options=options, batch=given.batch or id)
        if not calls:
            return Part([], given.after, _group(id, []))
        if alike(calls) and not given.errbacks:
            return self._many(calls, given, id)
        done = [
            self.followed(call.signature, given._replace(args=call.args, options={**call.options, **options})) for call in calls
        ]
        ends = [end for part in done for end in part.ends]
        return Part([part.value for part in done], ends, _group(id, [part.result for part in done]))

    def _many(self, calls: Sequence[Call], given: Given, id: str) -> Part:
        """Jobs of one kind with the same options, as one node."""
        first = calls[0]
        kind = get_kind(first.signature.task)
        rows = [kind.arguments.bind(*_merged(call.signature, call.args, given.kwargs)) for call in calls]
        options = {**first.signature.options, **first.options, **given.options}
        chosen: dict[str, Any] = submit_options(kind.name, options, later=bool(given.after)) | _batch(given.batch)
        handle = self._w.map(kind, rows, after=_once(given.after), **chosen)
        jobs = self._w.planned[handle.id].ids
        return Part(handle.results, [handle], _group(id, [job_result(job) for job in jobs]))


_SORTS = {
    "chain": Building._chain,
    "group": Building._group,
    "chord": Building._chord,
    "chunks": Building._chunks,
    "map": Building._map,
    "starmap": Building._map,
}


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


def _flat(signature: Signature, args: tuple[Any, ...], options: Mapping[str, Any]) -> Iterator[Call]:
    """A group's members; those of a group within it are its own."""
    if is_empty(signature):
        return
    if sort_of(signature) != "group":
        yield Call(signature, args, options)
        return
    for member in parts(signature):
        inner = _without(member.options, "task_id", *FOLLOWERS) if sort_of(member) == "group" else {}
        yield from _flat(member, args, {**inner, **options})


def _only(step: Signature) -> Signature:
    """A step of a chain; a group of one is its member."""
    while sort_of(step) == "group" and len(members := parts(step)) == 1:
        step = members[0]
    return step


def _merged(
    signature: Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any], own: Mapping[str, Any] | None = None
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What it is given before its own arguments, and besides its own named ones; if it is immutable, nothing is."""
    own = signature.kwargs if own is None else own
    if signature.immutable:
        return tuple(signature.args), dict(own)
    return (*args, *signature.args), {**own, **kwargs}


def _once(after: Sequence[Handle | After]) -> list[Handle | After]:
    return list(dict.fromkeys(after))


def _batch(id: str | None) -> dict[str, Any]:
    return {} if id is None else {"batch": id}


def _group(id: str | None, results: Sequence[ResultBase]) -> JobGroup:
    return JobGroup(id or str(new_id()), list(results), ready_barrier=barrier())


def _behind(part: Part, before: Part) -> Part:
    """The part with the other as the first parent of its result."""
    result = part.result
    while result.parent is not None:
        result = result.parent
    if result is not before.result:
        result.parent = before.result
    return part


def _without(options: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in names}


def _name(signature: Signature) -> str:
    """For people: its sort, and its kinds; never arguments, which may be secret."""
    kinds = dict.fromkeys(_kinds(signature))
    sort = sort_of(signature)
    text = ", ".join(name.rpartition(".")[2] for name in kinds)
    text = f"{sort} of {text}" if sort else f"{text} and what follows"
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1]}…"


def _kinds(signature: Signature) -> Iterator[str]:
    sort = sort_of(signature)
    if sort in ("chain", "group", "chord"):
        for part in parts(signature):
            yield from _kinds(part)
        if sort == "chord":
            yield from _kinds(maybe_signature(signature.kwargs["body"]))
    else:
        yield str(maybe_signature(signature.kwargs["task"]).task if sort else signature.task)
