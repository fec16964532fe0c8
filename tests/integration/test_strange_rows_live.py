"""Everything runs, and rows stand there that the database would refuse."""

import pytest
from furrow import submit
from furrow.models import Job
from furrow.states import State

from tests import kinds
from tests.integration.test_guards import LONG, write
from tests.rows import make, state_of, unguarded
from tests.stack import Stack, wait_until

pytestmark = pytest.mark.engine


def test_strange_rows_stop_nobody_else(stack: Stack) -> None:
    strange = ("run_at", "-infinity"), ("limits", "{}"), ("arguments", f'{{"a": {LONG}}}'), ("run_at", "infinity")
    odd = [make(State.WAITING, arguments={"a": 1, "b": 2}) for _ in strange]
    with unguarded():
        for job, (column, value) in zip(odd, strange, strict=True):
            write(Job, column, value, id=job.pk)
    Job.objects.filter(state=State.WAITING).update(state=State.PENDING)
    good = [submit(kinds.add, {"a": 1, "b": n}) for n in range(5)]
    wait_until(lambda: all(state_of(job) == State.SUCCEEDED for job in good), what="the others ran")
    early, limited, argued, never = odd
    wait_until(lambda: state_of(early) == State.SUCCEEDED, what="a job of long ago ran")
    for job, reason in ((limited, "limits: it is no array"), (argued, "number out of range")):
        wait_until(lambda job=job: state_of(job) == State.FAILED, what="what cannot be read failed")  # type: ignore[misc]
        assert reason in Job.objects.values_list("error", flat=True).get(pk=job.pk)
    assert state_of(never) == State.PENDING
