"""Nodes that wait for a signal or for a time."""

import pytest
from django.utils import timezone
from furrow import (
    InputError,
    send_signal,
    workflow,
)
from furrow.models import Workflow
from furrow.states import WorkflowState
from furrow.testing import drain

from tests import kinds
from tests.rows import HOUR
from tests.workflows import nodes, result, run, state

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]


def test_a_node_waits_for_a_signal_which_may_come_early() -> None:
    with workflow("order") as w:
        early = w.wait_for("early")
        paid = w.wait_for("paid", timeout=60, after=[early])
        w.add(kinds.add, {"a": paid.result["sum"], "b": early.result}, after=[paid, early], name="sum")
    assert send_signal(w.id, "paid", {"sum": 40}) is False
    drain()
    assert nodes(w) == {"early": "running", "paid": "waiting", "sum": "waiting"}
    assert send_signal(Workflow.objects.get(pk=w.id), "early", 2) is True
    drain()
    assert (result(w, "sum"), state(w)) == (42, WorkflowState.SUCCEEDED)
    assert send_signal(w.id, "early", 3) is False
    with pytest.raises(InputError, match="no node of this workflow waits for 'payd'; did you mean 'paid'"):
        send_signal(w.id, "payd")


def test_a_signal_that_does_not_come_in_time_fails_its_node_and_a_sleep_ends() -> None:
    with workflow("order") as w:
        slept = w.sleep(60)
        paid = w.wait_for("paid", timeout=3600, after=[slept])
        w.add(kinds.noop, after=[paid], name="ships")
        w.add(kinds.noop, after=[paid.failed], name="reminds")
        w.sleep(timezone.now() + 3 * HOUR, name="until")
    run()
    assert nodes(w) == {
        "sleep": "succeeded",
        "paid": "failed",
        "ships": "skipped",
        "reminds": "succeeded",
        "until": "succeeded",
    }
