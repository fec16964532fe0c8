"""A kind whose handler lives elsewhere: a worker in another language takes its jobs (docs/other_languages.md).

Submits, forms and validation treat it as any kind: a model stands in the place of the handler's signature.
"""

import inspect
import json
from collections.abc import Mapping
from typing import Annotated, Any

import pydantic
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from furrow.conf import conf
from furrow.errors import Abort, ArgumentError, KindError, ResultError
from furrow.kinds.arguments import Arguments, explain
from furrow.kinds.kind import Handler, Kind, Submit
from furrow.kinds.returned import result_json
from furrow.kinds.secret import KEY
from furrow.limits.limit import Rule, Rules

Model = type[pydantic.BaseModel]
#: Why a job of such a kind has no rate.
NO_RATE = "nobody can say when a run in another program began: give concurrency instead, or wait in the worker"


class ExternalKind(Kind):
    """See the module. ``result`` checks what a worker returns."""

    external = True

    def __init__(self, name: str, submit: Submit, *, arguments: Model | None, result: Any, module: str, **options: Any) -> None:
        """``module``: where it is declared. Other options are those of :class:`Kind`."""
        if arguments is not None and not (isinstance(arguments, type) and issubclass(arguments, pydantic.BaseModel)):
            raise KindError(f"{name}: arguments={arguments!r} must be a pydantic model, or None for a kind without arguments.")
        self._model = arguments
        try:
            self.result: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(Any if result is None else result)
            self.result_schema = None if result is None else self.result.json_schema(mode="validation")
        except pydantic.errors.PydanticUserError as error:
            raise KindError(f"{name}: result={result!r} has no JSON form: {str(error).splitlines()[0]}") from None
        super().__init__(_stand_in(name, arguments, module), submit, name=name, **options)

    @property
    def queues(self) -> list[str]:
        """The external ones."""
        return conf().external_queues

    def _arguments(self, handler: Handler) -> Arguments:
        return Arguments(self.name, handler) if self._model is None else ModelArguments(self.name, handler, self._model)

    def _rules(self, given: Rule) -> Rules:
        if given.get("rate"):
            raise KindError(f"{self.name}: rate: {NO_RATE}.")
        return super()._rules(given)

    def given(self, text: str) -> dict[str, Any]:
        """A row's arguments as its worker gets them: checked, with every default, and with secrets in plain text.

        Raises:
            ArgumentError: the row does not fit (the model was changed since, or another program wrote it).
        """
        checked = json.loads(self.arguments.to_json(self.read(text)))
        return {name: _plain(value) for name, value in checked.items()}

    def result_text(self, value: Any) -> str | None:
        """What a worker returned (a JSON value), checked, as JSON text.

        Raises:
            ResultError: it does not fit the declared result, or cannot be stored; names each field at fault.
        """
        try:
            checked = self.result.validate_json(json.dumps(value))
        except pydantic.ValidationError as error:
            wrong = {"result" if name == "arguments" else name: text for name, text in explain(error).items()}
            said = "; ".join(f"{name}: {text}" for name, text in wrong.items())
            raise ResultError(f"{self.name} returned what its result does not allow: {said}") from None
        return result_json(self, self.result.dump_python(checked, mode="json"))


class ModelArguments(Arguments):
    """The arguments of a kind that a model declares: its own validators have the first word."""

    def __init__(self, kind: str, handler: Handler, model: Model) -> None:
        super().__init__(kind, handler)
        self._declared = model

    def to_json(self, values: Mapping[str, Any]) -> str:
        """As :meth:`Arguments.to_json`."""
        if not isinstance(values, Mapping) or values.keys() - set(self.names):
            return super().to_json(values)  # which says what is wrong
        try:
            checked = self._declared.model_validate({name: _plain(value) for name, value in values.items()})
        except pydantic.ValidationError as error:
            raise ArgumentError(self.kind, explain(error, self.secret)) from None
        return super().to_json({name: getattr(checked, name) for name in self.names})


def _plain(value: Any) -> Any:
    """A secret as the row has it, without its mark."""
    return value[KEY] if isinstance(value, dict) and value.keys() == {KEY} else value


def _stand_in(name: str, model: Model | None, module: str) -> Handler:
    """A function with the model's fields as its parameters; nothing should call it."""

    def handler(**arguments: Any) -> None:
        raise Abort(
            f"{name} is run by workers in other languages, and its jobs belong in a queue of FURROW['EXTERNAL_QUEUES']: move "
            "this one there (change queue), and retry it"
        )

    fields = {} if model is None else model.model_fields
    for field, info in fields.items():
        if info.alias or info.validation_alias or info.serialization_alias:
            raise KindError(f"{name}: argument {field!r} has an alias, and arguments go by their own names: remove it.")
    handler.__name__ = handler.__qualname__ = str(name).rpartition(".")[2] or "handler"
    handler.__module__ = module
    handler.__doc__ = inspect.cleandoc((model.__dict__.get("__doc__") or "") if model else "")
    handler.__annotations__ = {field: _hint(info) for field, info in fields.items()}
    parameters = [
        inspect.Parameter(field, inspect.Parameter.KEYWORD_ONLY, default=_default(info), annotation=_hint(info))
        for field, info in fields.items()
    ]
    handler.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return handler


def _hint(info: FieldInfo) -> Any:
    said = [pydantic.Field(title=info.title, description=info.description)] if info.title or info.description else []
    extras = (*info.metadata, *said)
    return Annotated[(info.annotation, *extras)] if extras else info.annotation


def _default(info: FieldInfo) -> Any:
    value = info.get_default(call_default_factory=True, validated_data={})
    return inspect.Parameter.empty if value is PydanticUndefined else value
