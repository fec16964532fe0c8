"""``furrow.testing.worker``: the real processes on the test database."""

from collections.abc import Iterator

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from furrow import State, submit
from furrow.errors import BrokerError
from furrow.testing.worker import RealWorker, default_broker

from tests import kinds, services
from tests.stack import Stack

pytestmark = pytest.mark.engine


@pytest.fixture
def real(bare: Stack) -> Iterator[RealWorker]:
    worker = RealWorker(services.broker.url)
    yield worker
    worker.stop()


def test_real_processes_run_the_jobs_of_a_test(real: RealWorker) -> None:
    real.start()
    job, slow = submit(kinds.add, {"a": 3}), submit(kinds.soft_sleeper, {"seconds": 60})
    real.wait(job)
    assert (job.state, job.result) == (State.SUCCEEDED, 4)
    real.wait(job, slow)
    assert slow.attempts.get().outcome == "timed out"
    with pytest.raises(AssertionError, match=r"jobs have not ended \(within 0 s\)\n--- dispatcher\n(.|\n)*--- worker\n"):
        real.wait(submit(kinds.sleeps, {"seconds": 30}), seconds=0)


@pytest.mark.django_db
def test_what_real_processes_need_is_named() -> None:
    nowhere = services.broker.url.rstrip("/") + "/nowhere"
    with pytest.raises(BrokerError, match=r"There is no virtual host 'nowhere' .*rabbitmqctl add_vhost 'nowhere'") as refused:
        RealWorker(nowhere).start()
    assert services.broker.password not in str(refused.value)
    assert default_broker().endswith("/furrow-" + str(connection.settings_dict["NAME"]).rpartition("/")[2])
    if connection.vendor == "sqlite":
        name, connection.settings_dict["NAME"] = (
            connection.settings_dict["NAME"],
            "file:memorydb_default?mode=memory&cache=shared",
        )
        try:
            with pytest.raises(ImproperlyConfigured, match=r"DATABASES\['default'\]\['TEST'\]"):
                RealWorker(nowhere).start()
        finally:
            connection.settings_dict["NAME"] = name
