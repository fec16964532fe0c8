"""The actor of a command: a user with that user's permissions, or the shell's account, which may do everything."""

import getpass
from dataclasses import dataclass
from typing import Any, NoReturn

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError

from furrow.actions import permissions
from furrow.kinds.kind import BUILT_IN, Kind
from furrow.models.audit_entry import Origin


@dataclass(frozen=True)
class Actor:
    """``user`` is ``None`` for the shell's own account, whose name is ``account``. ``origin`` is what the audit log has."""

    user: Any = None
    account: str = ""
    origin: Origin = Origin.COMMAND_LINE
    #: The token of the HTTP API that was used, as the audit log has it.
    token: str = ""

    @property
    def by(self) -> Any:
        """What the audit log takes: the user, or the account's name."""
        return self.user or self.account

    def must_view(self) -> None:
        """Raises CommandError unless it may see jobs."""
        self.must(permissions.may_view(self.user), "see jobs", permissions.VIEW)

    def must_see_workflows(self) -> None:
        """Raises CommandError unless it may see workflows."""
        self.must(permissions.may_see(self.user, "workflow"), "see workflows", permissions.VIEW_WORKFLOW)

    def must_submit(self, kind: Kind) -> None:
        """Raises CommandError unless it may submit jobs of this kind."""
        if kind.name.startswith(BUILT_IN) or not (self.user is None or permissions.may_submit(self.user, kind)):
            self._refuse(f"submit {kind.name}", permissions.needed_to_submit(kind))

    def must_act(self) -> None:
        """Raises CommandError unless it may act on jobs (of kinds that ask for nothing more)."""
        needed = f"{permissions.VIEW} and {permissions.ACT}"
        self.must(permissions.may_act(self.user), "act on jobs", needed)

    def forbidden_kinds(self) -> list[str]:
        """Kinds that it may not act on."""
        return [] if self.user is None else permissions.forbidden_kinds(self.user)

    def must(self, may: bool, what: str, needed: str) -> None:
        """Raises CommandError unless it may; the shell's own account may do everything."""
        if self.user is not None and not may:
            self._refuse(what, needed)

    def _refuse(self, what: str, needed: str) -> NoReturn:
        raise CommandError(f"{self.user} may not {what}: that needs {needed}. Nothing was done.")


def find_actor(name: str | None, origin: Origin = Origin.COMMAND_LINE) -> Actor:
    """The actor of this user name; without one the shell's.

    Raises:
        CommandError: there is no such user, or it is not active.
    """
    if not name:
        return Actor(account=_account(), origin=origin)
    users = get_user_model()
    user = users._default_manager.filter(**{users.USERNAME_FIELD: name}).first()
    if user is None or not user.is_active:
        raise CommandError(f"--user: there is no {'' if user is None else 'active '}user {name!r}.")
    return Actor(user=user, origin=origin)


def _account() -> str:
    try:
        return f"{getpass.getuser()} (shell)"
    except (OSError, KeyError):  # an id without a name, as in containers
        return "shell"
