"""Django's tasks, run by a real worker."""

import pytest
from django.contrib.auth.models import Group
from django.db import transaction
from furrow import Job
from furrow.django_tasks import FurrowBackend

from tests.kinds import django_tasks as tasks
from tests.stack import Stack, all_ended

pytestmark = pytest.mark.engine
Status = FurrowBackend.framework.base.TaskResultStatus


def test_a_worker_runs_what_was_enqueued_in_a_transaction_that_commits_and_nothing_of_one_that_does_not(stack: Stack) -> None:
    with transaction.atomic():
        committed = [tasks.adds.enqueue(1, 2), tasks.tries.enqueue(2), tasks.sleeps_async.enqueue("text")]
    with transaction.atomic():
        lost = tasks.makes_group.enqueue("of a transaction that is rolled back")
        transaction.set_rollback(True)
    all_ended()
    for result in committed:
        result.refresh()
    assert [result.status for result in committed] == [Status.SUCCESSFUL] * 3
    assert [result.return_value for result in committed][0::2] == [[3, [], {}], "TEXT"]
    assert [committed[1].attempts, committed[1].errors[0].exception_class] == [2, LookupError]
    assert not Job.objects.filter(pk=lost.id).exists()
    assert not Group.objects.filter(name__startswith="of a transaction").exists()
