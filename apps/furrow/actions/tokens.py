"""Tokens of the HTTP API: make, find, revoke."""

import datetime as dt
from collections.abc import Collection
from typing import Any

from django.db import IntegrityError
from django.db.models import Q
from django.db.models.functions import Now

from furrow.actions.audit import audit
from furrow.errors import InputError, did_you_mean
from furrow.kinds.kind import find_kind
from furrow.models import ApiToken
from furrow.models.api_token import PREFIX, SHOWN, Scope, hash_of, new_secret
from furrow.models.audit_entry import Origin
from furrow.models.database import atomic
from furrow.models.users import find_user
from furrow.sanitize import clean
from furrow.statements import clock

#: A use is written down at most this often.
USED = dt.timedelta(minutes=1)
#: Kinds that one token may name.
MOST_KINDS = 100


def make(
    name: str,
    *,
    user: Any,
    scopes: Collection[str],
    kinds: Collection[str] = (),
    expires_at: dt.datetime | None = None,
    by: Any = None,
    origin: Origin = Origin.ADMIN,
) -> tuple[ApiToken, str]:
    """Make a token that acts for ``user``, and its secret, which is not stored and cannot be shown again.

    Raises:
        InputError: names what cannot be. Nothing was made.
    """
    name, wrong = clean(name).strip(), dict[str, str]()
    if not 1 <= len(name) <= 100:
        wrong["name"] = "give a name of 1 to 100 characters, to tell tokens apart"
    if unknown := [scope for scope in scopes if scope not in list(Scope)]:
        wrong["scopes"] = f"{unknown[0]!r:.60} is no scope; {did_you_mean(unknown[0], Scope)}"
    elif not scopes:
        wrong["scopes"] = f"choose at least one of {', '.join(Scope)}"
    if missing := [kind for kind in kinds if find_kind(kind) is None]:
        wrong["kinds"] = f"there is no kind {missing[0]!r:.60}: give names of kinds, or none for all"
    elif len(kinds) > MOST_KINDS:
        wrong["kinds"] = f"there are {len(kinds)}: give at most {MOST_KINDS}, or none for all"
    if expires_at is not None and expires_at <= clock.now():
        wrong["expires_at"] = "is not ahead: give a later time, or none"
    if wrong:
        raise InputError(wrong)
    secret = new_secret()
    token = ApiToken(
        name=name,
        user=user,
        hash=hash_of(secret),
        beginning=secret[:SHOWN],
        scopes=[scope for scope in Scope if scope in scopes],
        kinds=sorted({*kinds}),
        expires_at=expires_at,
        created_by=by,
    )
    try:
        with atomic():
            token.save()
            detail = f"for {user.get_username()}: {', '.join(token.scopes)}"
            audit("create token", by=by, origin=origin, target=f"token {token}", detail=detail)
    except IntegrityError:
        raise InputError({"name": f"{user.get_username()} has a token {name!r} already: revoke that one first"}) from None
    return token, secret


def find(secret: str) -> tuple[ApiToken | None, Any, str]:
    """The token of this secret, the user whom it acts for, and why it may not be used (empty: it may)."""
    found = ApiToken.objects.filter(hash=hash_of(secret)).first() if secret.startswith(PREFIX) else None
    if found is None:
        return None, None, "There is no such token: make one in the admin, and send it as 'Authorization: Bearer fw_…'."
    if found.revoked_at is not None:
        return found, None, f"The token {found} was revoked: make another one."
    if found.expires_at is not None and found.expires_at <= clock.now():
        return found, None, f"The token {found} has expired: make another one."
    user = find_user(found.user_id)
    if user is None or not user.is_active:
        return found, None, f"The user of the token {found} is gone or not active."
    return found, user, ""


def note_use(token: ApiToken) -> None:
    """Write down that it is used, once a minute."""
    now = clock.now()
    if token.last_used_at is None or token.last_used_at < now - USED:
        stale = Q(last_used_at__isnull=True) | Q(last_used_at__lt=now - USED)
        ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=now)


def revoke(token: ApiToken, *, by: Any, origin: Origin = Origin.ADMIN) -> bool:
    """Let it be used no more; ``False`` when it was revoked already."""
    with atomic():
        revoked = ApiToken.objects.filter(pk=token.pk, revoked_at__isnull=True).update(revoked_at=Now())
        if revoked:
            audit("revoke token", by=by, origin=origin, target=f"token {token}")
    return bool(revoked)
