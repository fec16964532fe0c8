"""Middleware in a worker: metadata comes to every run, also to those that a key is handed over to."""

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse
from furrow import Job, State, submit, submit_many
from furrow.states import Outcome
from pydantic import SecretStr

from tests import kinds
from tests.stack import Stack, all_ended, wait_until

pytestmark = pytest.mark.engine
TELLS = "tests.middleware.Tells"


def test_a_middleware_wraps_every_run_in_the_pool_process(bare: Stack) -> None:
    meta = {"tenant": "acme"}
    several = submit_many(kinds.add, [{"a": n} for n in range(30)], meta=meta)
    line = submit_many(kinds.add, [{"a": n} for n in range(30)], meta=meta, lock="one")
    writes = submit(kinds.writes, {"name": "written"}, meta=meta)
    broken = submit(kinds.writes, {"name": "broken"}, meta={"breaks": True}, max_attempts=2)
    bare.dispatcher()
    bare.worker(FURROW_MIDDLEWARE=TELLS)
    all_ended(60)
    for job in Job.objects.filter(pk__in=[*several, *line]):
        assert (job.state, job.attempt, job.excused) == (State.SUCCEEDED, 2, 1)
        assert job.result == [meta, meta, job.arguments["a"] + 1]
    writes.refresh_from_db()
    broken.refresh_from_db()
    assert (writes.state, writes.attempt) == (State.SUCCEEDED, 2)
    assert (broken.state, broken.error) == (State.FAILED, f"LookupError in middleware {TELLS}: no such tenant")
    assert [attempt.outcome for attempt in broken.attempts.all()] == [Outcome.FAILED] * 2
    assert [group.name for group in Group.objects.filter(name__in=["written", "broken"])] == ["written"]


def test_a_worker_with_a_middleware_that_cannot_work_does_not_start(bare: Stack) -> None:
    worker = bare.worker(ready=False, FURROW_MIDDLEWARE="tests.middleware.Tels")
    wait_until(lambda: worker.popen.poll() is not None, what="the worker ended")
    assert worker.popen.returncode != 0
    assert "FURROW['MIDDLEWARE'] names 'tests.middleware.Tels', which cannot be imported" in worker.text


@pytest.mark.django_db
def test_a_jobs_page_shows_its_metadata_without_secrets(site: Client) -> None:
    job = submit(kinds.add, {"a": 1}, meta={"tenant": "acme", "token": SecretStr("hunter2")})
    page = site.get(reverse("admin:furrow_job_change", args=[job.pk])).content.decode()
    assert "<h2>Meta</h2>" in page
    assert "acme" in page
    whole = site.get(reverse("admin:furrow_job_json", args=[job.pk, "meta"])).content.decode()
    assert "hunter2" not in page + whole
    other = submit(kinds.add, {"a": 1})
    assert "<h2>Meta</h2>" not in site.get(reverse("admin:furrow_job_change", args=[other.pk])).content.decode()
