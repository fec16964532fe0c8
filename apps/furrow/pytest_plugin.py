"""pytest's fixtures for tests of jobs; pytest loads them where ``furrow-jobs`` is installed. docs/testing.md is the guide.

Imports nothing of Django before a fixture is used, and needs pytest-django only then.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from furrow.testing import Drained
    from furrow.testing.worker import RealWorker


@pytest.fixture
def furrow_drain(db: None) -> "Callable[..., Drained]":
    """:func:`furrow.testing.drain`: run the jobs that are due, here and now. With the test database."""
    from furrow.testing import drain

    return drain


@pytest.fixture
def furrow_inline(db: None) -> Iterator[None]:
    """Jobs run as soon as the transaction that submitted them ends: :func:`furrow.testing.run_inline`, for the whole test."""
    from furrow.testing import run_inline

    with run_inline():
        yield


@pytest.fixture
def furrow_local_locks() -> Iterator[None]:
    """``lock``, ``semaphore`` and ``rate_limit`` work without Redis: :func:`furrow.testing.local_locks`, for the whole test."""
    from furrow.testing import local_locks

    with local_locks():
        yield


@pytest.fixture(scope="session")
def furrow_broker_url() -> "str | None":
    """The broker of ``furrow_worker``. Override it in your conftest.py to name another; ``None``: the project's broker, and
    there a virtual host that is called after the test database."""
    return None


@pytest.fixture
def furrow_worker(transactional_db: None, furrow_broker_url: "str | None") -> "Iterator[RealWorker]":
    """A real dispatcher and a real worker on the test database: ``furrow_worker.wait(job)`` waits for what they do. Each test
    with it starts both anew, which takes some seconds."""
    from furrow.testing.worker import RealWorker, default_broker

    worker = RealWorker(furrow_broker_url or default_broker())
    try:
        worker.start()
        yield worker
    finally:
        worker.stop()
