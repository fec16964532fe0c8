"""Jobs that run where they are submitted: ``run_inline`` and Celery's ``task_always_eager``."""

from collections.abc import Iterator
from typing import Any

import pytest
from celery import current_app
from django.contrib.auth.models import Group
from django.db import transaction
from django.test import TestCase, TransactionTestCase
from furrow import Job, State, submit, submit_many
from furrow.testing import run_inline
from pytest_django import Settings

from tests import kinds

pytestmark = pytest.mark.engine


class TestInline(TestCase):
    """In Django's ``TestCase``, whose transaction never commits."""

    def test_a_job_runs_at_once_outside_of_a_transaction(self) -> None:
        with run_inline():
            job = submit(kinds.add, {"a": 1})
        assert (job.state, job.result) == (State.SUCCEEDED, 2)

    def test_a_job_runs_when_the_outermost_block_has_ended(self) -> None:
        with run_inline():
            with transaction.atomic():
                with transaction.atomic():
                    job = submit(kinds.counts_groups)
                Group.objects.create(name="written after the submit")
                assert job.state == State.PENDING
            job.refresh_from_db()
        assert job.result == 1

    def test_a_block_that_is_rolled_back_takes_its_jobs_with_it(self) -> None:
        with run_inline():
            with transaction.atomic():
                submit(kinds.add, {"a": 1})
                transaction.set_rollback(True)
            assert not Job.objects.exists()
            assert submit(kinds.add, {"a": 1}).state == State.SUCCEEDED

    def test_jobs_of_jobs_run_and_what_is_for_later_stays(self) -> None:
        with run_inline():
            submit(kinds.submits, {"kind": "kinds.submits", "depth": 2})
            later = submit(kinds.noop, countdown=60)
        assert later.state == State.PENDING
        assert Job.objects.filter(state=State.SUCCEEDED).count() == 3

    def test_what_a_handler_raises_the_submit_raises(self) -> None:
        with run_inline(), pytest.raises(ValueError, match="as asked"):
            submit(kinds.fails)
        with run_inline(raise_on_failure=False):
            assert submit(kinds.fails).error == "ValueError: as asked"

    def test_afterwards_jobs_wait_again(self) -> None:
        leave = transaction.Atomic.__exit__
        with run_inline():
            pass
        assert submit(kinds.noop).state == State.PENDING
        assert transaction.Atomic.__exit__ is leave


class TestInlineForReal(TransactionTestCase):
    """Where transactions commit."""

    def test_a_job_runs_after_the_commit(self) -> None:
        with run_inline():
            with transaction.atomic():
                job = submit(kinds.writes, {"name": "after"})
                assert not Group.objects.exists()
            job.refresh_from_db()
        assert job.state == State.SUCCEEDED
        assert Group.objects.filter(name="after").exists()


@pytest.fixture
def eager() -> Iterator[Any]:
    """Celery's tasks run where they are sent."""
    conf = current_app.conf
    conf.task_always_eager = True
    yield conf
    for name in ("task_always_eager", "task_eager_propagates"):
        conf.changes.pop(name, None)


@pytest.mark.django_db
def test_celerys_always_eager_is_honoured(eager: Any) -> None:
    assert kinds.add.delay(3, 4).get(timeout=1) == 7
    assert kinds.add.apply_async((3,), countdown=3600).get(timeout=1) == 4
    job = submit(kinds.add, {"a": 1})
    assert (job.state, job.result) == (State.SUCCEEDED, 2)
    assert {*submit_many(kinds.noop, [{}] * 3)} == {*Job.objects.filter(kind="kinds.noop").values_list("pk", flat=True)}
    assert set(Job.objects.values_list("state", flat=True)) == {State.SUCCEEDED}
    assert kinds.ordinary.delay(2).result == 4


@pytest.mark.django_db
def test_an_eager_job_runs_in_the_callers_transaction_with_its_retries_and_jobs(eager: Any) -> None:
    with transaction.atomic():
        Group.objects.create(name="uncommitted")
        assert submit(kinds.counts_groups).result == 1
        assert submit(kinds.writes, {"name": "within"}).state == State.SUCCEEDED
    assert submit(kinds.succeeds_on, {"attempt": 3}).result == 3
    assert submit(kinds.snoozes, {"times": 1}).result == 2
    submit(kinds.submits, {"kind": "kinds.submits", "depth": 2})
    assert not Job.objects.exclude(state=State.SUCCEEDED).exists()


@pytest.mark.django_db
def test_an_eager_job_that_fails_raises_if_celery_is_told_to(eager: Any) -> None:
    assert submit(kinds.fails).state == State.FAILED
    eager.task_eager_propagates = True
    with pytest.raises(ValueError, match="as asked"):
        submit(kinds.fails)


@pytest.mark.django_db
def test_the_setting_is_honoured_when_a_test_changes_it(settings: Settings) -> None:
    assert submit(kinds.noop).state == State.PENDING
    settings.CELERY_TASK_ALWAYS_EAGER = True
    assert submit(kinds.noop).state == State.SUCCEEDED
    settings.CELERY_TASK_ALWAYS_EAGER = False
    assert submit(kinds.noop).state == State.PENDING
