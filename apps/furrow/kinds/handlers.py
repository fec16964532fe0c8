"""Handlers: which functions can be one, and where they are found."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterable
from typing import Any

from furrow.errors import KindError


def refuse_handler(handler: Any) -> None:
    """Only a function of a module can be found by other processes.

    Raises:
        KindError: it is something else.
    """
    if not inspect.isfunction(handler):
        raise KindError(f"@job goes on a function, not on {handler!r}; options are given by name: @job(queue=…).")
    if handler.__qualname__ != handler.__name__ or handler.__name__ == "<lambda>":
        raise KindError(
            f"@job on {handler.__module__}.{handler.__qualname__}: other processes cannot import it; define the "
            "handler at module level, with def."
        )


def discover(packages: Iterable[str]) -> None:
    """Import the packages and everything below them (but ``management``, ``migrations`` and ``tests``)."""
    for package in packages:
        module = importlib.import_module(package)
        for found in pkgutil.iter_modules(getattr(module, "__path__", [])):
            if found.name not in ("management", "migrations", "tests", "apps"):
                discover([f"{package}.{found.name}"])
