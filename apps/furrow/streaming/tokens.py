"""Tokens that let somebody read the output of one job, for a time: the application gives them to its user's browser.

Signed with ``SECRET_KEY`` (:mod:`django.core.signing`), stored nowhere, so they cannot be taken back; let them be short-lived.
"""

import time
import uuid
from urllib.parse import urlencode

from django.core import signing
from django.urls import NoReverseMatch, reverse

from furrow.models import Job

_SALT = "furrow.output"
#: Seconds that a token holds unless its maker says otherwise, and at most.
USUAL, LONGEST = 3600, 7 * 86_400


def output_token(job: Job | uuid.UUID, seconds: int = USUAL) -> str:
    """A token that lets its bearer read the output of this job for so many seconds (an hour), at most a week.

    Raises:
        ValueError: for no time, or for longer.
    """
    if not 0 < seconds <= LONGEST:
        raise ValueError(f"seconds={seconds!r}: a token holds for 1 to {LONGEST:,} seconds")
    return signing.dumps([str(_id(job)), int(time.time() + seconds)], salt=_SALT)


def output_url(job: Job | uuid.UUID, seconds: int = USUAL) -> str:
    """The address, with a token, at which a browser follows this job's output and progress.

    Raises:
        ValueError: as :func:`output_token`.
        NoReverseMatch: the project's URLs do not include ``furrow.streaming.urls``.
    """
    try:
        address = reverse("furrow_streaming:output", kwargs={"job_id": _id(job)})
    except NoReverseMatch:
        remedy = 'add path("", include("furrow.streaming.urls")) to urlpatterns'
        raise NoReverseMatch(f"The project's URLs have no address for the output of jobs: {remedy}.") from None
    return f"{address}?{urlencode({'token': output_token(job, seconds)})}"


def refusal(token: str, job: uuid.UUID) -> str:
    """Why this token does not let its bearer read this job's output; empty when it does."""
    try:
        id, until = signing.loads(token, salt=_SALT)
    except (signing.BadSignature, ValueError, TypeError):
        return "the token is not one of ours"
    if id != str(job):
        return "the token is for another job"
    return "" if time.time() < until else "the token has expired: ask the application for another one"


def _id(job: Job | uuid.UUID) -> uuid.UUID:
    return job.pk if isinstance(job, Job) else job
