"""How often a token may ask: ``FURROW["API_RATE"]``, over all web processes, by Redis. Without Redis there is no limit."""

import time

from furrow.conf import conf
from furrow.locks.errors import LockUnavailable, RateLimited
from furrow.locks.rate import rate_limit
from furrow.models import ApiToken
from furrow.web.problems import Refused

#: Seconds for which Redis is not asked again after it was away.
AWAY = 2.0
_asked_again_at = 0.0


def check(token: ApiToken) -> None:
    """Use one permit.

    Raises:
        Refused: 429; it says when the next one is free.
    """
    global _asked_again_at
    rate = conf().api_rate
    if not (conf().redis_url and rate) or time.monotonic() < _asked_again_at:
        return
    # After a pause as many may come at once as in one of the rate's spans.
    burst = int(rate.partition("/")[0])
    try:
        rate_limit(f"api:{token.hash[:16]}", rate, burst, timeout=0).take()
    except RateLimited as error:
        text = f"This token may be used {rate} (FURROW['API_RATE']): wait {error.retry_after:.3g} s."
        raise Refused(429, text, retry_after=error.retry_after) from None
    except LockUnavailable:
        _asked_again_at = time.monotonic() + AWAY
