"""The HTTP API: requests at the same moment."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.contrib.auth.models import User
from django.db import connections
from furrow import Job
from furrow.models import ApiAnswer, ApiToken, AuditEntry

from tests.api import Api

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("unlimited")]
#: Requests at once.
MANY = 4


def test_requests_with_one_key_at_the_same_moment_submit_one_job(live_db: None) -> None:
    user = User.objects.create(username="races", is_superuser=True)
    api, begin = Api(user), Barrier(MANY)
    api.get("kinds")  # Django's test client loads its middleware at the first request, which two threads must not do at once

    def ask(_number: int) -> bytes:
        begin.wait()
        try:
            answer = api.post("jobs", {"kind": "kinds.add", "arguments": {"a": 1}}, Idempotency_Key="race")
            assert answer.status_code == 201, answer.content
            return bytes(answer.content)
        finally:
            connections.close_all()

    try:
        with ThreadPoolExecutor(MANY) as pool:
            assert len(set(pool.map(ask, range(MANY)))) == 1
        assert Job.objects.filter(kind="kinds.add").count() == 1
    finally:
        ApiAnswer.objects.all().delete()
        ApiToken.objects.all().delete()
        AuditEntry.objects.filter(user=user.pk).delete()
        user.delete()
