"""What pool processes report, made into records whose fields have the right types.

The ledger writes in one statement what many processes reported: a field of another type in one record would spoil them all.
Such a packet comes from code that writes into a descriptor which is not its own.
"""

import types
from functools import cache
from itertools import product
from typing import Any, NamedTuple, TypeVar, get_args, get_type_hints

Record = TypeVar("Record", bound=NamedTuple)


@cache
def _shapes(form: type[NamedTuple]) -> frozenset[tuple[type, ...]]:
    """Which types the fields of such a record may have, one after the other, as ``marshal`` reads them."""
    return frozenset(product(*map(_as_read, get_type_hints(form).values())))


def _as_read(hint: Any) -> list[type]:
    if isinstance(hint, types.UnionType):
        return [one for part in get_args(hint) for one in _as_read(part)]
    if hint is float:
        return [float, int]
    return [str] if issubclass(hint, str) else [hint]  # of an enumeration the value


def record(form: type[Record], fields: Any) -> Record:
    """Such a record of these fields.

    Raises:
        TypeError: there are more or fewer fields, or one has another type than it must have.
    """
    if (*map(type, fields),) not in _shapes(form):
        raise TypeError(f"A pool process sent a {form.__name__} with fields of other types: {str(fields)[:300]}")
    return form._make(fields)
