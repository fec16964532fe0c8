"""Base of locks, semaphores, leaderships and rate limits: they guard a block or a function."""

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, Self, TypeVar

from furrow.locks import keys
from furrow.locks.errors import LockError

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")
#: Seconds; a year.
LONGEST_TIMEOUT = 366 * 86400.0


class Guard(ABC, Generic[T]):
    """``with guard as what_it_gives: …`` or ``@guard`` on a function. One object guards one block at a time."""

    kind = ""

    def __init__(self, name: str, timeout: float | None) -> None:
        self._label = keys.label(self.kind, name)
        self._name = name
        self._timeout = timeout
        wrong = isinstance(timeout, bool) or not isinstance(timeout, (int, float))
        if timeout is not None and (wrong or not 0 <= timeout <= LONGEST_TIMEOUT):
            raise LockError(
                f"timeout: {timeout!r} must be the seconds to wait: 0 to try only, None to wait for as long as it takes."
            )

    @abstractmethod
    def __enter__(self) -> T: ...

    def __exit__(self, *raised: Any) -> None:
        """Nothing to give back."""

    async def __aenter__(self) -> T:
        """Refused.

        Raises:
            LockError: always.
        """
        raise LockError(
            f"{self._label}: async with is not supported, since waiting blocks the thread. Put `with {self.kind}(…)` into a "
            "function and `await asyncio.to_thread(function)`."
        )

    async def __aexit__(self, *raised: Any) -> None:
        """Never reached."""

    @abstractmethod
    def named(self, name: str) -> Self:
        """A copy of this object for another name."""

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorate a function, so that each call is guarded. ``{argument}`` in the name takes the call's argument.

        Raises:
            LockError: the name has a placeholder that is no argument; the function is a coroutine or a generator.
        """
        late = inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction
        if any(is_late(function) for is_late in late):
            raise LockError(
                f"{function.__qualname__} is a coroutine or generator, whose body runs after the call: "
                f"take {self._label} inside, with a with statement."
            )
        signature = inspect.signature(function)
        fill = _filler(self._name, signature, function.__qualname__)

        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            with self.named(fill(args, kwargs)):
                return function(*args, **kwargs)

        return guarded


def _filler(name: str, signature: inspect.Signature, function: str) -> Callable[[Any, Any], str]:
    if "{" not in name:
        return lambda args, kwargs: name

    def fill(args: Any, kwargs: Any) -> str:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return name.format_map(bound.arguments)

    try:
        name.format_map(dict.fromkeys(signature.parameters, ""))
    except (KeyError, ValueError, IndexError, AttributeError, TypeError) as error:
        known = ", ".join(signature.parameters) or "none"
        raise LockError(f"name: {name!r} cannot be filled in ({error!r}): {function} has the arguments: {known}.") from None
    return fill
