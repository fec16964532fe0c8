"""Secret arguments: ``def call(url: str, token: Annotated[str, Secret]) -> None``.

The handler gets the plain value. The row stores it as ``{"$secret": value}``, so that every page can mask it, even when the
kind is no longer registered; pages call :func:`masked` and :func:`mask_text`. The value is hidden, not encrypted: whoever may
read the database may read it.
"""

import json
from typing import Any

import pydantic
from pydantic_core import CoreSchema, core_schema

#: The key of a secret in a row's JSON.
KEY = "$secret"
#: What is shown in its place.
MASK = "••••••"


class Secret:
    """Marks an argument as secret: ``Annotated[str, Secret]``. No page, log or command shows its value, and no search finds it.

    The handler gets the plain value. The database row has it unencrypted. pydantic's ``SecretStr`` means the same.
    """

    @classmethod
    def __get_pydantic_core_schema__(cls, hint: Any, handler: pydantic.GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(
            _unwrapped,
            handler(hint),
            serialization=core_schema.wrap_serializer_function_ser_schema(_wrapped, info_arg=False),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: pydantic.GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(core), "writeOnly": True, "format": "password"}


def _unwrapped(value: Any) -> Any:
    return value[KEY] if isinstance(value, dict) and value.keys() == {KEY} else value


def _wrapped(value: Any, serialize: Any) -> Any:
    if value is None:
        return None
    plain = value.get_secret_value() if isinstance(value, pydantic.SecretStr) else serialize(value)
    return {KEY: plain}


def masked(value: Any) -> Any:
    """A JSON value with every secret in it replaced by dots."""
    if isinstance(value, dict):
        return MASK if KEY in value else {key: masked(part) for key, part in value.items()}
    return [masked(part) for part in value] if isinstance(value, list) else value


def mask_text(text: str) -> str:
    """A whole JSON text with every secret in it replaced by dots; as it is when there is none. What cannot be read but may
    hold a secret is not shown at all."""
    if KEY not in text:
        return text
    try:
        return json.dumps(masked(json.loads(text)), ensure_ascii=False)
    except (ValueError, RecursionError):
        return json.dumps(MASK, ensure_ascii=False)
