"""In the places of the frameworks' own backends: Furrow's. Lies in the folder of the run as ``conformance_backends``."""

from copy import deepcopy
from typing import Any

from furrow import Job
from furrow.django_tasks import FurrowBackend
from furrow.testing import drain


class ImmediateBackend(FurrowBackend):
    """What is enqueued is run before ``enqueue`` returns, as a dispatcher and a worker would."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """Submit, and drain."""
        result = super().enqueue(task, args, kwargs)
        drain(raise_on_failure=False)
        result.refresh()
        return result


class DummyBackend(FurrowBackend):
    """Remembers what was enqueued."""

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        self.results: list[Any] = []

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """Submit."""
        result = super().enqueue(task, args, kwargs)
        self.results.append(deepcopy(result))
        return result

    def clear(self) -> None:
        """Forget it."""
        self.results.clear()
        Job.objects.all().delete()
