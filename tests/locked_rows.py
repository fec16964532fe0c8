"""Rows that somebody else has locked, for tests."""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection
from furrow.limits.limit import Limit, row
from furrow.models import Hold, Job

from tests.rows import make
from tests.stack import database_url


@pytest.fixture(scope="module")
def only_postgresql() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite locks no rows")


@pytest.fixture
def elsewhere() -> Iterator[psycopg.Connection[Any]]:
    """A session of somebody else, whose transaction ends with the test at the latest."""
    with psycopg.connect(database_url(), application_name="somebody") as link:
        yield link
        link.rollback()


@pytest.fixture
def impatient(committed: None) -> Iterator[None]:
    """Who waits for a lock fails."""
    Hold.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '300ms'")
    yield
    Hold.objects.all().delete()
    connection.close()


def lock(link: psycopg.Connection[Any], job: Job) -> None:
    link.execute("SELECT 1 FROM furrow_job WHERE id = %s FOR UPDATE", [job.pk])


def limited(limit: Limit, **columns: Any) -> Job:
    its = row([limit], None)
    return make(**{**its, "limits": json.loads(its["limits"]), **columns})
