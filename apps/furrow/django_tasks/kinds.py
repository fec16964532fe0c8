"""A task's kind: declared with the task, and found by its name where only an enqueue chose this backend."""

import inspect
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from furrow.conf import conf
from furrow.django_tasks.arguments import TaskArguments, signature_of
from furrow.django_tasks.frameworks import Framework, framework_of, is_task
from furrow.django_tasks.options import options_of, priority_of
from furrow.errors import ArgumentError
from furrow.kinds.arguments import Arguments
from furrow.kinds.kind import Handler, Kind, register
from furrow.submission.submit import submit

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class TaskKind(Kind):
    """The kind of a task's jobs, named by the task's module path."""

    def __init__(self, task: Any, framework: Framework, options: Mapping[str, Any]) -> None:
        self.declared, self.framework, self.function = task, framework, task.func
        #: Parameters that are no arguments: the context.
        self.leading = int(task.takes_context)
        self.parameters = dict(list(inspect.signature(task.func).parameters.items())[self.leading :])
        #: The names of those that may be given by position.
        self.by_position = [name for name, one in self.parameters.items() if one.kind in _POSITIONAL]
        name, priority = task.module_path, priority_of(task.priority)
        queue = task.queue_name if task.queue_name in conf().queues else None
        super().__init__(self._handler(), submit, name=name, queue=queue, priority=priority, **options)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function in this process: no job, no record."""
        return self.declared.call(*args, **kwargs)

    def _arguments(self, handler: Handler) -> Arguments:
        return TaskArguments(self.name, handler)

    def _handler(self) -> Handler:
        """What a pool process calls, with the arguments of the row."""
        function = self.function

        def handler(**given: Any) -> Any:
            from furrow.django_tasks import running

            return running.run_async(self, given) if inspect.iscoroutinefunction(function) else running.run(self, given)

        signature = signature_of(function, leading=self.leading)
        handler.__name__ = handler.__qualname__ = function.__name__
        handler.__module__, handler.__doc__ = function.__module__, function.__doc__
        handler.__annotations__ = {name: one.annotation for name, one in signature.parameters.items()}
        handler.__signature__ = signature  # type: ignore[attr-defined]
        return handler

    def named(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a call by name.

        Raises:
            ArgumentError: the task cannot be called so.
        """
        signature = inspect.Signature(list(self.parameters.values()))
        try:
            return dict(signature.bind(*args, **kwargs).arguments)
        except TypeError as error:
            raise ArgumentError(self.name, {"arguments": f"do not fit {signature}: {error}"}) from None

    def called(self, given: Mapping[str, Any], positional: int) -> tuple[list[Any], dict[str, Any]]:
        """The call of these arguments: at least so many by position."""
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        rest = next((name for name, one in self.parameters.items() if one.kind is one.VAR_POSITIONAL), None)
        only = [name for name in self.by_position if self.parameters[name].kind is inspect.Parameter.POSITIONAL_ONLY]
        most = max(positional, len(only), len(self.by_position) if rest and given.get(rest) else 0)
        for number, name in enumerate(self.by_position):
            if name in given and number < most and len(args) == number:
                args.append(given[name])
            elif name in given:
                kwargs[name] = given[name]
        for name, one in self.parameters.items():
            if one.kind is one.VAR_POSITIONAL:
                args += given.get(name, [])
            elif one.kind is one.VAR_KEYWORD:
                kwargs |= given.get(name, {})
            elif one.kind is one.KEYWORD_ONLY and name in given:
                kwargs[name] = given[name]
        return args, kwargs


_tasks: dict[str, TaskKind] = {}
_declaring = threading.RLock()


def kind_of(task: Any, framework: Framework, of_all: Mapping[str, Any]) -> TaskKind:
    """The kind of a task, which the first call declares.

    Raises:
        KindError: an option cannot work, or another function has this name.
    """
    with _declaring:
        known = _tasks.get(task.module_path)
        if known is not None and (known.function, known.leading) == (task.func, int(task.takes_context)):
            return known
        declared = _in_module(task.module_path)
        if declared is None or declared.func is not task.func:
            declared = task  # it is being declared
        kind = TaskKind(declared, framework, options_of(declared, of_all))
        register(kind)
        _tasks[kind.name] = kind
        return kind


def find(name: str) -> TaskKind | None:
    """The kind of a task that was declared for another backend, and enqueued with ``using(backend=…)``. Only modules that are
    loaded are looked at: a row names the task, and anybody may have written that."""
    task = _in_module(str(name))
    if task is None:
        return None
    framework = framework_of(task)
    backends = [framework.tasks.task_backends[alias] for alias in framework.tasks.task_backends]
    ours = next((backend for backend in backends if getattr(backend, "framework", None) is framework), None)
    return None if ours is None else kind_of(task, framework, ours.of_all)


def _in_module(path: str) -> Any:
    """The task of this module path."""
    module, _, name = path.rpartition(".")
    task: Any = getattr(sys.modules.get(module), name, None)
    return task if is_task(task) and task.module_path == path else None
