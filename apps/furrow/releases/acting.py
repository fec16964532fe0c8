"""Begin, widen, narrow and take back a canary. Who calls has looked at permissions, and audits."""

from furrow import statements
from furrow.errors import InputError
from furrow.kinds.kind import get_kind
from furrow.models import Canary
from furrow.models.database import connection


def put(kind: str, version: str, share: float) -> Canary:
    """This share of the kind's jobs goes to workers of this version. Workers know within seconds.

    Raises:
        UnknownKind: there is no such kind.
        InputError: the share or the version cannot be.
    """
    found = get_kind(kind)
    wrong = {}
    if not 0 <= share <= 1:
        wrong["share"] = f"{share!r} must be from 0 to 1, such as 0.1 for one job in ten"
    if not version or len(version) > 100:
        wrong["version"] = f"{version[:60]!r} must be what the workers of the new release have as FURROW_VERSION"
    if found.external:
        wrong["kind"] = f"{kind} is run by programs in other languages, which tell no version of this project's code"
    if wrong:
        raise InputError(wrong)
    now = statements.on(connection).clock(connection)
    there = Canary.objects.filter(kind=kind).first()
    begun = now if there is None or there.version != version else there.started_at
    row, _ = Canary.objects.update_or_create(
        kind=kind, defaults={"version": version, "share": share, "started_at": begun, "changed_at": now}
    )
    return row


def take_back(kind: str) -> bool:
    """Jobs of this kind go to any worker again. ``False`` when it had no canary."""
    return bool(Canary.objects.filter(kind=kind).delete()[0])
