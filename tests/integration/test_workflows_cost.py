"""What a node of many jobs costs: the end of one is counted, and the others are not looked at."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from furrow import workflow
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
