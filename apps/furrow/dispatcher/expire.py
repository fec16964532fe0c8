"""Expire: cancel jobs that have not begun by their ``expires_at``, and workflows that have not ended by theirs."""

from django.db.models import BooleanField
from django.db.models.expressions import RawSQL
from django.db.models.functions import Now

from furrow.actions.jobs import end_unstarted
from furrow.models import Job, Workflow
from furrow.models.database import atomic
from furrow.signals import EXPIRED
from furrow.statements.begun import HAS_BEGUN
from furrow.states import State, WorkflowState
from furrow.workflows.acts import cancel

BATCH, WORKFLOWS = 5_000, 100


class Expire:
    """Cancels what is too late, with the reason."""

    interval = 1.0

    def run_once(self) -> int:
        """Cancel what has expired; returns how many jobs and workflows."""
        return self._jobs() + self._workflows()

    def _jobs(self) -> int:
        late = Job.objects.filter(state__in=[State.PENDING, State.QUEUED], expires_at__lte=Now()).filter(
            RawSQL(f"NOT {HAS_BEGUN}", (), BooleanField())  # noqa: S611 - a constant
        )
        with atomic():
            return end_unstarted(late.order_by()[:BATCH], "expired: it had not begun by its expires_at", how=EXPIRED)

    def _workflows(self) -> int:
        late = Workflow.objects.filter(state=WorkflowState.RUNNING, cancel_requested_at=None, expires_at__lte=Now()).order_by()
        with atomic():
            ids = list(late.select_for_update(skip_locked=True).values_list("pk", flat=True)[:WORKFLOWS])
            return cancel(ids, reason="expired: it had not ended by its expires_at") if ids else 0
