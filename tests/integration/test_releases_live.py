"""Workers of two versions of the code share a kind."""

import pytest
from furrow import Attempt, Job, State, submit, submit_many
from furrow.models import Worker
from furrow.releases.acting import put
from furrow.worker.ledger.canaries import RETURNS, is_chosen

from tests import kinds
from tests.stack import Stack, all_ended, wait_until

pytestmark = [pytest.mark.engine, pytest.mark.thorough]


def test_workers_of_two_versions_share_a_kind(bare: Stack) -> None:
    put("kinds.noop", "2", 0.5)
    bare.dispatcher()
    for version in ("1", "2"):
        bare.worker(f"w{version}", processes=1, FURROW_VERSION=version)
    living = Worker.objects.filter(stopped_at=None, code_version__in=["1", "2"])
    wait_until(lambda: living.count() == 2, what="both are known")

    def both_hand_back() -> bool:
        submit(kinds.noop)
        back = Attempt.objects.filter(outcome="interrupted").values_list("worker", flat=True)
        return set(back) == {one.pk for one in living}

    wait_until(both_hand_back, what="both have read the canary, and of each other")
    ids = submit_many(kinds.noop, [{"n": n} for n in range(40)])
    all_ended()
    assert set(Job.objects.values_list("state", flat=True)) == {State.SUCCEEDED}
    versions = {one.pk: one.code_version for one in living}
    jobs = Job.objects.filter(pk__in=ids, excused__lt=RETURNS)
    ran = {job.pk: versions[job.worker] for job in jobs if job.worker is not None}
    assert ran == {pk: "2" if is_chosen(str(pk), 0.5) else "1" for pk in ran}
    assert set(ran.values()) == {"1", "2"}
