"""Sleeps right under libfaketime, loaded by ``FURROW_MODULES``: that takes the monotonic moment at which Python's own ``sleep``
ends for one of the clock that it fakes."""

import select
import time
from typing import Any


def _sleep(seconds: Any, /) -> None:
    select.select((), (), (), seconds)


time.sleep = _sleep
