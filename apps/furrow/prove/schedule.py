"""Which faults happen, in which order, alone or together: drawn from the seed alone, so that a seed means the same again."""

import random
from collections.abc import Iterator, Sequence

from furrow.prove.faults.base import Fault

#: The share of rounds in which two faults happen at once.
PAIRS = 0.6


def rounds(faults: Sequence[Fault], seed: int) -> Iterator[list[Fault]]:
    """Rounds of one or two faults, for ever. Every kind comes once before any comes again, except in pairs."""
    dice = random.Random(seed)  # noqa: S311 - no secret
    while True:
        for first in dice.sample(faults, len(faults)):
            others = [fault for fault in faults if not fault.touches & first.touches]
            yield [first, dice.choice(others)] if others and dice.random() < PAIRS else [first]
