"""For the tests of who uses Furrow::

    from furrow.testing import assert_submitted, drain

    def test_an_order_is_charged(client, db):
        client.post("/orders/", {"customer": 7})
        assert_submitted(charge, {"order_id": 1})
        drain()
        assert Order.objects.get().charged

Plain functions, for Django's ``TestCase`` and for pytest; nothing but the test database is needed. docs/testing.md is the
guide; the fixtures are in :mod:`furrow.pytest_plugin`.

``draining``, ``drained``, ``inline``, ``asserting``, ``times``, ``locks``  what tests call.
``engine``        picks, claims, runs and settles, with the dispatcher's rules and the worker's SQL.
``pool_process``  what a run needs of a pool process, in the test's.
``worker``        a real dispatcher and a real worker; ``program`` is what they run.
"""

from furrow.testing.asserting import assert_not_submitted, assert_submitted, submitted
from furrow.testing.drained import Drained
from furrow.testing.draining import drain
from furrow.testing.engine import DispatcherRuns
from furrow.testing.inline import run_inline
from furrow.testing.locks import local_locks
from furrow.testing.times import advance, travel

__all__ = [
    "DispatcherRuns",
    "Drained",
    "advance",
    "assert_not_submitted",
    "assert_submitted",
    "drain",
    "local_locks",
    "run_inline",
    "submitted",
    "travel",
]
