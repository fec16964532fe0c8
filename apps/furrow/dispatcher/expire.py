"""Expire: cancel jobs that have not begun by their ``expires_at``."""

from django.db.models import BooleanField
from django.db.models.expressions import RawSQL
from django.db.models.functions import Now

from furrow.actions.jobs import end_unstarted
from furrow.models import Job
from furrow.models.database import atomic
from furrow.signals import EXPIRED
from furrow.statements.begun import HAS_BEGUN
from furrow.states import State

BATCH = 5_000


class Expire:
    """Cancels what is too late, with the reason."""

    interval = 1.0

    def run_once(self) -> int:
        """Cancel expired jobs; returns how many."""
        late = Job.objects.filter(state__in=[State.PENDING, State.QUEUED], expires_at__lte=Now()).filter(
            RawSQL(f"NOT {HAS_BEGUN}", (), BooleanField())  # noqa: S611 - a constant
        )
        with atomic():
            return end_unstarted(late.order_by()[:BATCH], "expired: it had not begun by its expires_at", how=EXPIRED)
