"""Handlers with steps, for tests: code put in a handler's place, and what became of its job. Jobs run in the test's process."""

from collections.abc import Callable
from typing import Any

import pytest
from furrow import Job
from furrow.testing import drain

from tests.kinds import stepped

Deploys = Callable[..., None]


HOUR = 3600


@pytest.fixture
def done() -> list[str]:
    """What the functions of steps did."""
    return []


@pytest.fixture
def deploy(monkeypatch: pytest.MonkeyPatch) -> Deploys:
    """Put this code in the place of the handler's."""

    def put(code: Callable[[], Any]) -> None:
        monkeypatch.setattr(stepped, "script", code)

    return put


def outcomes(job: Job) -> list[str]:
    return list(job.attempts.order_by("number").values_list("outcome", flat=True))


def again(job: Job) -> Job:
    job.refresh_from_db()
    return job


def run(**options: Any) -> None:
    """Whatever is due or scheduled."""
    drain(with_scheduled=True, raise_on_failure=False, **options)
