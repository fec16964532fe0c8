"""The protocol's package, which is not installed everywhere."""

from importlib import import_module
from types import ModuleType

MISSING = "The package mcp is not installed: pip install 'furrow-jobs[mcp]'."


def protocol() -> ModuleType | None:
    """:mod:`furrow.assistant.server`; ``None`` where the package is not installed."""
    try:
        return import_module("furrow.assistant.server")
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("mcp", "mcp_types"):
            raise
        return None
