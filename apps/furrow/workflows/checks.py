"""What is checked while a workflow is written down."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from furrow.errors import ArgumentError, WorkflowError
from furrow.kinds.arguments import Arguments
from furrow.kinds.kind import Kind
from furrow.kinds.returned import json_type
from furrow.workflows.references import Reference, inside
from furrow.workflows.results import Results


def texts_of(arguments: Arguments, rows: Sequence[Mapping[str, Any]], *, many: bool) -> list[str]:
    """These rows as JSON, checked.

    Raises:
        ArgumentError: one cannot be; of ``many`` it names the first, counted from 0.
    """
    texts = []
    for number, row in enumerate(rows):
        try:
            texts.append(arguments.to_json(row))
        except ArgumentError as error:
            if not many:
                raise
            fields = {f"row {number}: {key}": text for key, text in error.fields.items()}
            raise ArgumentError(error.kind, fields) from None
    return texts


def is_lazy(kind: Kind, name: str) -> bool:
    """Whether an argument's hint is :class:`Results`."""
    return bool(kind.arguments.schema.get("properties", {}).get(name, {}).get("title") == Results.__name__)


#: JSON types by those that they may become.
_FITS = {"integer": {"integer", "number"}, "number": {"number", "integer"}}


def refuse_references(
    kind: Kind, late: Mapping[str, Any], before: Collection[uuid.UUID], kinds: Mapping[uuid.UUID, Kind]
) -> None:
    """Arguments with references that cannot be. ``before``: what has ended when the node begins; ``kinds``: of nodes.

    Raises:
        ArgumentError: there is no such argument, or the result is of another type, by both type hints where they say enough.
        WorkflowError: the node has not ended by then.
    """
    for name, value in late.items():
        if not kind.arguments.takes(name):
            raise ArgumentError(kind.name, {name: "is not an argument of this kind"})
        for reference in inside(value):
            if reference.node not in before:
                text = f"{reference!r} is the result of a node that this one does not wait for: add it to after=[…]"
                raise WorkflowError(f"{kind.name}: {name}: {text}.")
        if isinstance(value, Reference) and not (value.path or value.many) and value.node in kinds:
            gives = json_type(kinds[value.node])
            takes = kind.arguments.schema.get("properties", {}).get(name, {}).get("type")
            if gives and takes and takes not in _FITS.get(gives, {gives}):
                text = f"takes a JSON {takes}, but {value!r} is a JSON {gives}, by the return hint of {kinds[value.node].name}"
                raise ArgumentError(kind.name, {name: text})
