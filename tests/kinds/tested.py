"""Kinds for the tests of ``furrow.testing``: what code under test does in its jobs."""

import logging

from django.contrib.auth.models import Group
from django.db import transaction
from furrow import current_job, submit
from furrow.testing import drain

from tests.kinds.declared import ONCE, job, logger


@job(retry=ONCE)
def submits(kind: str, depth: int = 1) -> None:
    """Submit a job, which may submit another."""
    submit(kind, {"kind": kind, "depth": depth - 1} if depth > 1 else {"kind": "kinds.noop", "depth": 0}) if depth else None


@job(retry=ONCE)
def breaks_its_transaction(name: str) -> None:
    """Write, and then make an error of the database."""
    Group.objects.create(name=name)
    Group.objects.create(name=name)


@job(retry=ONCE)
def calls_on_commit(name: str, then: str = "") -> None:
    """Have a row written when its transaction has committed."""
    with transaction.atomic():
        transaction.on_commit(lambda: Group.objects.create(name=name) and None)
    if then:
        raise ValueError(then)


@job(retry=ONCE)
async def counts_groups() -> int:
    """Query the database in async code."""
    return await Group.objects.acount()


@job(retry=ONCE)
def tells() -> None:
    """Log and report progress."""
    logger.info("a line of %s", "logging")
    logging.getLogger("tests.other").debug("not kept")
    current_job.log("a line of its own")
    current_job.progress(0.5, "half")


@job(retry=ONCE)
def drains() -> None:
    """Do what no job should."""
    drain()
