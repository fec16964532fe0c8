"""Every address of the site and every kind of user, looked at (GET) and acted on (POST).

The addresses come from the URLconf: one that is new has no row in ``tests/permission_matrix.py``, and the first test fails
until it gets one.
"""

import datetime as dt
import json
import re
from collections.abc import Iterator
from http.cookies import SimpleCookie
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction
from django.http import HttpResponseBase
from django.test import Client
from django.urls import URLPattern, get_resolver
from django.utils import timezone
from furrow import Job, State, submit
from furrow.models import Node, Step, WorkerRequest
from furrow.models.job import new_id

from tests import kinds
from tests.permission_matrix import MATRIX, NO_FORMS, OWN_APPS, ROLES, ROWS, J, Row
from tests.thorough import first_of

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.filterwarnings("ignore:No directory at"),
    pytest.mark.filterwarnings("ignore:Overriding setting"),
]


def routes() -> list[str]:
    """Every route of the site, as the URLconf has it."""

    def walk(resolver: Any, before: str) -> Iterator[str]:
        for part in resolver.url_patterns:
            route = before + str(part.pattern)
            if isinstance(part, URLPattern):
                yield re.sub(r"<app_label>[\w|]+", "<app_label>APPS", route)
            else:
                yield from walk(part, route)

    return list(walk(get_resolver(), ""))


def address(route: str, row: Row, samples: dict[str, Any]) -> str:
    """The address of a route, with a sample for each parameter."""
    if "" in row.where:
        return "/" + row.where[""]
    defaults = {"job_id": "{furrow.job}", "object_id": "{" + ".".join(route.split("/")[1:3]) + "}"}

    def sample(found: re.Match[str]) -> str:
        text = row.where.get(found[1]) or defaults[found[1]]
        return str(samples[text[1:-1]]) if text.startswith("{") else text

    return "/" + re.sub(r"<(?:\w+:)?(\w+)>", sample, route)


def fingerprint() -> str:
    """Every row of every table, but sessions."""
    without = ("sessions", "contenttypes", "admin")
    models = [model for model in apps.get_models() if model._meta.managed and model._meta.app_label not in without]
    rows = {model._meta.label: list(model._default_manager.order_by("pk").values()) for model in models}
    for user in rows["auth.User"]:
        user.pop("last_login")
    return json.dumps(rows, cls=DjangoJSONEncoder, default=str)


# --- Samples ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def samples(settings: Any, tmp_path: Any) -> dict[str, Any]:
    """A row of each table that the admin shows, by its model's label."""
    settings.MEDIA_ROOT = tmp_path
    now = timezone.now()
    made: dict[str, Any] = {}
    waiting = submit(kinds.add, {"a": 1}, countdown=3600)
    _with_step(waiting)
    ended = submit(kinds.add, {"a": 2})
    Job.objects.filter(pk=ended.pk).update(state=State.FAILED, finished_at=now)
    made |= {"furrow.job": waiting.pk, "ended": ended.pk}
    made["auth.user"] = User.objects.create(username="sample").pk
    made["auth.group"] = Group.objects.create(name="sample").pk
    models: list[Any] = [*admin.site._registry, WorkerRequest]
    for model in models:
        label = model._meta.label_lower
        if label not in made and model._meta.managed:
            made[label] = SAMPLES[label](now).pk
    made["node"] = Node.objects.get(workflow=made["furrow.workflow"]).pk
    made["running"] = submit(kinds.add, {"a": 3}).pk
    Job.objects.filter(pk=made["running"]).update(
        state=State.RUNNING, worker=made["furrow.worker"], attempt=1, started_at=now, queued_at=now
    )
    return made


def _with_step(job: Job) -> None:
    now = timezone.now()
    Step.objects.create(job=job, name="charge", sort="step", position=1, attempt=1, started_at=now, finished_at=now)


def _make(label: str, **values: Any) -> Any:
    return apps.get_model(label)._default_manager.create(**values)


def _approval() -> Any:
    """A job waits for it."""
    job = submit(kinds.add, {"a": 4}, countdown=3600)
    return _make("furrow.Approval", job=job, step="approval", title="sample", permission="furrow.act_on_job")


