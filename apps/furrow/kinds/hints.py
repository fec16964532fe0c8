"""Type hints that change how a form asks for an argument::

def remind(user: Annotated[int, ForeignKey("auth.User")], letter: UploadedPath) -> None: ...

Code that submits passes plain values, and the handler gets them: the row's primary key, the file's name in Django's storage.
"""

from contextlib import suppress
from dataclasses import dataclass, is_dataclass
from typing import Annotated, Any, NewType, TypeVar, get_args, get_origin, get_type_hints

from django.apps import apps
from django.db.models import Model

from furrow.errors import KindError

Hint = TypeVar("Hint")


@dataclass(frozen=True)
class ForeignKey:
    """Marks an argument as the primary key of a row: ``Annotated[int, ForeignKey("auth.User")]``.

    Forms offer the rows that the person may view and accept no others. Code that submits is not checked. The row may be gone by
    the time the job runs; the handler must look.
    """

    #: ``app_label.ModelName``
    model: str

    def resolve(self) -> type[Model]:
        """The model class.

        Raises:
            KindError: no installed app has a model of this name.
        """
        try:
            return apps.get_model(self.model)
        except (LookupError, ValueError, TypeError, AttributeError):
            raise KindError(
                f"ForeignKey({self.model!r}) names no model: write 'app_label.ModelName' of an installed app."
            ) from None


@dataclass(frozen=True)
class File:
    """Marks an argument as the name of a file in Django's default storage: ``Annotated[str, File(max_bytes=1_000_000)]``.

    A form uploads the file to ``furrow/<job id>/``; it is deleted within hours of its job. The handler reads it with
    ``default_storage.open(name)``, in any process.
    """

    #: The largest upload that forms accept. Default: ``FURROW['MAX_UPLOAD_BYTES']``.
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.max_bytes is not None and (type(self.max_bytes) is not int or self.max_bytes < 1):
            raise KindError(f"File(max_bytes={self.max_bytes!r}): it must be a whole number of bytes, 1 or more.")


#: A file of at most ``FURROW['MAX_UPLOAD_BYTES']``: ``Annotated[str, File()]``.
UploadedPath = Annotated[str, File()]


def find_hint(annotation: Any, metadata: list[Any], wanted: type[Hint]) -> Hint | None:
    """The hint of this type on an argument: in its metadata, or within its ``Annotated`` and ``| None``."""
    for item in metadata:
        if isinstance(item, wanted):
            return item
    parts = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return find_hint(parts[0], list(parts[1:]), wanted)
    if type(None) in parts:
        return next((found for part in parts if (found := find_hint(part, [], wanted))), None)
    return None


def has_inside(annotation: Any, wanted: type[Any]) -> bool:
    """A hint of this type stands deeper than :func:`find_hint` looks: on the items of a list, a field of a model, …"""
    return find_hint(annotation, [], wanted) is None and _is_anywhere(annotation, wanted, set())


def _is_anywhere(annotation: Any, wanted: type[Any], seen: set[Any]) -> bool:
    if isinstance(annotation, wanted):
        return True
    parts: list[Any] = list(get_args(annotation))
    if isinstance(annotation, NewType):
        parts = [annotation.__supertype__]
    elif isinstance(annotation, type) and annotation not in seen:
        seen.add(annotation)
        fields = getattr(annotation, "model_fields", None)
        if isinstance(fields, dict):  # a pydantic model's
            parts += [part for field in fields.values() for part in (field.annotation, *field.metadata)]
        elif getattr(annotation, "__annotations__", None) and (
            is_dataclass(annotation) or issubclass(annotation, (dict, tuple))
        ):
            with suppress(NameError, TypeError):  # what it names is not there yet
                parts += get_type_hints(annotation, include_extras=True).values()
    return any(_is_anywhere(part, wanted, seen) for part in parts)
