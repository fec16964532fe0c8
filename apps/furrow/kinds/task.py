"""The Celery task behind a kind."""

from typing import Any

from celery.contrib.django.task import DjangoTask


class JobTask(DjangoTask):
    """Sends through :func:`submit`; Celery's own path never runs a job. Its ``Strategy`` sees only what other Celery clients
    sent under the kind's name; the dispatcher's messages go to the intake."""

    abstract = True
    Strategy = "furrow.worker.remote:strategy"
    kind: Any = None

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Submit a job; see :meth:`furrow.kinds.kind.Kind.apply_async`."""
        return self.kind.apply_async(args, kwargs, **options)
