"""The HTTP API: who may ask, and what of jobs is told."""

import datetime as dt
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone
from furrow import State, submit
from furrow.models import ApiToken, LogLine

from tests import kinds
from tests.api import Api, fields
from tests.people import login, somebody
from tests.rows import make

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


# --- Who --------------------------------------------------------------------------------------------------------------


def test_who_brings_no_token_is_told_how_to_get_one(client: Client) -> None:
    answer = client.get("/api/jobs")
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
    assert "Authorization: Bearer fw_" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"revoked_at": timezone.now()}, "was revoked"),
        ({"expires_at": timezone.now() - dt.timedelta(seconds=1)}, "has expired"),
        ({"hash": "0" * 64}, "no such token"),
        ({"user": None}, "is gone or not active"),
    ],
)
def test_a_token_that_is_none_any_more_is_refused(api: Api, change: dict[str, Any], said: str) -> None:
    ApiToken.objects.update(**change)
    answer = api.get("health")
    assert (answer.status_code, said in answer.json()["detail"]) == (401, True)


@pytest.mark.parametrize(("method", "path", "body"), [("post", "jobs", {"kind": "kinds.add"}), ("get", "jobs", None)])
def test_while_the_database_is_away_a_program_is_told_to_ask_again(api: Api, method: str, path: str, body: Any) -> None:
    """Also where the token is looked up before the body is read."""

    def away(execute: Any, *args: Any) -> Any:
        raise OperationalError("away")

    with connection.execute_wrapper(away):
        answer = api.post(path, body) if method == "post" else api.get(path)
    assert (answer.status_code, answer["Retry-After"], answer["Content-Type"]) == (503, "6", "application/problem+json")


def test_a_token_of_a_user_who_is_not_active_any_more(api: Api) -> None:
    User.objects.update(is_active=False)
    assert api.get("health").status_code == 401


def test_a_token_does_no_more_than_its_scopes(admin_user: User) -> None:
    job = submit(kinds.add, {"a": 1})
    reads = Api(admin_user, "read")
    assert reads.get(f"jobs/{job.pk}").status_code == 200
    refused = reads.post(f"jobs/{job.pk}/cancel")
    assert (refused.status_code, "lacks the scope act" in refused.json()["detail"]) == (403, True)


def test_a_token_does_no_more_than_its_user(db: None) -> None:
    job = submit(kinds.add, {"a": 1})
    answer = Api(somebody()).get(f"jobs/{job.pk}")
    assert (answer.status_code, "furrow.view_job" in answer.json()["detail"]) == (403, True)


def test_a_token_of_a_kind_sees_no_other(admin_user: User) -> None:
    job, other = submit(kinds.add, {"a": 1}), submit(kinds.greets, {"user": admin_user.pk})
    api = Api(admin_user, kinds=["kinds.add"])
    assert api.get(f"jobs/{job.pk}").status_code == 200
    assert api.get(f"jobs/{other.pk}").status_code == 404
    assert api.post(f"jobs/{other.pk}/cancel").status_code == 404
    assert [one["id"] for one in api.get("jobs").json()["jobs"]] == [str(job.pk)]
    assert [one["name"] for one in api.get("kinds").json()] == ["kinds.add"]


def test_only_a_hash_is_stored_and_its_use_is_noted(api: Api) -> None:
    assert api.secret.startswith("fw_")
    assert len(api.secret) > 40
    assert api.get("health").status_code == 200
    (row,) = ApiToken.objects.values()
    assert api.secret not in str(row)
    assert row["last_used_at"] is not None


def test_a_browser_that_is_logged_in_may_read(client: Client) -> None:
    login(client, "view_job")
    assert client.get("/api/jobs").status_code == 200


def test_a_browser_needs_a_csrf_token_to_change_anything(admin_user: User) -> None:
    job, browser = submit(kinds.add, {"a": 1}), Client(enforce_csrf_checks=True)
    browser.force_login(admin_user)
    assert browser.post(f"/api/jobs/{job.pk}/cancel").status_code == 403
    token = browser.get("/api/docs").cookies["csrftoken"].value
    assert browser.post(f"/api/jobs/{job.pk}/cancel", headers={"X-CSRFToken": token}).status_code == 200


# --- What is told -----------------------------------------------------------------------------------------------------


