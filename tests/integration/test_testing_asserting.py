"""``assert_submitted`` and the others: what they find, and what they say."""

import datetime as dt
import uuid
from typing import Any

import pytest
from django.utils import timezone
from furrow import submit
from furrow.errors import UnknownKind
from furrow.testing import assert_not_submitted, assert_submitted, submitted

from tests import kinds

pytestmark = [pytest.mark.django_db, pytest.mark.engine]
HOUR = dt.timedelta(hours=1)


def test_a_job_is_found_by_its_kind_arguments_time_and_columns() -> None:
    due, batch = timezone.now() + HOUR, uuid.uuid4()
    job = submit(kinds.add, {"a": 3, "b": 4}, run_at=due, queue="other", priority=2, tags=["x", "y"], batch=batch)
    submit(kinds.noop)
    columns: dict[str, Any] = {"queue": "other", "priority": 2, "tags": ["x"], "batch": batch}
    assert assert_submitted(kinds.add, {"a": 3}, run_at=due, **columns) == job
    assert assert_submitted("kinds.add", run_at=(due - HOUR, due), count=1) == job
    assert assert_submitted(kinds.add, run_at=HOUR, within=5) == job
    assert_not_submitted(kinds.add, {"a": 4})
    assert_not_submitted(kinds.add, queue="default")
    assert [job.kind for job in submitted()] == ["kinds.add", "kinds.noop"]
    assert list(submitted(kinds.add)) == [job]


def test_the_nearest_jobs_are_shown_with_what_differs() -> None:
    submit(kinds.add, {"a": 1, "b": 5}, queue="other")
    near = submit(kinds.add, {"a": 3, "b": 4})
    with pytest.raises(AssertionError) as refused:
        assert_submitted(kinds.add, {"a": 3, "b": 5}, priority=5, queue="default")
    lines = str(refused.value).splitlines()
    assert (
        lines[0]
        == "no job of kinds.add with arguments {'a': 3, 'b': 5}, priority 5, queue 'default' was submitted. The nearest of 2:"
    )
    assert lines[1:3] == [f'  kinds.add {near.pk} (pending) {{"a": 3, "b": 4}}', "    arguments['b'] is 4, expected 5"]
    assert "    queue is 'other', expected 'default'" in lines


def test_numbers_times_and_absence_are_told() -> None:
    with pytest.raises(AssertionError, match=r"no job of kinds.add was submitted. Nothing was."):
        assert_submitted(kinds.add)
    job = submit(kinds.noop, countdown=60)
    with pytest.raises(AssertionError, match=r"no job of kinds.add was submitted. There are others: 1 of kinds.noop."):
        assert_submitted(kinds.add)
    with pytest.raises(AssertionError, match=r"1 job of kinds.noop was submitted, expected 2"):
        assert_submitted(kinds.noop, count=2)
    with pytest.raises(AssertionError, match=rf"run_at is {job.run_at:%Y-%m-%d}.*, expected {job.run_at + HOUR:%Y-%m-%d}"):
        assert_submitted(kinds.noop, run_at=job.run_at + HOUR)
    with pytest.raises(AssertionError, match="after the submit, expected 1:00:00"):
        assert_submitted(kinds.noop, run_at=HOUR)
    with pytest.raises(AssertionError, match=rf"1 job was submitted that should not be:\n  kinds.noop {job.pk}"):
        assert_not_submitted()
    with pytest.raises(AssertionError, match="1 job was"):
        assert_not_submitted(kinds.noop)


def test_what_cannot_be_asked_is_refused() -> None:
    with pytest.raises(TypeError, match=r"assert_submitted\(colour=…\): a job has no such column; it has .*priority"):
        assert_submitted(kinds.add, colour="red")
    with pytest.raises(ValueError, match="assert_not_submitted"):
        assert_submitted(kinds.add, count=0)
    with pytest.raises(UnknownKind, match=r"kinds.ad.*Did you mean kinds.add"):
        assert_submitted("kinds.ad")


def test_values_are_compared_as_json_and_secrets_are_not_shown() -> None:
    day = dt.date(2026, 1, 2)
    submit(kinds.keeps, {"word": "hunter2", "text": "2026-01-02"})
    assert_submitted(kinds.keeps, {"word": "hunter2", "text": day})
    with pytest.raises(AssertionError) as refused:
        assert_submitted(kinds.keeps, {"word": "hunter3"})
    assert "hunter2" not in str(refused.value)
    assert "arguments['word'] is another secret" in str(refused.value)
