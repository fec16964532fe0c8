"""The Model Context Protocol over HTTP (its streamable HTTP transport), with the tokens of the HTTP API.

Each request is one POST that is answered with JSON: there are no sessions and no streams to the assistant, since no tool tells
anything before it answers. So it is an ordinary view, under WSGI and ASGI alike.
"""

from typing import Any

from asgiref.sync import async_to_sync
from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError, connections
from django.http import HttpRequest, HttpResponse

from furrow.api.auth import Caller, Token, most_bytes
from furrow.assistant.package import MISSING, protocol
from furrow.assistant.tools import Door
from furrow.command.actor import Actor
from furrow.models.api_token import Scope
from furrow.models.audit_entry import Origin
from furrow.web import problems
from furrow.web.bodies import takes_json
from furrow.web.problems import Refused

#: What its address is called.
NAME = "furrow-mcp"
problems.spoken_below(NAME)


@takes_json(most_bytes)
def mcp(request: HttpRequest) -> HttpResponse:
    """One message of an assistant."""
    try:
        return _answer(request)
    except Refused as error:
        return error.answer()
    except RequestDataTooBig as error:
        return Refused(413, str(error)).answer()
    except (OperationalError, InterfaceError):
        return problems.database_away()


mcp.csrf_exempt = True  # type: ignore[attr-defined] # no cookie counts here
# A tool that fails must not take the note of the token's use with it, and a slow one must not stand in a transaction.
mcp._non_atomic_requests = set(connections)  # type: ignore[attr-defined]


def _answer(request: HttpRequest) -> HttpResponse:
    caller = _caller(request)
    server = protocol()
    if server is None:
        raise Refused(404, MISSING)
    if request.method != "POST":
        refused = Refused(405, "Send each message as a POST: there are no streams and no sessions here.").answer()
        refused["Allow"] = "POST"
        return refused
    actor = Actor(caller.user, origin=Origin.ASSISTANT, token=caller.named)
    door = Door(lambda: actor, caller.scopes, "a token with the scope {scope}")
    status, headers, body = async_to_sync(server.answer)(door, _scope(request), request.body)
    return HttpResponse(body, status=status, headers={**headers, "Cache-Control": "no-store"})


def _caller(request: HttpRequest) -> Caller:
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise Refused(401, "Send a token of the admin as 'Authorization: Bearer fw_…'.")
    origin = request.headers.get("Origin")
    if origin and origin != f"{request.scheme}://{request.get_host()}":
        raise Refused(403, f"A page of {origin[:200]} may not ask here: an assistant's program sends no Origin.")
    caller = Token(Scope.READ).authenticate(request, secret)
    if caller.kinds:
        raise Refused(403, "This token is for some kinds only, and the tools show jobs of all: use a token without kinds.")
    return caller


def _scope(request: HttpRequest) -> dict[str, Any]:
    """The request as ASGI has it."""
    headers = [(name.lower().encode("latin-1"), text.encode("latin-1", "replace")) for name, text in request.headers.items()]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": request.scheme,
        "path": request.path,
        "raw_path": request.path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": headers,
    }