def _workflow() -> Any:
    """One node of it is to wait."""
    row = _make("furrow.Workflow", name="sample")
    _make("furrow.Node", workflow=row, name="sample", kind="kinds.add", unmet=1)
    return row


SAMPLES: dict[str, Any] = {
    "django_celery_results.taskresult": lambda now: _make("django_celery_results.TaskResult", task_id="sample"),
    "django_celery_results.groupresult": lambda now: _make("django_celery_results.GroupResult", group_id="sample"),
    "furrow.attempt": lambda now: _make(
        "furrow.Attempt", job_id=new_id(), number=1, outcome="failed", started_at=now, finished_at=now, pid=1
    ),
    "furrow.logline": lambda now: _make("furrow.LogLine", job_id=new_id(), attempt=1, at=now, level=20, message="sample"),
    "furrow.worker": lambda now: _make(
        "furrow.Worker",
        id=new_id(),
        node="sample@here",
        heartbeat_at=now,
        lease_until=now + dt.timedelta(hours=1),
        processes=1,
        pid=1,
    ),
    "furrow.workerrequest": lambda now: _make("furrow.WorkerRequest", worker=new_id(), action="restart", asked_at=now),
    "furrow.leader": lambda now: _make("furrow.Leader", role="sample", lease_until=now),
    "furrow.queue": lambda now: _make("furrow.Queue", name="default", paused_at=now, paused_by="sample"),
    "furrow.webhook": lambda now: _make("furrow.Webhook", name="sample", url="https://a.example/", patterns=["#"]),
    "furrow.schedule": lambda now: _make("furrow.Schedule", name="sample", kind="kinds.noop", timing="@daily"),
    "furrow.canary": lambda now: _make("furrow.Canary", kind="sample", version="2", share=0.5),
    "furrow.backfill": lambda now: _make("furrow.Backfill", name="sample", kind="kinds.noop", argument="n", next_at=None),
    "furrow.deadmessage": lambda now: _make("furrow.DeadMessage", reason="sample"),
    "furrow.bridgereader": lambda now: _make("furrow.BridgeReader", queue="sample", node="sample", pid=1),
    "furrow.watchedtask": lambda now: _make("furrow.WatchedTask", name="sample", first_seen=now),
    "furrow.watchedcall": lambda now: _make("furrow.WatchedCall", key="sample:0", task="sample", seen_at=now),
    "furrow.drift": lambda now: _make("furrow.Drift", name="sample", looked_at=now),
    "furrow.apitoken": lambda now: _make("furrow.ApiToken", name="sample", hash="x"),
    "furrow.workflow": lambda now: _workflow(),
    "furrow.approval": lambda now: _approval(),
    "furrow.event": lambda now: _make("furrow.Event", name="order.paid", data={"order": 7}),
    "furrow.auditentry": lambda now: _make("furrow.AuditEntry", action="cancel", origin="admin", who="sample"),
}


def user_of(role: str) -> User:
    """A user of this kind. Passwords are not needed."""
    user = User.objects.create(username=f"role {role}", is_staff=True, is_superuser=role == "R")
    everything = Permission.objects.select_related("content_type")
    default = {"add", "change", "delete", "view"}
    for permission in everything if role != "R" else []:
        app, action = permission.content_type.app_label, permission.codename.split("_")[0]
        views = action == "view"
        acts = app in OWN_APPS and action not in default and permission.codename != "submit_job"
        if (
            (role in "VAE" and views)
            or (role == "A" and acts)
            or (role == "E" and app in OWN_APPS and action in default)
            or (role == "M" and permission.codename == "submit_job")
        ):
            user.user_permissions.add(permission)
    return User.objects.get(pk=user.pk)


def is_refused(answer: HttpResponseBase) -> bool:
    """Sent to the login or to the first page, forbidden, not found, or no such method."""
    elsewhere = answer.get("Location", "")
    return answer.status_code in (401, 403, 404, 405) or elsewhere.startswith("/admin/login/") or elsewhere == "/admin/"