def test_a_job_with_all_that_there_is(api: Api) -> None:
    job = submit(kinds.add, {"a": 1}, countdown=3600)
    found = api.get(f"jobs/{job.pk}").json()
    assert found["id"] == str(job.pk)
    assert (found["arguments"]["a"], found["attempts"], found["state"]) == (1, [], "pending")
    assert found["why"]["text"]


def test_a_job_that_is_not_there(api: Api) -> None:
    assert api.get(f"jobs/{uuid4()}").status_code == 404
    assert "job_id" in fields(api.get("jobs/none"))


def test_who_asks_again_gets_no_body_while_nothing_changed(api: Api) -> None:
    job = submit(kinds.add, {"a": 1}, countdown=3600)
    first = api.get(f"jobs/{job.pk}/result?wait=0")
    tag = api.get(f"jobs/{job.pk}/logs")["ETag"]
    same = api.get(f"jobs/{job.pk}/logs", If_None_Match=tag)
    assert (first.status_code, same.status_code, same.content) == (202, 304, b"")
    LogLine.objects.create(job_id=job.pk, attempt=1, at=timezone.now(), level=20, message="x")
    assert api.get(f"jobs/{job.pk}/logs", If_None_Match=tag).status_code == 200


def test_pages_of_jobs_lead_to_each_other(api: Api) -> None:
    ids = [str(submit(kinds.add, {"a": a}).pk) for a in range(3)][::-1]
    first = api.get("jobs?kind=kinds.add&limit=2").json()
    second = api.get(first["next"].removeprefix("/api/")).json()
    assert [one["id"] for page in (first, second) for one in page["jobs"]] == ids
    assert second["next"] is None
    assert [one["id"] for one in api.get(second["previous"].removeprefix("/api/")).json()["jobs"]] == ids[:2]


def test_a_criterion_that_cannot_be_is_named(api: Api) -> None:
    assert "did you mean 'failed'" in fields(api.get("jobs?state=faild"))["state"]
    assert "did you mean 'state'" in fields(api.get("jobs?stat=failed"))["stat"]
    assert "limit" in fields(api.get("jobs?limit=0"))


def test_log_lines_after_a_cursor(api: Api) -> None:
    job = make(State.SUCCEEDED)
    for number in range(3):
        LogLine.objects.create(job_id=job.pk, attempt=1, at=timezone.now(), level=20, message=str(number))
    first = api.get(f"jobs/{job.pk}/logs?limit=2").json()
    rest = api.get(f"jobs/{job.pk}/logs?after={first['after']}").json()
    assert [line["message"] for part in (first, rest) for line in part["lines"]] == ["0", "1", "2"]
    assert (first["ended"], rest["ended"]) == (False, True)


def test_kinds_with_the_schemas_of_their_arguments(api: Api) -> None:
    (kind,) = [kind for kind in api.get("kinds").json() if kind["name"] == "kinds.add"]
    assert kind["arguments"]["properties"]["a"]["type"] == "integer"
    whole = api.get("kinds/kinds.add").json()
    assert [one["name"] for one in whole.pop("inputs")] == ["a", "b"]
    assert whole == kind
    assert api.get("kinds/no.such").status_code == 404


def test_the_engine_is_told(api: Api, nobody_runs: None) -> None:
    assert "default" in [queue["name"] for queue in api.get("queues").json()]
    assert api.get("workers").json() == []
    assert api.get("errors").json() == {"groups": [], "more": 0}
    health = api.get("health").json()
    assert not health["ok"]
    assert {"No worker is running", "No dispatcher is running"} <= {one["text"] for one in health["troubles"]}


@pytest.mark.parametrize("path", ["", "nowhere", "jobs/x/y/z"])
def test_an_address_that_is_none_is_a_problem_too(api: Api, path: str) -> None:
    answer = api.get(path)
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")


def test_a_method_that_is_none(api: Api) -> None:
    answer = api.client.delete("/api/jobs", headers={"Authorization": f"Bearer {api.secret}"})
    assert (answer.status_code, answer["Allow"]) == (405, "GET, POST")


def test_the_document_and_its_page_load_nothing_from_elsewhere(client: Client) -> None:
    assert client.get("/api/openapi.json").json()["openapi"] == "3.1.0"
    page = client.get("/api/docs").content.decode()
    assert "swagger-ui-bundle" in page
    assert "https://" not in page
