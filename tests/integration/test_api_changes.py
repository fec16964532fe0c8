"""The HTTP API: what changes something, who wrote it down, and that nothing is done twice."""

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from furrow import Job, submit
from furrow.dispatcher.prune import Prune
from furrow.models import ApiAnswer, AuditEntry, Queue
from furrow.web import waiters
from pytest_django import Settings

from tests import kinds
from tests.api import Api, fields
from tests.integration.test_request_limits import Unread
from tests.people import somebody

pytestmark = [
    pytest.mark.usefixtures("unlimited"),
    pytest.mark.django_db,
    pytest.mark.engine,
    pytest.mark.filterwarnings("ignore:No directory at"),
]


@pytest.fixture
def api(admin_user: User) -> Api:
    """A superuser's token."""
    return Api(admin_user)


# --- Submit -----------------------------------------------------------------------------------------------------------


def test_a_job_is_submitted_and_written_down(api: Api, admin_user: User) -> None:
    answer = api.post("jobs", {"kind": "kinds.add", "arguments": {"a": 1}, "priority": 2, "tags": ["x"], "countdown": 60})
    assert answer.status_code == 201
    job = Job.objects.get(pk=answer.json()["id"])
    assert (job.arguments["a"], job.priority, job.tags, job.submitted_by_id) == (1, 2, ["x"], admin_user.pk)
    entry = AuditEntry.objects.get(action="submit")
    assert (entry.who, entry.token, entry.origin, entry.job) == ("admin", str(api.token), "API", job.pk)


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ({"kind": "kinds.ad"}, "kind", "Did you mean kinds.add"),
        ({"kind": "kinds.add", "arguments": {}}, "arguments.a", "is missing: give it a value"),
        ({"kind": "kinds.add", "arguments": {"a": "x"}}, "arguments.a", "valid integer"),
        ({"kind": "kinds.add", "arguments": []}, "arguments", "must be an object"),
        ({"kind": "kinds.add", "arguments": {"a": 1}, "priority": 12}, "priority", "0 goes first, 9 last"),
        ({"kind": "kinds.add", "arguments": {"a": 1}, "queue": "none"}, "queue", "is unknown"),
        ({"kind": "kinds.add", "arguments": {"a": 1}, "run_at": "soon"}, "run_at", "2026-01-31T13:45:00Z"),
        ({"kind": "kinds.add", "arguments": {"a": 1}, "run_at": "2030-01-01T00:00:00"}, "run_at", "has no time zone"),
        ({"kind": "kinds.add", "arguments": {"a": 1}, "tags": "x"}, "tags", "list of texts"),
        ({"kind": "kinds.add", "arguments": {"a": 1}, "prio": 1}, "prio", "not permitted"),
        ({"kind": "kinds.greets", "arguments": {"user": 1, "letter": "furrow/x/y"}}, "arguments.letter", "is a file"),
        ({"kind": "kinds.greets", "arguments": {"user": 999_999}}, "arguments.user", "no user with the key"),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(api: Api, body: Any, field: str, said: str) -> None:
    answer = api.post("jobs", body)
    assert (answer.status_code, said in fields(answer).get(field, "")) == (422, True), answer.content
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ("{", "application/json", 400),
        ("[" * 100_000, "application/json", 400),
        ('{"a": NaN}', "application/json", 400),
        (b"\xff", "application/json", 400),
        ("kind=kinds.add", "application/x-www-form-urlencoded", 415),
        ("", "application/json", 422),
    ],
)
def test_a_body_that_is_no_json(api: Api, body: Any, kind: str, status: int) -> None:
    headers = {"Authorization": f"Bearer {api.secret}"}
    answer = api.client.generic("POST", "/api/jobs", body, kind, headers=headers)
    assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json"), answer.content


