"""Two people who decide at once."""

import pytest
from django.contrib.auth.models import User
from furrow import Approval, InputError, decide, submit
from furrow.models import Signal

from tests import kinds
from tests.races import together

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("committed")]


def test_of_two_who_decide_at_once_one_does() -> None:
    users = [User.objects.create(username=name, is_superuser=True) for name in ("ann", "bob")]
    for _ in range(5):
        job = submit(kinds.add, {"a": 1}, countdown=3600)
        approval = Approval.objects.create(job=job, step="approval", title="Go?", permission="auth.add_group")

        def deciding(user: User, approval: Approval = approval) -> str:
            try:
                return decide(approval, by=user, approved=user == users[0]).decider
            except InputError as error:
                return str(error)

        told = together(lambda: deciding(users[0]), lambda: deciding(users[1]))
        (winner,) = (one for one in told if one in ("ann", "bob"))
        (other,) = (one for one in told if one != winner)
        became = "approved" if winner == "ann" else "rejected"
        assert other.startswith(f"approval: it was {became} by {winner} at")
        assert Signal.objects.filter(target=job.pk).count() == 1
        approval.refresh_from_db()
        assert (approval.decider, approval.approved) == (winner, winner == "ann")
