"""Packets from a pool process to its worker: whatever arrives there, the worker lives and its jobs end."""

import base64
import marshal
from typing import Any

import pytest
from furrow import FINAL, Job, State, submit
from hypothesis import given
from hypothesis import strategies as some

from tests import kinds
from tests.fuzz import examples
from tests.stack import Stack, wait_until

_ID = "01900000-0000-7000-8000-000000000000"
_leaves = some.one_of(
    some.none(), some.booleans(), some.integers(-(2**70), 2**70), some.floats(), some.text(max_size=30),
    some.binary(max_size=30),
    some.sampled_from([_ID, "next", "failed", "succeeded", "pending", "running", "timed_out", "\x00", "\ud800"]),
)  # fmt: skip
_values = some.recursive(_leaves, lambda inner: some.lists(inner, max_size=5).map(tuple), max_leaves=15)
#: The ends, log lines and progress of runs, as they should be.
_RIGHT = [
    (_ID, 1, "failed", "failed", 7, 1.5, 2.5, None, None, "text", "Error", "traceback", "fingerprint"),
    (_ID, 1, 1.5, 20, "logger", "text"),
    (_ID, 1, 0.5, "text"),
]


@some.composite
def _nearly(draw: Any, right: tuple[Any, ...]) -> tuple[Any, ...]:
    """With one field that is anything."""
    at = draw(some.integers(0, len(right) - 1))
    return (*right[:at], draw(_values), *right[at + 1 :])


_ends = some.one_of(_values, _nearly(_RIGHT[0]))


@some.composite
def _packets(draw: Any) -> bytes:
    """Bytes, values, and packets of the right names with anything in them; now and then damaged or cut."""
    what = draw(some.sampled_from(["bytes", "value", "log", "progress", "left", "trouble", "next"]))
    if what == "bytes":
        return bytes(draw(some.binary(min_size=1, max_size=60)))
    rest = draw(some.lists(_values, max_size=7))
    if what == "next":  # of a process that is none of the worker's: a handler that forges its own end is believed
        rest = [draw(some.integers(2**40, 2**50)), draw(_ends), draw(_values), draw(_values)][: draw(some.integers(0, 4))]
    if what in ("log", "progress") and draw(some.booleans()):
        rest = [*draw(_nearly(_RIGHT[1 if what == "log" else 2]))]
    content = marshal.dumps(draw(_values) if what == "value" else (what, *rest))
    return content[: draw(some.integers(1, 400))] or b"\x00"


@pytest.mark.engine
@pytest.mark.timeout(900)
def test_packets_that_no_worker_expects(stack: Stack) -> None:
    worker = next(process for process in stack.processes if process.name == "worker")

    @examples(15, shrink=False)
    @given(some.lists(_packets(), min_size=1, max_size=30))
    def send(packets: list[bytes]) -> None:
        sender = submit(kinds.says_to_its_worker, {"packets": [base64.b64encode(packet).decode() for packet in packets]})
        beside = submit(kinds.add, {"a": 1})
        wait_until(lambda: Job.objects.get(pk=beside.pk).state == State.SUCCEEDED, what=f"the job beside it; log: {worker.log}")
        wait_until(lambda: Job.objects.get(pk=sender.pk).state in FINAL, what=f"the job itself; log: {worker.log}")

    send()
    assert worker.popen.poll() is None
    assert worker.text.count("worker@test ready") == 1