def test_a_body_is_refused_before_it_is_read(api: Api) -> None:
    given = {"PATH_INFO": "/api/jobs", "REQUEST_METHOD": "POST", "CONTENT_TYPE": "application/json", "wsgi.input": Unread()}
    many, few = str(300 * 1024 * 1024), str(100 * 1024)
    with_token = {"HTTP_AUTHORIZATION": f"Bearer {api.secret}"}
    cases = [({"CONTENT_LENGTH": many, **with_token}, 413), ({"CONTENT_LENGTH": few}, 413), ({"CONTENT_LENGTH": "300"}, 401)]
    for environ, status in [*cases, ({"HTTP_TRANSFER_ENCODING": "chunked", **with_token}, 411)]:
        answer = api.client.request(**given, **environ)
        assert (answer.status_code, answer["Content-Type"]) == (status, "application/problem+json")


def test_many_of_a_kind_all_or_none(api: Api) -> None:
    wrong = api.post("kinds/kinds.add/jobs", {"rows": [{"a": 1}, {"a": "x"}]})
    assert (wrong.status_code, "valid integer" in fields(wrong)["rows.1.a"]) == (422, True)
    assert not Job.objects.exists()
    made = api.post("kinds/kinds.add/jobs", {"rows": [{"a": 1}, {"a": 2}], "priority": 1}).json()
    rows = Job.objects.filter(batch=made["batch"]).order_by("pk")
    assert [(str(job.pk), job.arguments["a"]) for job in rows] == [(made["ids"][0], 1), (made["ids"][1], 2)]


def test_a_batch_of_several_kinds_all_or_none(api: Api, admin_user: User) -> None:
    first, second = {"kind": "kinds.add", "arguments": {"a": 1}}, {"kind": "kinds.greets", "arguments": {"user": admin_user.pk}}
    wrong = api.post("batches", {"jobs": [first, {**second, "priority": 99}]})
    assert (wrong.status_code, [*fields(wrong)]) == (422, ["jobs.1.priority"])
    assert not Job.objects.exists()
    made = api.post("batches", {"jobs": [first, second]}).json()
    assert sorted(Job.objects.filter(batch=made["batch"]).values_list("kind", flat=True)) == ["kinds.add", "kinds.greets"]


def test_who_may_not_submit_this_kind(db: None) -> None:
    api = Api(somebody("submit_job"))
    assert api.post("jobs", {"kind": "kinds.guarded", "arguments": {"n": 1}}).status_code == 403
    assert api.post("jobs", {"kind": "kinds.add", "arguments": {"a": 1}}).status_code == 201


# --- Once -------------------------------------------------------------------------------------------------------------


def test_a_key_hands_back_the_first_answer(api: Api) -> None:
    body = {"kind": "kinds.add", "arguments": {"a": 1}}
    first, second = (api.post("jobs", body, Idempotency_Key="k1") for _ in range(2))
    assert (first.status_code, second.status_code, second["Idempotency-Replayed"]) == (201, 201, "true")
    assert first.content == second.content
    assert Job.objects.count() == AuditEntry.objects.filter(action="submit").count() == 1
    other = api.post("jobs", {**body, "priority": 1}, Idempotency_Key="k1")
    assert (other.status_code, [*fields(other)]) == (422, ["Idempotency-Key"])


def test_what_was_refused_leaves_its_key_free(api: Api) -> None:
    assert api.post("jobs", {"kind": "kinds.add", "arguments": {}}, Idempotency_Key="k2").status_code == 422
    assert not ApiAnswer.objects.exists()
    assert api.post("jobs", {"kind": "kinds.add", "arguments": {"a": 1}}, Idempotency_Key="k2").status_code == 201


def test_a_key_belongs_to_its_user(api: Api) -> None:
    body = {"kind": "kinds.add", "arguments": {"a": 1}}
    other = Api(somebody("submit_job"))
    assert {
        api.post("jobs", body, Idempotency_Key="k").status_code,
        other.post("jobs", body, Idempotency_Key="k").status_code,
    } == {201}
    assert Job.objects.count() == 2


