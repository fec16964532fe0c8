"""What every process of the stack is told, kept in `<run>/env` so that a command in a fresh shell meets the same stack.

A variable that is set where `up` was called wins and is written down as it is; the rest is generated once and
remembered in `<run>/stack.json`. Optional settings are remembered too, until one is given anew; an empty one is forgotten.
Passwords are letters and digits, so they stand in URLs as they are.
"""

import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from deploy import files, ports
from deploy.errors import NoFreePort, StackFailed

_FIRST_PORTS = {"WEB_PORT": 8000, "FLOWER_PORT": 5555, "SUPERVISOR_PORT": 29001}
#: Settings that `up` writes down only when it is given them; README.md says what each means.
_OPTIONAL = (
    "HTTPS",
    "CSRF_TRUSTED_ORIGINS",
    "TRUSTED_PROXIES",
    "FURROW_QUEUES",
    "FURROW_EXTERNAL_QUEUES",
    "FURROW_EXTERNAL_OVER_AMQP",
    "FURROW_QUEUE_LIMITS",
    "FURROW_FAIR_WEIGHTS",
    "FURROW_MODULES",
    "FURROW_ADOPT",
    "FURROW_EVENTS",
    "FURROW_WEBHOOK_NETWORKS",
    "FURROW_EVENT_SOURCE",
    "FURROW_VERSION",
    "FURROW_MIDDLEWARE",
    "FURROW_MAX_ARGUMENT_BYTES",
    "FURROW_MAX_UPLOAD_BYTES",
    "FURROW_MAX_REQUEST_BYTES",
    "FURROW_WORKER_LEASE",
    "FURROW_LEADER_LEASE",
    "FURROW_SHUTDOWN_GRACE",
    "FURROW_RESEND_AFTER",
    "FURROW_LOCK_LEASE",
    "WORKER_SEND_TASK_EVENTS",
    "CELERY_QUORUM_QUEUE",
    "METRICS_TOKEN",
    "TIME_ZONE",
    "LOG_LEVEL",
    "STATIC_ROOT",
    "MEDIA_ROOT",
)
_PLAIN = re.compile(r"[\w./:@%+,=&?*~\[\]-]*")
_DATABASES = {"sqlite": "sqlite", "sqlite3": "sqlite", "postgres": "postgres", "postgresql": "postgres"}


def run_folder() -> Path:
    """The run folder: `$FURROW_RUN`, else `.run`."""
    return Path(os.environ.get("FURROW_RUN") or ".run").absolute()


class Memory:
    """What a run folder remembers from one `up` to the next: an id, secrets, ports, the kind of database."""

    def __init__(self, run: Path) -> None:
        self._path = run / "stack.json"

    def __getitem__(self, key: str) -> Any:
        return self._values()[key]

    def get(self, key: str, default: Any) -> Any:
        """A value that an older folder may not have."""
        return self._values().get(key, default)

    def remember(self, **values: Any) -> None:
        """Write these values down."""
        files.write_json(self._path, self._values() | values)

    def _values(self) -> dict[str, Any]:
        values = files.read_json(self._path)
        if not values:
            values = {
                "id": secrets.token_hex(4),
                "secret_key": secrets.token_urlsafe(48),
                "admin_password": secrets.token_hex(8),
                "flower_password": secrets.token_hex(8),
                "supervisor_password": secrets.token_hex(16),
                "database": "sqlite",
                "given": {},
                "ports": dict(_FIRST_PORTS),
            }
            files.write_json(self._path, values)
        return values


def database_kind(memory: Memory, environ: Mapping[str, str]) -> str:
    """`sqlite` or `postgres`: what DATABASE says, else what it said last. Raises StackFailed on another word."""
    asked = environ.get("DATABASE")
    if not asked:
        return str(memory["database"])
    if asked.lower() not in _DATABASES:
        raise StackFailed(f"DATABASE={asked!r} is unknown: say sqlite or postgres, or set DATABASE_URL.")
    return _DATABASES[asked.lower()]


def given(memory: Memory, environ: Mapping[str, str]) -> dict[str, str]:
    """The optional settings: what the environment says now, else what it said last. One that is set but empty is forgotten."""
    named = memory.get("given", {}) | {name: environ[name] for name in _OPTIONAL if name in environ}
    return {name: value for name, value in named.items() if value}


def choose_ports(memory: Memory, environ: Mapping[str, str]) -> None:
    """Remember ports that are free now. One that the environment asks for is used or refused."""
    chosen = {}
    for name, first in _FIRST_PORTS.items():
        asked = environ.get(name)
        if asked and not (asked.isdigit() and 0 < int(asked) < 65536):
            raise StackFailed(f"{name}={asked!r} is not a port: say a number from 1 to 65535.")
        if asked and not ports.is_free(int(asked)):
            raise NoFreePort(f"{name}={asked} is taken. Set another one, or none to have a free one chosen.")
        chosen[name] = int(asked) if asked else ports.choose(first, remembered=memory["ports"].get(name))
    memory.remember(ports=chosen)


def compose(run: Path, memory: Memory, stores: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """The settings of the stack, given the stores' URLs by variable."""
    known = memory["ports"]
    generated = {
        "DATABASE_URL": f"sqlite:///{quote(str(run / 'db.sqlite3'))}",
        **stores,
        "SECRET_KEY": memory["secret_key"],
        "DEBUG": "false",
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "FLOWER_BASIC_AUTH": f"flower:{memory['flower_password']}",
        "ADMIN_PASSWORD": memory["admin_password"],
        "WORKER_CONCURRENCY": "2",
        "WORKER_NODE": f"furrow-{memory['id']}@localhost",
        **given(memory, environ),
    }
    settings = {name: environ.get(name) or value for name, value in generated.items()} | dict(stores)
    settings |= {"WEB_PORT": str(known["WEB_PORT"]), "FLOWER_PORT": str(known["FLOWER_PORT"])}
    settings["FLOWER_URL"] = environ.get("FLOWER_URL") or f"http://127.0.0.1:{known['FLOWER_PORT']}/flower"
    return settings


def save(run: Path, settings: Mapping[str, str]) -> None:
    """Replace `<run>/env`, in the form that django-environ reads."""
    lines = [f"{name}={_quoted(value)}" for name, value in settings.items()]
    files.write(run / "env", "# Written by `make up`; the environment wins over it.\n" + "\n".join(lines) + "\n")


def load(run: Path) -> dict[str, str]:
    """What `<run>/env` says; empty if there is no such file."""
    try:
        lines = (run / "env").read_text().splitlines()
    except FileNotFoundError:
        return {}
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: _unquoted(value) for name, _, value in pairs}


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _unquoted(value: str) -> str:
    if value.startswith('"') and value.endswith('"') and len(value) > 1:
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value
