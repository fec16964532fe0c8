"""The SQL of limits on both databases: who takes a slot, when it is given back, and who goes next."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, transaction

from apps.jobs import statements
from apps.jobs.dispatcher.admission import Admission
from apps.jobs.limits import Limit, from_json, row
from apps.jobs.models import Hold, Job, Leader
from apps.jobs.statements import Group, Settlement
from apps.jobs.states import Outcome, State
from tests.integration.test_statements import WORKER, committed, lead, make

pytestmark = pytest.mark.engine

LOCK = Limit("lock:a")
__all__ = ["committed"]


@pytest.fixture(autouse=True)
def _database(request: pytest.FixtureRequest) -> Iterator[None]:
    request.getfixturevalue("committed" if "committed" in request.fixturenames else "db")
    Leader.objects.all().delete()
    Hold.objects.all().delete()
    yield
    Hold.objects.all().delete()


@pytest.fixture
def sql() -> Any:
    """The statements of this database."""
    return statements.on(connection)


def limited(*limits: Limit, state: State = State.PENDING, fair: str | None = None, **columns: Any) -> Job:
    """A job with these limits."""
    its = row(limits, fair)
    return make(state, **{**its, "limits": json.loads(its["limits"]), **columns})


def admit(*jobs: Job) -> list[Job]:
    """Those that got all their slots."""
    sql = statements.on(connection)
    term = lead()
    assert term is not None
    found = [c for c in sql.candidates(connection, "default", 1000) if not jobs or c.id in {job.pk for job in jobs}]
    sent = {id for id, _ in Admission().admit(found, lambda candidate: from_json(candidate.limits), term)}
    return list(Job.objects.filter(pk__in=sent).order_by("pk"))


def run(job: Job) -> Job:
    """Claimed, if it may be."""
    with transaction.atomic():
        statements.on(connection).claim(connection, WORKER, [str(job.pk)])
    job.refresh_from_db()
    return job


def end(job: Job, state: State = State.SUCCEEDED, outcome: Outcome = Outcome.SUCCEEDED, **fields: Any) -> None:
    """Settled through a worker's group commit."""
    given = Settlement(str(job.pk), job.attempt, state, outcome, **fields)
    statements.on(connection).write(connection, WORKER, Group(settlements=[given], limited=[str(job.pk)]))


def held() -> dict[uuid.UUID, str]:
    """Jobs that wait for a key."""
    return dict(Job.objects.exclude(held="").values_list("pk", "held"))


def test_a_lock_goes_from_job_to_job() -> None:
    first, second, third = (limited(LOCK) for _ in range(3))
    assert admit() == [first]
    assert held() == {second.pk: "lock:a", third.pk: "lock:a"}
    assert admit() == [first]  # it has its slot already
    assert run(first).state == State.RUNNING
    assert Hold.objects.get().job == first.pk
    end(first)
    assert not Hold.objects.exists()
    assert held() == {third.pk: "lock:a"}
    assert admit() == [second]
