"""The form of an approval: a pydantic model, a dataclass, or a function whose arguments are its fields."""

import dataclasses
import inspect
import json
from collections.abc import Mapping
from importlib import import_module
from typing import Annotated, Any, get_type_hints

import pydantic

from furrow.errors import ArgumentError, InputError, KindError, WorkflowError
from furrow.kinds.arguments import Arguments, explain
from furrow.kinds.hints import File, ForeignKey, find_hint

#: Characters of a path.
LONGEST_PATH = 300


class Form:
    """What is asked. It has what a kind's form is made of: ``name``, ``doc`` and ``arguments``.

    Raises:
        KindError: a field has no type hint, or one without a JSON form; it is a secret, a file or a row.
    """

    def __init__(self, made_by: Any) -> None:
        self.name = getattr(made_by, "__name__", str(made_by))
        self.doc = made_by.__doc__ or "" if isinstance(made_by, type) else inspect.getdoc(made_by) or ""
        self.doc = "" if self.doc.startswith(f"{self.name}(") else inspect.cleandoc(self.doc)  # a dataclass's own
        self._class = made_by if isinstance(made_by, type) else None
        self.arguments = Arguments(f"the form {self.name}", _function_of(made_by))
        if self.arguments.secret:
            raise KindError(
                f"The form {self.name} has a secret field: answers are kept, and shown to who may see the approval."
            )
        for name in self.arguments.names:
            info = self.arguments.model.model_fields[f"a_{name}"]
            if any(find_hint(info.annotation, info.metadata, hint) for hint in (File, ForeignKey)):
                raise KindError(f"The form {self.name}: field {name!r} is a File or a ForeignKey, which only kinds have.")

    def check(self, answers: Mapping[str, Any]) -> Any:
        """Answers as they are kept: plain data, with the defaults of what was left out.

        Raises:
            InputError: names each field at fault.
        """
        try:
            checked = self.arguments.to_json(answers)
        except ArgumentError as error:
            raise InputError(error.fields) from None
        if self._class is None:
            return json.loads(checked)
        try:
            of_class: Any = pydantic.TypeAdapter(self._class)
            return json.loads(of_class.dump_json(of_class.validate_json(checked), by_alias=False))
        except pydantic.ValidationError as error:
            raise InputError(explain(error)) from None


def path_of(made_by: Any) -> str:
    """Where a form is, as ``module:name``.

    Raises:
        WorkflowError: it is nowhere that another process finds it, or cannot be a form.
    """
    module, name = (getattr(made_by, attribute, "") for attribute in ("__module__", "__qualname__"))
    if not name or "<" in name or len(module) + len(name) >= LONGEST_PATH:
        raise WorkflowError(f"form={made_by!r}: give a pydantic model, a dataclass or a function at the top of a module.")
    try:
        load(f"{module}:{name}")
    except InputError as error:
        raise WorkflowError(f"form={made_by!r}: {error.fields['form']}.") from None
    return f"{module}:{name}"


def load(path: str) -> Form:
    """The form at this path.

    Raises:
        InputError: the code has none there.
    """
    module, _, name = path.partition(":")
    try:
        made_by: Any = import_module(module)
        for part in name.split("."):
            made_by = getattr(made_by, part)
        return Form(made_by)
    except (ImportError, AttributeError, ValueError):
        raise InputError({"form": f"this version of the code has no {path!r}: decide where it has"}) from None
    except KindError as error:
        raise InputError({"form": str(error).rstrip(".")}) from None


def _function_of(made_by: Any) -> Any:
    """A function with an argument for each field of a class; a function itself."""
    if not isinstance(made_by, type):
        return made_by
    if issubclass(made_by, pydantic.BaseModel):
        found = {name: _hint_of(info) for name, info in made_by.model_fields.items()}
    elif dataclasses.is_dataclass(made_by):
        hints = get_type_hints(made_by, include_extras=True)
        found = {one.name: (hints[one.name], _default_of(one)) for one in dataclasses.fields(made_by) if one.init}
    else:
        raise KindError(f"{made_by.__name__} is no form: give a pydantic model, a dataclass or a function.")

    def function(**fields: Any) -> None: ...

    by_name = inspect.Parameter.KEYWORD_ONLY
    parameters = [inspect.Parameter(name, by_name, default=default) for name, (_, default) in found.items()]
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    function.__annotations__ = {name: hint for name, (hint, _) in found.items()}
    return function


def _hint_of(info: Any) -> tuple[Any, Any]:
    metadata = [*info.metadata, *([pydantic.Field(description=info.description)] if info.description else [])]
    hint = Annotated[(info.annotation, *metadata)] if metadata else info.annotation
    default = inspect.Parameter.empty if info.is_required() else info.get_default(call_default_factory=True, validated_data={})
    return hint, default


def _default_of(one: Any) -> Any:
    if one.default is not dataclasses.MISSING:
        return one.default
    return inspect.Parameter.empty if one.default_factory is dataclasses.MISSING else one.default_factory()
