"""An application whose tasks are jobs, beside a stock one, and what both see of the same task."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import celery
from celery import signals
from furrow.celery import Celery
from furrow.kinds.kind import _kinds

#: Signals of a run, in the pool process.
OF_A_RUN = ("task_prerun", "task_postrun", "task_success", "task_failure", "task_retry")


@contextmanager
def adopting(settings: Any, adopt: Any = "all", **conf: Any) -> Iterator[Celery]:
    """An application of Furrow's, with ``FURROW["ADOPT"]``; the kinds that are made of its tasks are forgotten afterwards."""
    settings.FURROW = {**settings.FURROW, "ADOPT": adopt}
    before = dict(_kinds)
    app = Celery("shop", set_as_current=False, broker="memory://")
    app.conf.update(conf)
    try:
        yield app
    finally:
        _kinds.clear()
        _kinds.update(before)
        app.close()


def stock(**conf: Any) -> celery.Celery:
    """Celery's own application."""
    app = celery.Celery("stock", set_as_current=False, broker="memory://", backend="cache+memory://")
    app.conf.update(conf)
    return app


class Seen(list[Any]):
    """What a task's runs show: calls, hooks and signals, in order."""

    def hooks(self, base: type) -> type:
        """A class of tasks that notes its hooks."""
        seen = self

        class Watched(base):
            abstract = True

            def before_start(self, task_id: Any, args: Any, kwargs: Any) -> None:
                seen.append(("before_start", [*args], kwargs))

            def on_success(self, retval: Any, task_id: Any, args: Any, kwargs: Any) -> None:
                seen.append(("on_success", retval, [*args], kwargs))

            def on_retry(self, exc: Any, task_id: Any, args: Any, kwargs: Any, einfo: Any) -> None:
                seen.append(("on_retry", repr(exc), [*args], kwargs))

            def on_failure(self, exc: Any, task_id: Any, args: Any, kwargs: Any, einfo: Any) -> None:
                seen.append(("on_failure", repr(exc), [*args], kwargs))

            def after_return(self, status: Any, retval: Any, task_id: Any, args: Any, kwargs: Any, einfo: Any) -> None:
                seen.append(("after_return", status, [*args], kwargs))

        return Watched

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note Celery's signals of runs, too."""
        heard: dict[str, Callable[..., None]] = {}
        for name in OF_A_RUN:

            def hear(sender: Any = None, _name: str = name, **told: Any) -> None:
                self.append((_name, sender.name))

            heard[name] = hear
            getattr(signals, name).connect(hear, weak=False)
        try:
            yield
        finally:
            for name, hear in heard.items():
                getattr(signals, name).disconnect(hear)
