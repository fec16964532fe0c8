"""Jobs that failed alike."""

from django.db.models import QuerySet

from apps.jobs.models import Job
from apps.jobs.states import State

#: Others are counted up to this number.
COUNTED = 1_000


def failed_alike(kind: str, signature: str) -> QuerySet[Job]:
    """The jobs of a kind that have failed with this signature, newest first."""
    return Job.objects.filter(kind=kind, signature=signature, state=State.FAILED).order_by("-pk")


def others_alike(job: Job) -> int:
    """How many other jobs of its kind have failed with the same error, at most ``COUNTED + 1``; 0 when it has not failed."""
    if job.state != State.FAILED or not job.signature:
        return 0
    return failed_alike(job.kind, job.signature).exclude(pk=job.pk).order_by()[: COUNTED + 1].count()
