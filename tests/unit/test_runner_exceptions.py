"""In the pool process: every exception becomes an end of the run that can be passed on, whatever it does when it is asked."""

import decimal
import marshal
import uuid
from collections.abc import Callable
from typing import Any, cast

import pytest
from furrow.errors import Cancelled, Retry
from furrow.states import State
from furrow.worker import channel
from furrow.worker.child import runner
from furrow.worker.child.current import Run
from furrow.worker.child.verdict import verdict

from tests import kinds


class _Raises(Exception):
    def __str__(self) -> str:
        raise LookupError("no text")

    __repr__ = __str__


class _NoText(Exception):
    def __str__(self) -> str:
        return 7  # type: ignore[return-value]


def _in_a_circle() -> Exception:
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    return one


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (_Raises, "_Raises: (its text cannot be told: __str__ raised LookupError)"),
        (_NoText, "_NoText: (its text cannot be told: __str__ raised TypeError)"),
        (_in_a_circle, "ValueError: one"),
        (lambda: ValueError("x" * 1_000_000), "characters cut"),
        (lambda: ExceptionGroup("many", [ValueError(n) for n in range(1_000)]), "ExceptionGroup: many"),
        (lambda: ValueError("\x00\udce9"), "ValueError: \ufffd?"),
        (lambda: Retry("later", seconds=cast("Any", decimal.Decimal("0.5"))), "Retry: later"),
    ],
)
def test_an_exception_that_cannot_be_told_ends_the_run_with_what_can_be_said(make: Callable[[], Exception], text: str) -> None:
    end = verdict(Run(str(uuid.uuid4()), "kinds.add", 1, 0, 3), make())
    state, outcome, delay, _, told, name, story, fingerprint = end
    assert text in told
    assert len(told) < 2_100
    assert name
    assert fingerprint
    assert story.encode()
    assert name.encode()
    assert (state, type(delay)) == (State.PENDING, float)
    marshal.dumps((str(state), str(outcome), *end[2:]))


def test_an_end_that_cannot_be_passed_on_fails_the_job_and_not_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "reports", channel.Reports(), raising=False)
    ended: tuple[Any, ...] = ("id", 1, "pending", "failed", 7, 0.0, 0.0, decimal.Decimal(1), None, "", "", "", "")
    runner._report(7, ended, "next")
    packet = channel.reports.receive()
    assert packet is not None
    assert (packet[2][2], packet[3]) == ("failed", "next")
    assert "could not be passed on" in packet[2][9]


def test_a_request_to_stop_is_for_one_attempt_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "stop_requests", channel.StopRequests(), raising=False)
    id = uuid.uuid4()
    channel.stop_requests.ask(0, id, 1)
    Run(str(id), kinds.add.name, 2, 0, 3).check()
    with pytest.raises(Cancelled):
        Run(str(id), kinds.add.name, 1, 0, 3).check()
