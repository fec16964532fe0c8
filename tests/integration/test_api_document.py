"""The document of the HTTP API, tried by schemathesis: whoever asks gets only what is documented, and nobody else's data."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from config.wsgi import application
from django.contrib.auth.models import User
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, transaction
from furrow import Approval, submit, workflow
from furrow.api import waiting
from furrow.web import event_stream
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.result import Ok

from tests import kinds
from tests.api import ALL, Api
from tests.people import somebody
from tests.schedules import HOUR, due, now

pytestmark = [
    pytest.mark.usefixtures("unlimited"),
    pytest.mark.django_db,
    pytest.mark.filterwarnings("ignore:No directory at"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

load_all_checks()
ACCEPTED = CHECKS.get_by_names(["positive_data_acceptance"])
REJECTED = CHECKS.get_by_names(["negative_data_rejection"])
#: The addresses whose document says all that a schema can: there what it allows is accepted, and what it forbids is refused.
WHOLE = {"/api/" + path for path in ("jobs", "events", "kinds", "queues", "workers", "errors", "health", "stats")}
WHOLE |= {f"/api/jobs/{{job_id}}{path}" for path in ("", "/result", "/logs", "/cancel", "/retry", "/run-now", "/snooze")}
WHOLE |= {f"/api/work/{path}" for path in ("claim", "heartbeat", "log", "progress", "finish", "leave")}
WHOLE |= {"/api/queues/{name}/pause", "/api/queues/{name}/resume", "/api/kinds/{name}/jobs", "/api/batches"}
#: Fields that name what must be there, such as a kind: not all that the schema allows can be.
NAMING = {"kind", "kinds", "queue", "step", "name", "by"}
#: A time of certain years, or opaque: not for a schema to say either.
NOT_GUESSED = ("since", "until", "after")
#: What no answer to somebody without permissions may have in it.
HIDDEN = "only-who-may-see-jobs"


@pytest.fixture(params=["superuser", "viewer", "nobody"])
def role(request: pytest.FixtureRequest) -> tuple[str, Api]:
    """Who asks."""
    users: dict[str, Callable[[], User]] = {
        "superuser": lambda: User.objects.create(username="all", is_superuser=True),
        "viewer": lambda: somebody("view_job", "view_queue", "view_worker"),
        "nobody": somebody,
    }
    return request.param, Api(users[request.param](), *ALL)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No request waits for long; as with Django's own client, none ends the connection, which has the test's transaction."""
    monkeypatch.setattr(waiting, "LONGEST", 0.01)
    monkeypatch.setattr(event_stream, "LASTS", 0.01)
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.usefixtures("at_once")
def test_every_operation_answers_as_it_is_documented(role: tuple[str, Api]) -> None:
    name, api = role
    there = _there()
    document = schemathesis.openapi.from_wsgi("/api/openapi.json", application)
    for result in document.get_all_operations():
        assert isinstance(result, Ok), result
        operation = result.ok()
        _try(operation, operation.as_strategy(), name, api, there)
        if name == "superuser":
            _try(operation, operation.as_strategy(generation_mode=GenerationMode.NEGATIVE), name, api, {})


def _there() -> dict[str, str]:
    """Something of each sort, by what its id is called in addresses."""
    job = submit(kinds.add, {"a": 1}, countdown=3600, tags=[HIDDEN], batch=None)
    with workflow(HIDDEN) as w:
        w.add(kinds.add, {"a": 1}, name="a")
    row = due(HIDDEN, timing="@yearly", next_at=now() + HOUR)
    asked = Approval.objects.create(job=job, step="approval", title=HIDDEN, permission="auth.add_group")
    ids = {"job_id": job.pk, "workflow_id": w.id, "schedule_id": row.pk, "approval_id": asked.pk}
    return {name: str(id) for name, id in ids.items()}


def _try(operation: Any, cases: Any, name: str, api: Api, there: dict[str, str]) -> None:

    @settings(
        max_examples=2 if name == "superuser" else 1,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def ask(case: Any) -> None:
        if there:
            _be_there(case, there)
        with transaction.atomic():
            headers = {"Authorization": f"Bearer {api.secret}"}
            answer = case.call(headers=headers)
            left_out = [*ACCEPTED, *REJECTED] if operation.path not in WHOLE else ACCEPTED if _names_nothing(answer) else []
            case.validate_response(answer, headers=headers, excluded_checks=left_out)
            transaction.set_rollback(True)
        assert name != "nobody" or HIDDEN not in answer.text
        assert name != "nobody" or answer.status_code != 200 or operation.path == "/api/kinds", operation.path

    ask()


def _names_nothing(answer: Any) -> bool:
    """It is refused for what it names alone, which is not there."""
    problems = answer.json().get("errors", ()) if answer.status_code == 422 else ()
    return bool(problems) and {problem["field"].rpartition(".")[2] for problem in problems} <= NAMING


def _be_there(case: Any, there: dict[str, str]) -> None:
    """What names something names what is there."""
    for name in {*there}.intersection(case.path_parameters or {}):
        case.path_parameters[name] = there[name]
    for name in NOT_GUESSED:
        (case.query or {}).pop(name, None)
        (case.headers or {}).pop("Last-Event-ID", None)
    if isinstance(case.body, dict):
        case.body = json.loads(json.dumps(case.body).replace("\\u0000", ""))
        if case.body.get("until"):
            case.body["until"] = "2031-01-31T12:00:00Z"
