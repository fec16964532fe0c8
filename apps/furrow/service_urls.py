"""URLs of databases and services: explain what is wrong, and mask every character of a password. Pure."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

MASK = "********"
_ENCODE = (
    "Percent-encode what is special in its user and password: @ as %40, : as %3A, / as %2F, ? as %3F, # as %23, % as %25, a "
    "space as %20 (Python: urllib.parse.quote(password, safe=''))."
)
_WITH_PASSWORD = re.compile(r"(?P<user>[a-zA-Z][\w+.-]*://[^\s:/@]*):[^\s]*@")
#: Settings whose names say that they are secret, and those that Celery does not hide of itself.
_SECRET = re.compile("API|AUTH$|TOKEN|KEY|SECRET|PASS|CREDENTIAL|SIGNATURE", re.IGNORECASE)


def unreadable(variable: str, url: str) -> str:
    """Why the URL in this variable is not what its writer meant; empty when it can be read.

    A password with ``/``, ``?`` or ``#`` ends the host's part of a URL early: what follows is then taken for a port, which is
    wrong in most cases, or for a path, which has the ``@`` that was meant to end the password.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # whose text has a piece of what was taken for the port
        return f"{variable} cannot be read: it is no URL, or its port is no number up to 65535. {_ENCODE}"
    if parts.netloc and "@" in f"{parts.path}{parts.query}{parts.fragment}":
        return f"{variable} cannot be read: there is an @ behind its host. {_ENCODE}"
    return ""


def masked(value: Any, name: str = "") -> Any:
    """A setting as it may be shown: passwords in URLs are masked, also within lists and mappings, and values whose name says
    that they are secret."""
    if isinstance(name, str) and value and isinstance(value, str) and _SECRET.search(name):
        return MASK
    if isinstance(value, str):
        return _WITH_PASSWORD.sub(rf"\g<user>:{MASK}@", str(value))  # also of a lazy text
    if isinstance(value, Mapping):
        return {key: masked(one, key) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return type(value)(masked(one, name) for one in value) if type(value) in (list, tuple, set, frozenset) else value
    return value