def test_an_answer_is_forgotten_after_a_day(api: Api) -> None:
    api.post("jobs", {"kind": "kinds.add", "arguments": {"a": 1}}, Idempotency_Key="old")
    Prune().run_once()
    assert ApiAnswer.objects.count() == 1
    ApiAnswer.objects.update(at=timezone.now() - dt.timedelta(days=1, seconds=1))
    Prune().run_once()
    assert not ApiAnswer.objects.exists()


# --- Act --------------------------------------------------------------------------------------------------------------


def test_the_actions_on_a_job(api: Api) -> None:
    job = submit(kinds.add, {"a": 1}, countdown=3600)
    snoozed = api.post(f"jobs/{job.pk}/snooze", {"seconds": 7200}).json()
    assert snoozed["run_at"] > timezone.now().isoformat()
    assert api.post(f"jobs/{job.pk}/run-now").status_code == 200
    assert api.post(f"jobs/{job.pk}/cancel").json()["state"] == "cancelled"
    again = api.post(f"jobs/{job.pk}/cancel")
    assert (again.status_code, "it had ended" in again.json()["detail"]) == (409, True)
    assert api.post(f"jobs/{job.pk}/retry").json()["state"] == "pending"
    done = list(AuditEntry.objects.filter(origin="API", job=job.pk).order_by("pk").values_list("action", "token"))
    assert done == [(action, str(api.token)) for action in ("snooze", "run now", "cancel", "retry")]


def test_a_snooze_that_cannot_be(api: Api) -> None:
    job = submit(kinds.add, {"a": 1}, countdown=3600)
    for body in ({}, {"until": "soon"}, {"until": "9999-12-31"}, {"seconds": 0}, {"until": "2030-01-01T00:00Z", "seconds": 1}):
        assert api.post(f"jobs/{job.pk}/snooze", body).status_code == 422


def test_a_kinds_own_permission_is_needed_to_act(db: None) -> None:
    job = submit(kinds.guarded, {"n": 1}, countdown=3600)
    api = Api(somebody("view_job", "act_on_job"))
    refused = api.post(f"jobs/{job.pk}/cancel")
    assert (refused.status_code, "the kind's own permission" in refused.json()["detail"]) == (403, True)


def test_a_queue_is_paused_and_resumed(api: Api) -> None:
    paused = api.post("queues/default/pause", {"reason": "moving house"}).json()
    assert (paused["condition"], paused["changed"]) == ("paused", True)
    assert Queue.objects.get(name="default").paused_by == "admin"
    assert not api.post("queues/default/pause", {}).json()["changed"]
    assert "reason" in fields(api.post("queues/default/pause", {"reason": "\ud800"}))
    assert api.post("queues/default/resume").json() == {"queue": "default", "condition": "open", "changed": True}
    assert api.post("queues/none/pause", {}).status_code == 404
    assert list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))[-2:] == ["pause", "resume"]


def test_a_token_of_some_kinds_pauses_no_queue(admin_user: User) -> None:
    assert Api(admin_user, kinds=["kinds.add"]).post("queues/default/pause", {}).status_code == 403


# --- Limits -----------------------------------------------------------------------------------------------------------


def test_requests_that_wait_are_bounded(api: Api, settings: Settings) -> None:
    settings.FURROW = {**settings.FURROW, "API_WAITERS": 1}
    job = submit(kinds.add, {"a": 1}, countdown=3600)
    waiters.enter()
    try:
        refused = api.get(f"jobs/{job.pk}/result?wait=5")
    finally:
        waiters.leave()
    assert (refused.status_code, refused["Retry-After"]) == (503, "2")
    assert api.get(f"jobs/{job.pk}/result?wait=0.01").status_code == 202
    assert "wait" in fields(api.get(f"jobs/{job.pk}/result?wait=9999"))
