"""What a person may do to a job: cancel it, run it again. Each is one guarded UPDATE; losing the race is a return value."""

import uuid

from django.db import router, transaction
from django.db.models import Q
from django.db.models.functions import Now

from apps.jobs.models import Job
from apps.jobs.states import FINAL, UNSTARTED, State
from apps.locks.wakeup import wake


def cancel(job_id: uuid.UUID, *, reason: str = "cancelled by request") -> bool:
    """Cancel a job: one that has not begun never begins; a running one is asked to stop.

    Returns:
        ``False`` when the job had ended, or does not exist.
    """
    unstarted = Job.objects.filter(pk=job_id, state__in=UNSTARTED)
    if unstarted.update(state=State.CANCELLED, finished_at=Now(), error=reason[:500]):
        return True
    return bool(Job.objects.filter(pk=job_id, state=State.RUNNING).update(cancel_requested_at=Now()))


def retry(job_id: uuid.UUID) -> bool:
    """Run a job again that has ended: from pending, due now, with one attempt more if none was left.

    Returns:
        ``False`` when it has not ended, or does not exist.
    """
    from django.db.models import F
    from django.db.models.functions import Greatest

    again = Job.objects.filter(Q(state__in=FINAL), pk=job_id).update(
        state=State.PENDING,
        run_at=Now(),
        finished_at=None,
        queued_at=None,
        expires_at=None,
        cancel_requested_at=None,
        progress=None,
        progress_note="",
        error="",
        max_attempts=Greatest(F("max_attempts"), F("attempt") - F("excused") + 1),
    )
    if again:
        transaction.on_commit(wake, using=router.db_for_write(Job), robust=True)
    return bool(again)
