"""``celery worker --autoscale MAX,MIN``: as many pool processes as there is work for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery.worker.autoscale import Autoscaler

if TYPE_CHECKING:
    from furrow.worker.celery.bootsteps import JobWorker


class JobAutoscaler(Autoscaler):
    """Celery's, which counts tasks, counts jobs as well. Set as ``worker_autoscaler``."""

    @property
    def jobs(self) -> int:
        """Those that are here, and while some run one more: a worker whose processes are all busy takes no messages, and would
        not hear that there is more to do."""
        engine: JobWorker = self.worker.jobs
        here = len(engine.supervisor.running) + len(engine.supervisor.assigned)
        here = max(here, sum(engine.partitions.standing().values())) + engine.intake.waiting
        return here + 1 if here else 0

    @property
    def qty(self) -> int:
        """What there is to do."""
        return int(super().qty) + self.jobs

    def maybe_scale(self, req: Any = None) -> None:
        """Look whether there should be more processes, or fewer: idle ones go half a minute after a job had to wait."""
        engine: JobWorker = self.worker.jobs
        if engine.supervisor.assigned or engine.intake.waiting:
            self.on_task_received(None)
        super().maybe_scale(req)

    def scale_down(self, n: int) -> Any:
        """End processes that run nothing. Whoever was just told to begin looks idle to Celery: not now, then."""
        engine: JobWorker = self.worker.jobs
        return None if engine.supervisor.assigned.starting else super().scale_down(n)
