"""Options between arguments: ``submit KIND a=1 --queue other b=2``, which argparse does not take below a subparser."""

import argparse
from typing import Any


def allow_intermixed(parser: argparse.ArgumentParser) -> None:
    """Let options stand anywhere in this parser's command line."""
    ordinary = parser.parse_known_args

    def parse(args: Any = None, namespace: Any = None) -> Any:
        # Intermixed parsing is two ordinary passes.
        parser.parse_known_args = ordinary  # type: ignore[method-assign]
        try:
            return parser.parse_known_intermixed_args(args, namespace)
        finally:
            parser.parse_known_args = parse  # type: ignore[method-assign]

    parser.parse_known_args = parse  # type: ignore[method-assign]
