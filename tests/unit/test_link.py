"""The ledger's connection: a process whose descriptors are used up has a database that is away, and waits for it."""

import os
import resource

import pytest
from django.db import OperationalError
from furrow.worker.ledger.link import Link

from tests.services import ON_SQLITE


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(ON_SQLITE, reason="connects without the system's descriptors being asked for by Python")
@pytest.mark.parametrize("left", [0, 1])
def test_without_descriptors_the_database_is_away(left: int) -> None:
    link = Link()
    lowest = os.dup(0)
    os.close(lowest)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + left, hard))
    try:
        with pytest.raises(OperationalError):
            link.open()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    link.open()
    link.forget()
