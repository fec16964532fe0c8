"""Settings that guard the site, taken over by ``config.settings``: what a page may load, and how often a login may fail.

The theme's Alpine evaluates the expressions in its attributes, so scripts need ``unsafe-eval``; its charts, menus and colours
set styles in the page, so styles need ``unsafe-inline``. A script in a page's text does not run.
"""

from datetime import timedelta
from ipaddress import ip_address

from csp.constants import NONCE, NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.conf import settings
from django.http import HttpRequest

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, UNSAFE_EVAL, NONCE],
        "style-src": [SELF, UNSAFE_INLINE],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
# A name from an address: whoever guesses locks out neither the person nor the others behind the same address.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_LOCKOUT_TEMPLATE = "locked_out.html"
AXES_CLIENT_IP_CALLABLE = "config.protection.client_ip"
AXES_SENSITIVE_PARAMETERS: list[str] = []  # a log line without name and address helps nobody; passwords are never in one
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False


def client_ip(request: HttpRequest) -> str | None:
    """The client's address: the connection's; behind ``TRUSTED_PROXIES`` proxies what the outermost of them wrote to the end
    of ``X-Forwarded-For``. What the client itself put in front of that is not looked at."""
    hops = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    proxies: int = settings.TRUSTED_PROXIES
    for text in [*(hops[-proxies:][:1] if 0 < proxies <= len(hops) else []), request.META.get("REMOTE_ADDR", "")]:
        try:
            return str(ip_address(text.strip()))
        except ValueError:
            continue
    return None