# --- The tests --------------------------------------------------------------------------------------------------------


def test_every_address_has_a_row_and_every_row_an_address() -> None:
    found = set(routes())
    assert found - set(MATRIX) == set(), "a new address: say in ROWS who may see it, and who may change something there"
    assert set(ROWS) - found == set(), "an address that is gone: remove its row"


@pytest.mark.parametrize("role", first_of(["", "V", "A", *(role for role in ROLES if role not in "VA")], keep=3))
def test_who_may_see_and_who_may_change(role: str, samples: dict[str, Any]) -> None:
    client = Client(raise_request_exception=True)
    if role:
        client.force_login(user_of(role))
    cookies, before = client.cookies.copy(), fingerprint()
    wrong = []
    for route in routes():
        row = MATRIX[route]
        where = address(route, row, samples)
        sees, changes = row.see == "*" or (role or "-") in row.see, (role or "-") in row.change
        for method in ("get", "post"):
            post = row.post(samples) if callable(row.post) else row.post
            with transaction.atomic(), connection.execute_wrapper(writes := Writes()):
                answer = client.get(where) if method == "get" else client.post(where, post)
                _read(answer)
                changed = writes.seen and fingerprint() != before
                transaction.set_rollback(True)
            if method == "get" and is_refused(answer) == sees:
                wrong.append(f"GET {where}: {answer.status_code}, expected {'to be seen' if sees else 'a refusal'}")
            if method == "post" and row.act is not None and is_refused(answer) == (role in row.act and role != ""):
                wrong.append(f"POST {where}: {answer.status_code}")
            if changed != (changes and method == "post"):
                did = "changed something" if changed else "changed nothing"
                wrong.append(f"{method.upper()} {where} {did} ({answer.status_code})")
            client.cookies = SimpleCookie(cookies)  # also after the logout
    assert not wrong, "\n".join(wrong)


def test_nothing_is_changed_without_a_csrf_token(samples: dict[str, Any]) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(user_of("R"))
    before = fingerprint()
    for route in set(routes()) - set(NO_FORMS):
        row = MATRIX[route]
        answer = client.post(address(route, row, samples), row.post(samples) if callable(row.post) else row.post)
        assert answer.status_code == 403, route
        assert "load the page again, and send it once more" in answer.content.decode(), route
    assert fingerprint() == before


class Writes:
    """Notes whether a statement that writes was executed, so that the database is compared only then."""

    seen = False

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.seen = self.seen or re.match(r"\s*(INSERT|UPDATE|DELETE|WITH|COPY)\b", sql, re.I) is not None
        return execute(sql, params, many, context)


def _read(answer: Any) -> None:
    """A streamed answer does its work when it is read."""
    if answer.streaming:
        list(answer.streaming_content)


# --- Kinds with a permission of their own -----------------------------------------------------------------------------


@pytest.mark.parametrize("role", first_of(["A", "M", "R"]))
def test_a_kinds_own_permission_is_needed_too(role: str, samples: dict[str, Any]) -> None:
    guarded = submit(kinds.guarded, {"n": 1}, countdown=3600)
    _with_step(guarded)
    ended = submit(kinds.guarded, {"n": 2})
    Job.objects.filter(pk=ended.pk).update(state=State.FAILED, finished_at=timezone.now())
    theirs = {**samples, "furrow.job": guarded.pk, "ended": ended.pk}
    user = user_of(role)
    may = role == "R"
    for _ in (False, True):
        client = Client()
        client.force_login(user)
        for route, row in MATRIX.items():
            if not row.change or not route.startswith(J) or (role not in row.change):
                continue
            where = address(route, row, theirs).replace("kinds.add", "kinds.guarded")
            before = fingerprint()
            with transaction.atomic():
                client.post(where, row.post(theirs) if callable(row.post) else {**row.post, "n": "3"})
                changed = fingerprint() != before
                transaction.set_rollback(True)
            assert changed == may, where
        user.user_permissions.add(Permission.objects.get(codename="change_group"))
        user, may = User.objects.get(pk=user.pk), True
