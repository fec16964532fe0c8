"""Where Celery's canvas is taken up: in ``apply_async`` of its classes. People import these from ``celery``, and a canvas asks
neither an application nor a task before it is sent. A canvas of ordinary tasks is sent as ever."""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

from celery.canvas import Signature

from furrow.canvas.building import start
from furrow.canvas.makeup import Makeup, makeup
from furrow.canvas.signatures import kinds_in
from furrow.kinds.kind import get_kind

#: Celery's names of the classes.
_TYPES = ("chain", "chord", "chunks", "group", "xmap", "xstarmap")


def adopt() -> None:
    """Have a canvas of kinds submitted as a workflow, in this process; a second time changes nothing."""
    from furrow.kinds import task

    task.start_canvas = start
    for name in _TYPES:
        cls: Any = Signature.TYPES[name]
        if not hasattr(cls.apply_async, "is_furrows"):
            cls.apply_async = _ours_or(cls.apply_async)


def runs_here(signature: Signature) -> bool:
    """Celery runs it where it is applied (``task_always_eager`` of the application of its tasks): tasks that are jobs have no
    rows then."""
    kinds = [get_kind(name) for name in {*kinds_in(signature)}]
    return all(kind.adopted and kind.task.app.conf.task_always_eager for kind in kinds) and bool(kinds)


def _ours_or(celerys: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(celerys)
    def apply_async(
        self: Any, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, *more: Any, **options: Any
    ) -> Any:
        if makeup(self, options) is not Makeup.KINDS or runs_here(self):
            return celerys(self, args, kwargs, *more, **options)
        return start(self, args, kwargs, options)

    apply_async.is_furrows = True  # type: ignore[attr-defined]
    return apply_async
