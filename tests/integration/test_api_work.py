"""What a program that takes jobs of external kinds over HTTP may ask, and how it is answered."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from django.urls import resolve
from furrow import Job, submit
from furrow.actions import tokens
from furrow.models import Worker
from furrow.models.api_token import Scope

from tests import external_kinds
from tests.external_kinds import plain, resize, someone

external_kinds.forget()
pytestmark = pytest.mark.usefixtures("nobody_runs", "kinds")


@pytest.fixture
def kinds() -> Iterator[None]:
    with external_kinds.known():
        yield


@pytest.fixture
def user(db: None) -> User:
    return someone()


class Program:
    """Knows a secret."""

    def __init__(self, user: User, name: str = "all", **options: Any) -> None:
        _, self._secret = tokens.make(name, **{"user": user, "scopes": [Scope.WORK], **options})

    def __call__(self, path: str, body: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self._secret}"}
        answer = Client().post(f"/api/work/{path}", body, content_type="application/json", headers=headers)
        return answer.status_code, answer.json()


def test_a_run_from_claim_to_end(user: User) -> None:
    ask, job = Program(user), submit(resize, {"path": "a.png"}, meta={"tenant": "acme"})
    status, claimed = ask("claim", {"name": "one", "kinds": ["images.resize"], "limit": 2})
    run = {"id": str(job.pk), "attempt": 1}
    about = {"kind": "images.resize", "max_attempts": 3, "meta": {"tenant": "acme"}, "timeout": 60}
    assert (status, claimed["jobs"]) == (200, [{**run, **about, "arguments": {"path": "a.png", "width": 100, "key": ""}}])
    worker = {"worker": claimed["worker"]}
    assert ask("claim", {"name": "one", **worker})[1] == {**worker, "lease": claimed["lease"], "jobs": []}
    pulse = {"lives": True, "lease": claimed["lease"], "cancelled": [], "lost": [], "stop": False}
    assert ask("heartbeat", {**worker, "runs": [run]}) == (200, pulse)
    assert ask("log", {"lines": [{**run, "message": "half", "level": "warning", "at": "2026-01-31T13:45:00Z"}]})[0] == 200
    assert ask("progress", {"runs": [{**run, "fraction": 0.5}]}) == (200, {"recorded": 1})
    ended = {**run, "outcome": "succeeded", "result": {"path": "b.png", "bytes": 3}}
    for _ in range(2):
        assert ask("finish", {"runs": [ended]}) == (200, {"runs": [{**run, "state": "succeeded", "error": ""}]})
    assert ask("leave", worker) == (200, {"left": True})
    assert ask("heartbeat", {**worker, "runs": [run]})[1]["lives"] is False
    job.refresh_from_db()
    assert (job.result, job.log_lines.get().level) == ({"path": "b.png", "bytes": 3}, 30)


def test_a_token_takes_only_what_it_may(user: User) -> None:
    resizing, counting = submit(resize, {"path": "a"}), submit(plain)
    ask, narrow = Program(user), Program(user, "narrow", kinds=["words.plain"])
    status, problem = narrow("claim", {"name": "n", "kinds": ["images.resize"]})
    assert (status, problem["detail"]) == (403, "This token is not for images.resize: it is for words.plain.")
    status, claimed = narrow("claim", {"name": "n", "limit": 9})
    assert (status, [one["id"] for one in claimed["jobs"]]) == (200, [str(counting.pk)])
    _, taken = ask("claim", {"name": "n", "kinds": ["images.resize"]})
    run = {"id": str(resizing.pk), "attempt": 1}
    assert [one["id"] for one in taken["jobs"]] == [run["id"]]
    ends = [{"id": str(counting.pk), "attempt": 1, "outcome": "succeeded"}, {**run, "outcome": "succeeded"}]
    status, problem = narrow("finish", {"runs": ends})
    assert (status, [one["field"] for one in problem["errors"]]) == (409, ["runs.1"])
    assert narrow("log", {"lines": [{**run, "message": "x"}]})[0] == 409
    assert narrow("progress", {"runs": [{**run, "fraction": 1}]})[0] == 409
    assert dict(Job.objects.values_list("kind", "state")) == {"images.resize": "running", "words.plain": "succeeded"}
    assert Program(user, "reads", scopes=[Scope.READ])("claim", {"name": "n"})[0] == 403
    user.user_permissions.clear()
    assert ask("claim", {"name": "n"})[0] == 403
    assert ask("finish", {"runs": [{**run, "outcome": "succeeded"}]})[0] == 409


RUN = {"id": str(uuid.uuid4()), "attempt": 1}


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("claim", {}, "name"),
        ("claim", {"name": "n", "kinds": ["images.resized"]}, "kinds.0"),
        ("claim", {"name": "n", "limit": 101}, "limit"),
        ("claim", {"name": "n", "wait": 1e9}, "wait"),
        ("claim", {"name": "n", "colour": 1}, "colour"),
        ("heartbeat", {"worker": "me"}, "worker"),
        ("log", {"lines": [{**RUN, "message": "x", "level": "loud"}]}, "lines.0.level"),
        ("log", {"lines": [{**RUN, "message": "x", "at": "2026-01-31T13:45:00"}]}, "lines.0.at"),
        ("progress", {"runs": [{**RUN, "fraction": 2}]}, "runs.0.fraction"),
        ("finish", {"runs": [{**RUN, "outcome": "lost"}]}, "runs.0.outcome"),
        ("finish", {"runs": [{**RUN, "outcome": "failed", "retry_in": -1}]}, "runs.0.retry_in"),
        ("finish", {"runs": []}, "runs"),
    ],
)
def test_what_is_wrong_is_named(user: User, path: str, body: Any, field: str) -> None:
    status, problem = Program(user)(path, body)
    assert (status, [one["field"] for one in problem["errors"]]) == (422, [field])


def test_odd_values_are_kept_or_named(user: User) -> None:
    """What Python or a database cannot hold: halves of characters, NUL, depth."""
    ask, deep = Program(user), "[" * 500 + "]" * 500
    for odd in ("\\ud800", "\\u0000", "x" * 100_000):
        submit(plain)
        (job,) = ask("claim", {"name": "n"})[1]["jobs"]
        run = f'"id": "{job["id"]}", "attempt": 1'
        for at in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"):
            assert ask("log", f'{{"lines": [{{{run}, "message": "{odd}", "at": "{at}"}}]}}')[0] == 200
        assert ask("finish", f'{{"runs": [{{{run}, "outcome": "succeeded", "result": ["{odd}", {deep}]}}]}}')[0] == 200
    failed = Job.objects.filter(error__startswith="ResultError: ", state="failed")
    assert failed.count() == 3


def test_where_too_many_wait_no_worker_is_left_behind(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("furrow.web.waiters._waiting", 10**6)
    assert Program(user)("claim", {"name": "n", "wait": 5})[0] == 503
    assert not Worker.objects.exists()


def test_a_claim_that_waits_keeps_no_transaction_open_also_with_atomic_requests() -> None:
    assert vars(resolve("/api/work/claim").func)["_non_atomic_requests"] == set(connections)
