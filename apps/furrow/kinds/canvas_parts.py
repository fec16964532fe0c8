"""What makes a kind a part of Celery's canvas, as Celery's tasks are."""

from collections.abc import Iterable
from typing import Any


class CanvasParts:
    """Signatures of a kind."""

    @property
    def task(self) -> Any:
        """The Celery task that it is registered as."""
        raise NotImplementedError

    def s(self, *args: Any, **kwargs: Any) -> Any:
        """A part of a canvas, which is given the result of the part before it as its first argument."""
        return self.task.s(*args, **kwargs)

    def si(self, *args: Any, **kwargs: Any) -> Any:
        """A part of a canvas, which is given nothing."""
        return self.task.si(*args, **kwargs)

    def signature(self, *args: Any, **kwargs: Any) -> Any:
        """A part of a canvas, with options: ``charge.signature((7,), {"currency": "EUR"}, queue="payments")``."""
        return self.task.signature(*args, **kwargs)

    def map(self, rows: Iterable[Any]) -> Any:
        """A part of a canvas: one job for each argument. Its result is the list of theirs."""
        return self.task.map(rows)

    def starmap(self, rows: Iterable[Iterable[Any]]) -> Any:
        """A part of a canvas: one job for each list of arguments. Its result is the list of theirs."""
        return self.task.starmap(rows)

    def chunks(self, rows: Iterable[Iterable[Any]], size: int) -> Any:
        """A part of a canvas: one job for each list of arguments. Its result is the list of theirs, in lists of ``size``."""
        return self.task.chunks(rows, size)
