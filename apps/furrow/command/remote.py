"""``--remote URL``: the options, the token, and what there is then instead of the project's database."""

import argparse
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.management.base import CommandError

from furrow.command.http import Server
from furrow.command.source import Source
from furrow.command.there import There

#: Hosts that are this machine.
_HERE = ("localhost", "127.0.0.1", "::1")


def add_arguments(parser: argparse.ArgumentParser, default: Any = None) -> None:
    """``--remote URL --token-file FILE``, before a command or after it."""
    group = parser.add_argument_group("a project elsewhere")
    group.add_argument(
        "--remote", metavar="URL", default=default, help="the address of its API, as in https://shop.example/api"
    )
    group.add_argument("--token-file", metavar="FILE", default=default, help="the file that has the token")
    group.add_argument(
        "--token", metavar="TOKEN", default=default, help="the token; others here can read it: better FURROW_TOKEN or a file"
    )


def is_asked_for(words: list[str]) -> bool:
    """Whether a command line needs no project here."""
    return any(word == "--remote" or word.startswith("--remote=") or word in ("--help", "-h") for word in words)


def remote(options: dict[str, Any], warn: Callable[[str], None]) -> Source | None:
    """What ``--remote`` leads to; ``None`` without it.

    Raises:
        CommandError: as :func:`server`.
    """
    found = server(options, warn)
    return None if found is None else There(found)


def server(options: dict[str, Any], warn: Callable[[str], None]) -> Server | None:
    """The server that ``--remote`` names; ``None`` without it.

    Raises:
        CommandError: an option is wrong, or makes no sense with it or without it.
    """
    url, given = options["remote"], [name for name in ("token_file", "token") if options[name] is not None]
    if url is None:
        if given:
            raise CommandError(f"--{given[0].replace('_', '-')} requires --remote.")
        return None
    if options["user"]:
        raise CommandError("--user cannot be combined with --remote: a token acts as its own user.")
    if len(given) > 1:
        raise CommandError("--token and --token-file cannot be combined: give one of them.")
    token = _token(options)
    if options["token"] is not None:
        warn("Others on this machine can read --token in the list of processes: use --token-file or FURROW_TOKEN.")
    found = Server(url, token, warn)
    if urlsplit(url).scheme == "http" and urlsplit(url).hostname not in _HERE:
        warn("The token travels without encryption: use https.")
    return found


def _token(options: dict[str, Any]) -> str:
    text, where = options["token"] or os.environ.get("FURROW_TOKEN", ""), "--token" if options["token"] else "FURROW_TOKEN"
    if name := options["token_file"]:
        where = f"--token-file {name!r}"
        try:
            text = Path(name).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{where} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}.") from None
    if not text.strip():
        raise CommandError("--remote needs a token of that project's admin: --token-file, or FURROW_TOKEN in the environment.")
    if not re.fullmatch(r"[\x21-\x7e]+", text.strip()):
        raise CommandError(f"{where} is no token: one begins with fw_ and has neither blanks nor lines.")
    return text.strip()
