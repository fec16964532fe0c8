"""Who asks: a bearer token of the admin, or the session of a browser; and what they may be used for."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest, QueryDict
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.datastructures import MultiValueDict
from ninja.security import APIKeyCookie, HttpBearer

from furrow.actions import permissions, tokens
from furrow.api import rate
from furrow.kinds.kind import Kind
from furrow.models import ApiToken
from furrow.models.api_token import Scope
from furrow.web.problems import Refused

#: What a browser's session may be used for. Changes need a CSRF token.
OF_SESSIONS = frozenset({Scope.READ, Scope.SUBMIT, Scope.ACT})
_SAFE = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True)
class Caller:
    """Who asks. May never do more than ``user`` may: :mod:`furrow.actions.permissions` decides."""

    user: Any
    scopes: frozenset[str]
    #: The kinds that the token is for; empty: all.
    kinds: frozenset[str] = frozenset()
    #: ``None``: a browser's session.
    token: ApiToken | None = None

    @property
    def named(self) -> str:
        """The token, as the audit log has it."""
        return "" if self.token is None else str(self.token)

    def has_kind(self, name: str) -> bool:
        """The token is for jobs of this kind."""
        return not self.kinds or name in self.kinds

    def must_view(self) -> None:
        """Raises Refused (403) unless it may see jobs."""
        self.must(permissions.may_view(self.user), "see jobs", permissions.VIEW)

    def must_see(self, what: str) -> None:
        """Raises Refused (403) unless it may see the engine's rows of this name, such as ``"queue"``."""
        self.must(permissions.may_see(self.user, what), f"see {what}s", f"furrow.view_{what}")

    def must_submit(self, kind: Kind) -> None:
        """Raises Refused (403) unless it may submit jobs of this kind."""
        self.must(permissions.may_submit(self.user, kind), f"submit {kind.name}", permissions.needed_to_submit(kind))
        self._must_have(kind.name)

    def must_act(self, kind: str) -> None:
        """Raises Refused (403) unless it may act on jobs of this kind."""
        own = " and the kind's own permission" if permissions.may_act(self.user) else ""
        needed = f"{permissions.VIEW} and {permissions.ACT}{own}"
        self.must(permissions.may_act(self.user, kind), f"act on {kind}", needed)
        self._must_have(kind)

    def must_have_scope(self, scope: Scope) -> None:
        """Raises Refused (403) unless it may be used for this too, beside what its operation asks for."""
        if scope not in self.scopes:
            raise Refused(403, f"This token lacks the scope {scope}: it has {', '.join(sorted(self.scopes))}.")

    def must_act_on_queues(self) -> None:
        """Raises Refused (403) unless it may pause queues: jobs of all kinds are in them."""
        needed = f"furrow.view_queue, {permissions.VIEW} and {permissions.ACT}"
        self.must(permissions.may_act_on_queues(self.user), "pause and resume queues", needed)
        if self.kinds:
            raise Refused(403, "This token is for some kinds only, and a queue has jobs of any: use a token without kinds.")

    def must(self, may: bool, what: str, needed: str) -> None:
        """Raises Refused (403) if it may not."""
        if not may:
            raise Refused(403, f"{self.user.get_username()} may not {what}: that needs {needed}.")

    def _must_have(self, kind: str) -> None:
        if not self.has_kind(kind):
            raise Refused(403, f"This token is not for {kind}: it is for {', '.join(sorted(self.kinds))}.")


class Token(HttpBearer):
    """``Authorization: Bearer fw_…``, with this scope."""

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        self._scope = scope

    def authenticate(self, request: HttpRequest, token: str) -> Caller:
        """Who asks.

        Raises:
            Refused: 401 for what is no token (any more), 403 for one without the scope, 429 for one that asks too often.
        """
        caller = _caller(request, token)
        caller.must_have_scope(self._scope)
        if caller.token is not None:
            rate.check(caller.token)
            tokens.note_use(caller.token)
        return caller


class Session(APIKeyCookie):
    """The session of somebody who is logged in to the admin; what changes something needs ``X-CSRFToken``."""

    param_name = settings.SESSION_COOKIE_NAME

    def __init__(self, scope: Scope) -> None:
        super().__init__(csrf=True)
        self._scope = scope

    def __call__(self, request: HttpRequest) -> Caller | None:
        """Who asks; ``None`` for nobody.

        Raises:
            Refused: 403 for who is no staff, or without a CSRF token.
        """
        user = getattr(request, "user", None)
        if "Authorization" in request.headers or user is None or not user.is_authenticated:
            return None
        if not (user.is_active and user.is_staff):
            raise Refused(403, f"{user.get_username()} is not staff: use a token.")
        if request.method not in _SAFE and not _has_csrf_token(request):
            raise Refused(403, "The CSRF token (X-CSRFToken) is missing or wrong: load the page again, and send it once more.")
        if self._scope not in OF_SESSIONS:
            raise Refused(403, f"A browser's session lacks the scope {self._scope}: use a token.")
        return Caller(user, OF_SESSIONS)

    def authenticate(self, request: HttpRequest, key: str | None) -> Caller | None:
        """Not asked: :meth:`__call__` reads Django's session."""
        return self(request)


def needs(scope: Scope) -> list[Any]:
    """``auth`` of a router or an operation: a token with this scope, or a session."""
    return [Token(scope), Session(scope)]


def caller(request: HttpRequest) -> Caller:
    """Who asks, within an operation."""
    found: Caller = request.auth  # type: ignore[attr-defined]
    return found


def most_bytes(request: HttpRequest) -> int:
    """What this caller's body may have (:func:`furrow.web.bodies.takes_json`); 0 for who brings no valid token."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return 0
    try:
        _caller(request, secret)
    except Refused:
        return 0
    return settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0


def _caller(request: HttpRequest, secret: str) -> Caller:
    """Looked up once a request."""
    known: Caller | None = request.__dict__.get("_furrow_caller")
    if known is None:
        token, user, problem = tokens.find(secret.strip())
        if token is None or problem:
            raise Refused(401, problem)
        scopes, kinds = (frozenset(one for one in column if isinstance(one, str)) for column in (token.scopes, token.kinds))
        known = request.__dict__["_furrow_caller"] = Caller(user, scopes, kinds, token)
    return known


def _has_csrf_token(request: Any) -> bool:
    """By its header alone: the form is not read, for its size was not looked at."""
    request._post, request._files, request.csrf_processing_done = QueryDict(), MultiValueDict(), False
    try:
        middleware = CsrfViewMiddleware(lambda request: _never())
        middleware.process_request(request)
        return middleware.process_view(request, _never, (), {}) is None
    finally:
        del request._post, request._files


def _never() -> Any:
    raise AssertionError("only Django's middleware is given this")
