"""Puts the clock of a process wrong: loaded by ``FURROW_MODULES``; ``FURROW_TEST_CLOCK`` says by how many seconds. Whoever asks
Python for the time gets one that is ahead and behind by turns: it jumps with every call."""

import itertools
import os
import time

_right, _offset = time.time, float(os.environ.get("FURROW_TEST_CLOCK", "0"))
_turns = itertools.cycle((1.0, -1.0))
if _offset:
    time.time = lambda: _right() + _offset * next(_turns)
