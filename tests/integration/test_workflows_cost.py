"""What a node of many jobs costs: the end of one is counted, and the others are not looked at."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from furrow import Job, workflow
from furrow.models import Workflow
from furrow.testing import drain

from tests import kinds

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("nobody_runs")]


def test_the_end_of_one_of_many_jobs_looks_at_no_others() -> None:
    with workflow("many") as w:
        first = w.add(kinds.noop, name="first")
        w.map(kinds.noop, [{}] * 40, after=[first], name="many")
    with CaptureQueriesContext(connection) as captured:
        drain()
    looks = [one["sql"] for one in captured.captured_queries if "furrow_job" in one["sql"] and "'waiting'" in one["sql"]]
    assert Workflow.objects.get(pk=w.id).state == "succeeded"
    assert 0 < len(looks) < 20, looks


def test_a_result_for_many_jobs_is_given_to_all_in_one_statement() -> None:
    with workflow("many") as w:
        first = w.add(kinds.add, {"a": 1, "b": 2}, name="first")
        many = w.map(kinds.add, [{"a": 1}] * 40, shared={"b": first.result}, after=[first], name="many")
    with CaptureQueriesContext(connection) as captured:
        drain()
    written = [
        one["sql"] for one in captured.captured_queries if "SET arguments" in one["sql"] or '"arguments" =' in one["sql"]
    ]
    assert list(Job.objects.filter(node=many.id).values_list("result", flat=True)) == [4] * 40
    assert len(written) == 1, written
