"""The API: its routers, its errors, and the document that describes both."""

import functools
import inspect
import json
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.openapi.docs import Swagger
from ninja.openapi.schema import OpenAPISchema
from ninja.parser import Parser

from furrow.api import (
    acting,
    approvals,
    batching,
    events,
    jobs,
    looking,
    schedules,
    scheduling,
    steps,
    submitting,
    work,
    workflows,
)
from furrow.api.auth import needs
from furrow.errors import FurrowError, InputError, NotUnique, SubmitError, UnknownKind, UnknownQueue
from furrow.models.api_token import Scope
from furrow.web import event_stream
from furrow.web.parameters import WrongParameter, refuse_unknown
from furrow.web.problems import CONTENT_TYPE, Refused, database_away

# Their operations are in the routers of the jobs, the schedules and the workflows, whose addresses they share.
assert submitting
assert scheduling
assert batching
#: What this API is called in addresses.
NAME = "furrow-api"
_PROBLEM = {
    "title": "Problem",
    "description": "An error, as RFC 9457 has it.",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong, and the remedy."},
        "errors": {
            "type": "array",
            "description": "Each field at fault.",
            "items": {
                "type": "object",
                "required": ["field", "detail"],
                "properties": {"field": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}
#: What any operation may answer instead, what those with a body may as well, and those that find something.
_ANY = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 422: "A field is at fault", 429: "Too Many Requests"}
_ANY[503] = "The database is away, a row is locked, or too many requests wait"
_OF_CHANGES = {409: "It has moved on meanwhile", 411: "Length Required", 413: "Content Too Large", 415: "The body is no JSON"}


#: No text in an address has this character, which no database keeps.
_NO_NUL = "^[^\\u0000]*$"


class _JSON(Parser):
    """Reads bodies: JSON alone, and none that nobody else could read."""

    def parse_body(self, request: HttpRequest) -> Any:
        """The value."""
        if request.content_type != "application/json":
            raise Refused(
                415, f"The body is {str(request.content_type)[:60]!r}: send JSON, with Content-Type: application/json."
            )
        return json.loads(request.body, parse_constant=_no_number)


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number in JSON")


class _Docs(Swagger):
    """The page of the document, with assets of this site alone."""

    def render_page(self, request: HttpRequest, api: NinjaAPI, **kwargs: Any) -> HttpResponse:
        """The page; Ninja's own would load scripts from elsewhere where its assets are not served."""
        if "ninja" not in settings.INSTALLED_APPS:
            text = (
                "This page needs 'ninja' in INSTALLED_APPS, which serves its scripts; the document itself is at openapi.json."
            )
            raise Refused(404, text)
        return super().render_page(request, api, **kwargs)


class _API(NinjaAPI):
    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        """The document, with the errors that every operation shares."""
        document = super().get_openapi_schema(**options)
        document["components"]["schemas"]["Problem"] = _PROBLEM
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                shared = _ANY | (_OF_CHANGES if method == "post" else {}) | ({404: "Not Found"} if "{" in path else {})
                content = {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
                for status, text in shared.items():
                    operation["responses"].setdefault(status, {"description": text, "content": content})
                for parameter in operation.get("parameters", ()):
                    if parameter["schema"].get("type") == "string" and "format" not in parameter["schema"]:
                        parameter["schema"].setdefault("pattern", _NO_NUL)
                if method == "get":
                    operation["responses"].setdefault(304, {"description": "It is as If-None-Match has it"})
        return document


def _strict(view: Callable[..., Any]) -> Callable[..., Any]:
    """A parameter that means nothing is refused by its name."""
    known = list(inspect.signature(view).parameters)

    @functools.wraps(view)
    def operation(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        refuse_unknown(request, known)
        return view(request, *args, **kwargs)

    return operation


api = _API(
    title="Furrow",
    version="1",
    description="Jobs: submit, find, follow and act on them. Errors are problems (RFC 9457). No text has the character U+0000. "
    "docs/http_api.md explains it.",
    urls_namespace=NAME,
    auth=needs(Scope.READ),
    docs_decorator=require_safe,
    docs=_Docs(settings={"deepLinking": True, "persistAuthorization": False}),
    parser=_JSON(),
)
api.add_decorator(_strict)
api.add_router("", jobs.router)
api.add_router("", acting.router)
api.add_router("", steps.router)
api.add_router("", workflows.router)
api.add_router("", schedules.router)
api.add_router("", approvals.router)
api.add_router("", looking.router)
api.add_router("", events.router)
api.add_router("", work.router)


# --- Errors -----------------------------------------------------------------------------------------------------------


@api.exception_handler(Refused)
def _refused(request: HttpRequest, error: Any) -> HttpResponse:
    return error.answer()  # type: ignore[no-any-return]


@api.exception_handler(AuthenticationError)
def _nobody(request: HttpRequest, error: Any) -> HttpResponse:
    return Refused(401, "Send a token of the admin as 'Authorization: Bearer fw_…', or log in.").answer()


@api.exception_handler(ValidationError)
def _not_valid(request: HttpRequest, error: Any) -> HttpResponse:
    fields: dict[str, str] = {}
    for item in error.errors:
        source, *path = item["loc"]
        path = path[1:] if source == "body" else path
        text = item["msg"][:1].lower() + item["msg"][1:]
        fields.setdefault(".".join(map(str, path)) or source, text)
    return Refused(422, fields=fields).answer()


@api.exception_handler(HttpError)
def _http_error(request: HttpRequest, error: Any) -> HttpResponse:
    """Ninja's own: a body that cannot be read."""
    if isinstance(error.__cause__, Refused):
        return error.__cause__.answer()
    reason = f": {error.__cause__}" if isinstance(error.__cause__, (ValueError, RecursionError)) else ""
    return Refused(error.status_code, f"{error.message}{reason}"[:300]).answer()


@api.exception_handler(WrongParameter)
def _wrong_parameter(request: HttpRequest, error: Any) -> HttpResponse:
    name, _, text = str(error).partition(": ")
    return Refused(422, fields={name: text}).answer()


@api.exception_handler(RequestDataTooBig)
def _too_big(request: HttpRequest, error: Any) -> HttpResponse:
    return Refused(413, f"The body is too large: at most {settings.DATA_UPLOAD_MAX_MEMORY_SIZE:,} bytes.").answer()


@api.exception_handler(NotUnique)
def _not_unique(request: HttpRequest, error: Any) -> HttpResponse:
    return Refused(409, str(error), error.fields).answer()


@api.exception_handler(SubmitError)
@api.exception_handler(InputError)
def _fields(request: HttpRequest, error: Any) -> HttpResponse:
    return Refused(422, str(error), error.fields).answer()


@api.exception_handler(UnknownKind)
def _unknown_kind(request: HttpRequest, error: Any) -> HttpResponse:
    return Refused(422, str(error), {"kind": str(error)}).answer()


@api.exception_handler(UnknownQueue)
@api.exception_handler(Http404)
def _not_found(request: HttpRequest, error: Any) -> HttpResponse:
    return Refused(404, str(error)).answer()


@api.exception_handler(FurrowError)
def _other(request: HttpRequest, error: Any) -> HttpResponse:
    return Refused(409, str(error)).answer()


@api.exception_handler(PermissionDenied)
def _forbidden(request: HttpRequest, error: Any) -> HttpResponse:
    return Refused(403, str(error) or "You may not do this.").answer()


@api.exception_handler(OperationalError)
@api.exception_handler(InterfaceError)
def _database_away(request: HttpRequest, error: Any) -> HttpResponse:
    if event_stream.CONTENT_TYPE in request.headers.get("Accept", ""):  # a browser never asks again after a refusal
        return event_stream.come_back()
    return database_away()
