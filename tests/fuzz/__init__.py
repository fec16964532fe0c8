"""Each entrance of Furrow is given what nobody thought of: frames, messages, packets, rows, values in Redis.

In the suite the examples are few and always the same. ``python -m tests.fuzz messages --minutes 60`` goes on with new ones
until the time is over or one fails, and then says which.
"""

import os

from hypothesis import HealthCheck, Phase, settings

#: New examples at each run, instead of the same ones.
RANDOM = bool(os.environ.get("FURROW_FUZZ"))


def examples(number: int, *, shrink: bool = True) -> settings:
    """A test of so many examples. ``shrink``: look for a smaller one that fails too, which runs it many times again."""
    unfit = [
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
    ]
    return settings(
        max_examples=number, deadline=None, derandomize=not RANDOM, database=None, suppress_health_check=unfit, print_blob=True,
        phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
    )  # fmt: skip
