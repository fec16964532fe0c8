"""Assistants over HTTP: the same tools for whoever has a token, in sessions of the official client and by hand."""

import json
import sys
from collections.abc import Iterator
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from config.wsgi import application
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from furrow import Job, State, submit
from furrow.actions import tokens
from furrow.models import ApiToken, AuditEntry

from tests import kinds
from tests.api import ALL, Api
from tests.assistant import over_http
from tests.integration.test_assistant import ACTING, READING, SUBMITTING
from tests.integration.test_request_limits_asgi import asked
from tests.people import somebody

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore:No directory at")]
HEADERS = {"Accept": "application/json, text/event-stream"}


def message(method: str, **params: Any) -> dict[str, Any]:
    """One of the protocol's."""
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def address(committed: None, unlimited: None) -> Iterator[str]:
    """Of the protocol, at a web server in a thread of this process."""
    with make_server("127.0.0.1", 0, application, handler_class=_Quiet) as server:

        def serve() -> None:
            server.serve_forever(0.01)
            connections.close_all()

        thread = Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/mcp"
        server.shutdown()
        thread.join()
    AuditEntry.objects.filter(origin="assistant").delete()
    ApiToken.objects.all().delete()
    User.objects.filter(username="somebody").delete()


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_an_assistant_over_http_is_its_token(address: str, mode: str) -> None:
    user = somebody("view_job", "submit_job", "act_on_job")
    later, guarded = submit(kinds.add, {"a": 1}, countdown=600), submit(kinds.guarded, {}, countdown=600)
    reads, _ = made = tokens.make("reads", user=user, scopes=["read"])
    with over_http(address, made[1], mode) as assistant:
        assert {tool.name for tool in assistant.tools()} == READING
        assert {row["id"] for row in assistant.ask("find_jobs")} == {str(later.pk), str(guarded.pk)}
        assert "needs a token with the scope act" in assistant.refused("cancel_jobs", ids=[later.pk])
        assert "id: input should be a valid UUID" in assistant.refused("show_job", id="7")
    token, secret = tokens.make("acts", user=user, scopes=ALL)
    with over_http(address, secret, mode) as assistant:
        assert {tool.name for tool in assistant.tools()} == READING | ACTING | SUBMITTING
        assert assistant.ask("cancel_jobs", ids=[later.pk, guarded.pk])["changed"] == 1
        assert assistant.ask("submit_job", kind="kinds.add", arguments={"a": 2}, countdown=600)["submitted_by"] == "somebody"
        assert "needs furrow.submit_job and auth.change_group" in assistant.refused("submit_job", kind="kinds.guarded")
        user.user_permissions.clear()
        assert "somebody may not" in assistant.refused("find_jobs")
    assert set(Job.objects.values_list("pk", "state")) >= {(later.pk, State.CANCELLED), (guarded.pk, State.PENDING)}
    entries = AuditEntry.objects.filter(user_id=user.pk, origin="assistant").order_by("pk")
    assert list(entries.values_list("action", "token")) == [("cancel", str(token)), ("submit", str(token))]
    reads.refresh_from_db()
    assert reads.last_used_at is not None


@pytest.mark.django_db
@pytest.mark.usefixtures("unlimited")
def test_who_may_not_ask_is_told_why() -> None:
    user = somebody("view_job")
    everybody = Api(user, "read")
    ApiToken.objects.update(name="everybody's")  # a user's tokens have names of their own

    def post(body: Any = None, **headers: str) -> Any:
        given = {**HEADERS, "Authorization": f"Bearer {everybody.secret}", **headers}
        return Client().post("/mcp", body or message("tools/list"), "application/json", headers=given)

    assert len(post().json()["result"]["tools"]) == len(READING)
    answer = post(Authorization="")
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
    assert post(Authorization="Bearer fw_nothing").status_code == 401
    assert post(Origin="https://evil.example").status_code == 403
    assert post(Origin="http://testserver").status_code == 200
    for scopes, kinds_of in ((["submit"], []), (["read"], ["kinds.add"])):
        api = Api(user, *scopes, kinds=kinds_of)
        answer = post(Authorization=f"Bearer {api.secret}")
        assert answer.status_code == 403
        assert ("scope read" if kinds_of == [] else "kinds") in answer.json()["detail"]
        api.token.delete()
    for method in ("get", "delete", "put"):
        answer = getattr(Client(), method)("/mcp", headers={"Authorization": f"Bearer {everybody.secret}"})
        assert (answer.status_code, answer["Allow"]) == (405, "POST")
    User.objects.update(is_active=False)
    assert post().status_code == 401


@pytest.mark.django_db
@pytest.mark.usefixtures("unlimited")
@pytest.mark.parametrize("version", ["2025-06-18", "2026-07-28"])
@pytest.mark.parametrize(
    "body",
    ["{", "[]", "7", '[{"jsonrpc": "2.0"}]', '{"jsonrpc": "2.0", "id": 1, "method": "no/such", "params": {}}', "[" * 10_000]
    + [json.dumps(message(name)) for name in ("subscriptions/listen", "tools/call", "resources/subscribe")],
)
def test_what_is_no_message_is_answered_and_holds_nobody_up(version: str, body: str) -> None:
    headers = {
        **HEADERS,
        "Authorization": f"Bearer {Api(somebody('view_job'), 'read').secret}",
        "MCP-Protocol-Version": version,
    }
    answer = Client().post("/mcp", body, "application/json", headers=headers)
    assert answer.status_code < 500
    assert "error" in answer.json()


@pytest.mark.django_db
@pytest.mark.usefixtures("unlimited")
def test_under_asgi_it_is_the_same() -> None:
    api = Api(somebody("view_job"), "read")
    given = {**HEADERS, "authorization": f"Bearer {api.secret}", "content-type": "application/json"}
    body = json.dumps(message("tools/call", name="find_jobs", arguments={})).encode()
    status, text, _ = asked("/mcp", [body], headers={**given, "content-length": str(len(body))})
    assert (status, json.loads(text)["result"]["isError"]) == (200, False)
    assert asked("/mcp", headers={**given, "content-length": "300000000"})[0] == 413
    assert asked("/mcp", headers={"content-length": "300000000"})[0] == 413


@pytest.mark.django_db
@pytest.mark.usefixtures("unlimited")
def test_without_the_package_the_address_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "furrow.assistant.server", raising=False)
    monkeypatch.setitem(sys.modules, "mcp.server.lowlevel", None)
    headers = {"Authorization": f"Bearer {Api(somebody('view_job'), 'read').secret}"}
    answer = Client().post("/mcp", message("tools/list"), "application/json", headers=headers)
    assert (answer.status_code, "pip install 'furrow-jobs[mcp]'" in answer.json()["detail"]) == (404, True)
