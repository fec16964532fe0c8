"""Fixtures of the tests that have the database and, some of them, the broker."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from furrow import statements
from furrow.models import Leader, Worker
from furrow.statements.protocol import Statements
from pytest_django import Settings


@pytest.fixture
def sql() -> Statements:
    """The statements of this database."""
    return statements.on(connection)


@pytest.fixture
def nobody_runs(db: None) -> None:
    """No dispatcher and no worker is known: those of other tests leave their rows."""
    _forget_processes()


@pytest.fixture
def committed(live_db: None) -> Iterator[None]:
    """The test's rows are seen by every connection; dispatchers and workers are forgotten before and after."""
    _forget_processes()
    yield
    _forget_processes()


def _forget_processes() -> None:
    Leader.objects.all().delete()
    Worker.objects.all().delete()


@pytest.fixture
def admin_user(db: None) -> User:
    """Instead of pytest-django's, whose password takes long to hash."""
    return User.objects.create(username="admin", is_staff=True, is_superuser=True)


@pytest.fixture
def site(admin_client: Client) -> Client:
    """A superuser's client."""
    return admin_client


@pytest.fixture
def unlimited(settings: Settings) -> None:
    """Tokens may ask as often as they like. The first limit of a Redis that is new notes so in the database, for which SQLite
    lets it wait until the test's transaction ends."""
    settings.FURROW = {**settings.FURROW, "API_RATE": ""}


@pytest.fixture
def media(settings: Settings, tmp_path: Path) -> Path:
    """Where uploaded files lie: nowhere else."""
    settings.MEDIA_ROOT = tmp_path / "media"
    return tmp_path / "media"
