"""References: arguments that are results of other nodes, known when the node is let go.

An argument in which a reference is anywhere is kept as a template beside the job, never within its arguments: what a caller
gives as data is data, whatever it looks like.
"""

import json
import uuid
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from furrow.conf import conf
from furrow.errors import JobFailed
from furrow.kinds.secret import KEY
from furrow.models import Job, Node, Workflow
from furrow.states import State
from furrow.workflows.results import refuse_gaps

_NONE: Mapping[uuid.UUID, Node] = MappingProxyType({})


class Unresolved(Exception):
    """A reference leads to nothing; the text says why."""


class Reference:
    """The result of a node, or a part of it: ``a.result["id"]``."""

    def __init__(self, node: uuid.UUID, name: str, path: tuple[str | int, ...] = (), *, many: bool = False) -> None:
        self.node, self.path, self.many = node, path, many
        self._name = name

    def __getitem__(self, key: str | int) -> "Reference":
        if self.many:
            raise TypeError(f"{self}: the results of many jobs are passed whole")
        if isinstance(key, bool) or not isinstance(key, str | int):
            raise TypeError(f"{self}[{key!r}]: a key of an object or an index of an array, please")
        return Reference(self.node, self._name, (*self.path, key))

    def __iter__(self) -> Iterator[Any]:
        raise TypeError(f"{self} is known only when the node that gets it runs: pass it as an argument")

    def __repr__(self) -> str:
        return f"{self._name}.{'results' if self.many else 'result'}" + "".join(f"[{key!r}]" for key in self.path)


def inside(value: Any) -> list[Reference]:
    """The references in a value of an argument."""
    if isinstance(value, Reference):
        return [value]
    if isinstance(value, Mapping):
        return [reference for part in value.values() for reference in inside(part)]
    return [reference for part in value for reference in inside(part)] if isinstance(value, list | tuple) else []


def template(value: Any, *, lazy: bool) -> Any:
    """The JSON form of an argument with references. ``lazy``: results of many jobs are named, and not copied."""
    if isinstance(value, Reference):
        if value.many:
            return {"lazy" if lazy else "all": str(value.node)}
        return {"result": str(value.node), "path": list(value.path), "named": repr(value)}
    if isinstance(value, Mapping):
        return {"object": {str(key): template(part, lazy=lazy) for key, part in value.items()}}
    if isinstance(value, list | tuple):
        return {"array": [template(part, lazy=lazy) for part in value]}
    return {"value": json.loads(json.dumps(value))}


def resolve(node: Node, known: Mapping[uuid.UUID, Node] = _NONE) -> dict[str, Any]:
    """The arguments of a node that its references come to. ``known``: nodes that need not be read.

    Raises:
        Unresolved: one leads to nothing, or to more than arguments may be.
    """
    filled = {name: _filled(part, name, known) for name, part in (node.deferred or {}).items()}
    size, limit = len(json.dumps(filled, ensure_ascii=False).encode()), conf().max_argument_bytes
    if size > limit:
        raise Unresolved(
            f"{', '.join(filled)}: the results that it was to get take {size:,} bytes of JSON, the limit is {limit:,} "
            "(FURROW['MAX_ARGUMENT_BYTES']): return less, or take many results as Results, which are read one by one"
        )
    return filled


def source(node: uuid.UUID) -> uuid.UUID:
    """The node whose jobs have the results of this one: itself, or the one that it reuses."""
    found = _source(node, {})
    return node if found is None else found.pk


def _source(id: uuid.UUID, known: Mapping[uuid.UUID, Node]) -> Node | None:
    node = None
    for _ in range(1_000):
        before = node
        node = known.get(id) or Node.objects.filter(pk=id).first()
        if node is None or node.result_of is None:
            return node or before
        id = node.result_of
    return node


def _filled(part: Mapping[str, Any], name: str, known: Mapping[uuid.UUID, Node]) -> Any:
    [sort, *_] = part
    if sort == "secret":
        value = _filled(part["secret"], name, known)
        return None if value is None else {KEY: value}
    if sort == "value":
        return part["value"]
    if sort == "object":
        return {key: _filled(inner, name, known) for key, inner in part["object"].items()}
    if sort == "array":
        return [_filled(inner, name, known) for inner in part["array"]]
    if sort == "lazy":
        return {"results_of": str(source(uuid.UUID(part["lazy"])))}
    if sort == "all":
        return _of_many(source(uuid.UUID(part["all"])))
    return _followed(result_of(uuid.UUID(part["result"]), known), part["path"], name, part["named"])


def result_of(id: uuid.UUID, known: Mapping[uuid.UUID, Node] = _NONE) -> Any:
    """The result of a node: that of its one job, those of its many, or that of the workflow that it is.

    Raises:
        Unresolved: it has none.
    """
    node = _source(id, known)
    if node is None:
        raise Unresolved("the node whose result it was to get is gone")
    if node.sort == Node.Sort.WORKFLOW:
        inner = Workflow.objects.filter(parent=node.pk).first()
        return None if inner is None or inner.result_node is None else result_of(inner.result_node)
    if node.sort in (Node.Sort.MAP, Node.Sort.BATCH):
        return _of_many(node.pk)
    row = Job.objects.filter(node=node.pk).values_list("state", "result").first()
    if row is None or row[0] != State.SUCCEEDED:
        raise Unresolved(f"{node.name!r} has no result: its job {row[0] if row else 'is gone'}")
    return row[1]


def _of_many(node: uuid.UUID) -> list[Any]:
    found = list(Job.objects.filter(node=node).order_by("pk").values_list("result", flat=True))
    try:
        refuse_gaps(node, len(found))
    except JobFailed as error:
        raise Unresolved(str(error)) from None
    return found


def _followed(value: Any, path: list[str | int], name: str, named: str) -> Any:
    for key in path:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            raise Unresolved(f"{name}: {named} leads to nothing, the result has no {key!r} there") from None
    return value
