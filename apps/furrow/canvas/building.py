"""A canvas of kinds as a workflow: each call is a node, and a reference to its result is what the next is given.

A group whose members differ in nothing but their arguments is one node of many jobs.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from celery.canvas import Signature, maybe_signature
from celery.result import ResultBase
from vine import barrier

from furrow.canvas.makeup import Makeup, makeup
from furrow.canvas.signatures import Call, alike, callbacks, flat, is_empty, merged, name_of, only, parts, sort_of, without
from furrow.errors import ArgumentError, WorkflowError
from furrow.kinds.celery_options import ERRBACK, FOLLOWERS, META
from furrow.kinds.kind import Kind, find_kind, get_kind
from furrow.kinds.results import JobGroup, job_result
from furrow.models.job import new_id
from furrow.workflows.builder import Builder, workflow
from furrow.workflows.handles import After, Handle
from furrow.workflows.references import Reference

#: The kind of the engine's own that returns what it is given.
GATHERS = "furrow.gather"


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
            f"{name_of(signature)} is in the header of a chord of ordinary tasks, where a kind cannot be counted: make all of "
            "the header, and the body, kinds."
        )
    with workflow(name_of(signature)) as w:
        part = Building(w).followed(signature, Given(tuple(args or ()), kwargs or {}, (), options))
        if isinstance(part.value, Reference) and isinstance(part.ends[0], Handle):
            w.result = part.ends[0]
    return part.result


def start_workflow(signature: Signature) -> str:
    """The same of a canvas whose result somebody waits for, whatever its form: returns the workflow's id.

    Raises:
        WorkflowError, ArgumentError, OptionError: as :func:`start`.
    """
    if makeup(signature) is not Makeup.KINDS:
        raise WorkflowError(f"{name_of(signature)} cannot take a job's place: it has ordinary tasks.")
    with workflow(name_of(signature)) as w:
        part = Building(w).followed(signature, Given())
        if isinstance(part.value, Reference) and isinstance(part.ends[0], Handle):
            w.result = part.ends[0]
        else:
            w.result = w.add(GATHERS, {"value": part.value}, after=_once(part.ends))
    return str(w.id.hex)


def start_with(kind: Kind, arguments: Mapping[str, Any], followers: Mapping[str, Any], **options: Any) -> list[uuid.UUID]:
    """Submit a job and what follows it, in the current transaction; returns the ids of all the jobs, its own first.

    Args:
        followers: ``link``, ``link_error`` and ``chain``, as Celery's options have them.
        options: as for :func:`furrow.submit`.

    Raises:
        WorkflowError, ArgumentError, OptionError: something cannot be; nothing was written.
    """
    makeup(Signature(kind.name), followers)
    with workflow(name_of(Signature(kind.name))) as w:
        building = Building(w)
        part = building.job(kind, arguments, options, Given(errbacks=callbacks(followers, "link_error")))
        building.rest(part, followers, callbacks(followers, "link_error"))
    return [id for planned in w.planned.values() for id in planned.ids]


class Building:
    """Adds signatures to a workflow."""

    def __init__(self, w: Builder) -> None:
        self.w = w
        #: The first task of each chain, by the tasks that follow it.
        self._roots: dict[str, str] = {}

    def followed(self, signature: Signature, given: Given) -> Part:
        """A part with what it says that follows it: what it links to, and the rest of a chain."""
        options = {**signature.options, **given.options}
        errbacks = [*given.errbacks, *callbacks(options, "link_error")]
        inner = given._replace(options=without(given.options, *FOLLOWERS), errbacks=errbacks)
        part = _SORTS.get(sort_of(signature), Building._call)(self, signature, inner)
        return self.rest(part, options, given.errbacks)

    def rest(self, part: Part, options: Mapping[str, Any], errbacks: Sequence[Signature] = ()) -> Part:
        """What follows a part, by its options; the last part of its chain."""
        for callback in callbacks(options, "link"):
            self.followed(callback, Given((part.value,), {}, part.ends))
        for step in callbacks(options, "chain"):
            part = _behind(self.followed(step, Given((part.value,), {}, part.ends, errbacks=errbacks)), part)
        return part

    def job(self, kind: Kind, arguments: Mapping[str, Any], chosen: dict[str, Any], given: Given) -> Part:
        """One job, with these options of a submit, and what is called if it fails."""
        handle = self.w.add(kind, arguments, after=_once(given.after), **chosen)
        id = str(self.w.planned[handle.id].ids[0])
        if kind.adopted and (root := chosen.get("meta", {}).get(META, {}).get("root_id")):
            self._roots[id] = root
        for errback in given.errbacks:
            found = find_kind(errback.task)
            now = (None, None, None) if found is not None and found.wants_the_error(errback) else (id,)
            options = {} if now == (id,) else {ERRBACK: id}
            try:
                self.followed(errback, Given(now, {}, [handle.failed], options))
            except ArgumentError as error:
                text = "an errback is called with the id of the job that failed, or with nothing if it is .si()"
                raise ArgumentError(error.kind, error.fields, f"cannot be an errback as it is ({text})") from None
        return Part(handle.result, [handle], job_result(id))

    def _call(self, signature: Signature, given: Given) -> Part:
        kind, options = get_kind(signature.task), without({**signature.options, **given.options}, *FOLLOWERS)
        if kind.adopted:
            options = {**self._lineage(given), **options}
        arguments, chosen = kind.call(*merged(signature, given.args, given.kwargs), options, later=bool(given.after))
        chosen |= _batch(given.batch)
        return self.job(kind, arguments, chosen, given)

    def _lineage(self, given: Given) -> dict[str, str]:
        """By which of its tasks a task is sent, as Celery has it."""
        before = next((self.w.planned[one.id].ids for one in given.after if isinstance(one, Handle)), [])
        if not before:
            return {}
        parent = str(before[0])
        return {"parent_id": parent, "root_id": self._roots.get(parent, parent)}

    def _chain(self, chain: Signature, given: Given) -> Part:
        steps = [only(step) for step in parts(chain) if not is_empty(step)]
        options = {**without(chain.options, *FOLLOWERS), **given.options}
        last = {"task_id": options.pop("task_id")} if "task_id" in options else {}
        args, kwargs = merged(chain, given.args, given.kwargs, own={})
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
        args, kwargs = merged(group, given.args, given.kwargs, own={})
        calls = list(flat(group, args, {}))
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
        options = without({**chord.options, **given.options}, *FOLLOWERS)
        kwargs = {**chord.kwargs.get("kwargs", {}), **given.kwargs}
        body = maybe_signature(kwargs.pop("body", None) or chord.kwargs["body"])
        id = options.pop("task_id", None)  # the body's, unless that has one of its own: then it is the header's
        first, last = ({"task_id": id}, {}) if body.options.get("task_id") else ({}, {"task_id": id})
        args, kwargs = merged(chord, given.args, kwargs, own={})
        header = [call for part in parts(chord) for call in flat(part, args, {})]
        errbacks = [*given.errbacks, *callbacks(body.options, "link_error")]
        done = self._together(header, Given((), kwargs, given.after, options | first, errbacks))
        options = {name: value for name, value in (without(options, "countdown", "eta") | last).items() if value is not None}
        then = Given((done.value,), {}, done.ends, options, given.errbacks, given.batch)
        return _behind(self.followed(body, then), done)

    def _together(self, calls: Sequence[Call], given: Given) -> Part:
        """Calls that do not wait for each other."""
        options = without(given.options, *FOLLOWERS)
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
        options = {**first.signature.options, **first.options, **given.options}
        given_to = [merged(call.signature, call.args, given.kwargs) for call in calls]
        rows = [kind.arguments.bind(*given) for given in given_to]
        chosen = kind.call(*given_to[0], options, later=bool(given.after))[1] | _batch(given.batch)
        handle = self.w.map(kind, rows, after=_once(given.after), **chosen)
        jobs = self.w.planned[handle.id].ids
        return Part(handle.results, [handle], _group(id, [job_result(job) for job in jobs]))


_SORTS = {
    "chain": Building._chain,
    "group": Building._group,
    "chord": Building._chord,
    "chunks": Building._chunks,
    "map": Building._map,
    "starmap": Building._map,
}


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
