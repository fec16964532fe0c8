"""Expire: a job that has not begun by its ``expires_at`` never begins."""

from django.db.models.functions import Now

from apps.jobs.models import Job
from apps.jobs.states import State


class Expire:
    """Cancels what is too late, with the reason."""

    interval = 1.0

    def run_once(self) -> int:
        """Cancel expired jobs; returns how many."""
        late = Job.objects.filter(state__in=[State.PENDING, State.QUEUED], expires_at__lte=Now())
        return late.update(state=State.CANCELLED, finished_at=Now(), error="expired: it had not begun by its expires_at")
